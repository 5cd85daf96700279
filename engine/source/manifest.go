package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/airbuild/airbuild/internal/lists"
)

// ManifestName is the name of the file that lists what a source tree was when
// it was carried. It lies next to source.json, which holds its digest. Its name
// begins like airbuild's temporary files', so it is not an input of any step.
const ManifestName = ".airbuild-source.json"

// A Manifest lists the files of a carried source tree: what git's index is to a
// clone. Paths are slash-separated and relative to the tree.
type Manifest struct {
	Files      map[string]string // path to SHA-256 in lower-case hexadecimal
	Executable []string          // those of Files that are executable, sorted
	Links      map[string]string // path to target, slash-separated
}

// manifestFile is the file's form, version 1.
type manifestFile struct {
	Version    int               `json:"version"`
	Files      map[string]string `json:"files"`
	Executable []string          `json:"executable,omitempty"`
	Links      map[string]string `json:"links,omitempty"`
}

const manifestVersion = 1

// maxManifest bounds what is read of a manifest, in bytes: two million files.
const maxManifest = 256 << 20

// Encode returns the bytes of the file, the same ones for the same Manifest, and
// their SHA-256 as source.json has it.
func (m *Manifest) Encode() (text []byte, digest string, err error) {
	if err := m.check(); err != nil {
		return nil, "", fmt.Errorf("write %s: %w", ManifestName, err)
	}
	text, err = json.Marshal(manifestFile{manifestVersion, m.Files, m.Executable, m.Links}) // keys sorted
	if err != nil {
		return nil, "", fmt.Errorf("write %s: %w", ManifestName, err)
	}
	text = append(text, '\n')
	return text, digestOf(text), nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ParseManifest decodes the file. Unknown names, another version and text after
// the object are errors.
func ParseManifest(b []byte) (*Manifest, error) {
	var f manifestFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, plain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the object")
	}
	if f.Version != manifestVersion {
		return nil, fmt.Errorf("it is of version %d, and this airbuild reads version %d", f.Version, manifestVersion)
	}
	m := &Manifest{f.Files, f.Executable, f.Links}
	return m, m.check()
}

func (m *Manifest) check() error {
	if m.Files == nil {
		return errors.New(`it has no "files"`)
	}
	for p, sum := range m.Files {
		if !fs.ValidPath(p) || !isSHA256(sum) {
			return fmt.Errorf("file %.200q: want a relative path with slashes, and a SHA-256 in lower-case hexadecimal", p)
		}
	}
	for i, p := range m.Executable {
		if _, ok := m.Files[p]; !ok || i > 0 && m.Executable[i-1] >= p {
			return fmt.Errorf("executable %.200q: want paths of files, sorted", p)
		}
	}
	for p := range m.Links {
		if _, file := m.Files[p]; !fs.ValidPath(p) || file {
			return fmt.Errorf("link %.200q: want a relative path with slashes that is not a file's", p)
		}
	}
	return nil
}

func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && isHash(s)
}

// ReadManifest reads the manifest of the carried source tree at dir, of which
// source.json says that it has the given digest. Any other is an error.
func ReadManifest(dir, digest string) (*Manifest, error) {
	f, err := os.Open(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if digestOf(b) != digest {
		return nil, fmt.Errorf("read %s: it is not the one that %s names", ManifestName, FileName)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ManifestName, err)
	}
	return m, nil
}

// markEdited compares a carried source tree with what it was when it was carried,
// as git compares a work tree with its index: what differs or is gone makes it
// dirty, files that were not carried do not. Without the manifest it is dirty too:
// nothing shows that it is what the commit says.
func (i *Info) markEdited(ctx context.Context, dir string, text []byte, o Options) error {
	list, err := edited(ctx, dir, i.Files, text, o.State)
	if err != nil {
		return fmt.Errorf("compare the source with %s: %w", ManifestName, err)
	}
	if len(list) == 0 {
		return nil
	}
	const shown = 3
	i.Edited = strings.Join(list[:min(len(list), shown)], ", ")
	if n := len(list) - shown; n > 0 {
		i.Edited += fmt.Sprintf(" and %d more", n)
	}
	if i.Describe != "" && !i.Dirty {
		i.Describe += "-dirty"
	}
	i.Dirty = true
	if i.Go != nil {
		i.Go.Modified = true
	}
	return nil
}

// edited returns the paths that are not as they were carried, sorted. What was
// found to be the same is remembered in memory with how it looked, so that it is
// not read again while it looks that way.
func edited(ctx context.Context, dir, digest string, text []byte, memory string) ([]string, error) {
	at, file := time.Now(), ""
	key := sha256.Sum256(slices.Concat([]byte("carried 1\x00"+dir+"\x00"), text))
	var known []watched
	if memory != "" {
		file = memoFile(memory, []string{"carried"})
		if m := loadMemo(file, key); m != nil {
			known = slices.Clone(m.watch)
			if changed, err := m.update(); err == nil && changed < 0 && !m.info.Dirty {
				return nil, nil
			}
		}
	}
	m, err := ReadManifest(dir, digest)
	if errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if err != nil {
		return []string{ManifestName}, nil
	}
	c := &comparison{manifest: m, known: map[string]state{}}
	for _, w := range known {
		c.known[w.path] = w.state
	}
	if err := c.run(ctx, dir); err != nil {
		return nil, err
	}
	if file != "" {
		// A memo that cannot be written costs the next run the reading. Info.Dirty
		// says that the memo does not know all files.
		next := &memo{key: key, top: dir, watch: slices.DeleteFunc(c.found, func(w watched) bool { return w.racy(at) })}
		next.info.Dirty = len(next.watch) < len(c.paths)
		if !slices.Equal(next.watch, known) {
			_ = next.save(file)
		}
	}
	return c.edited, nil
}

// A comparison of a tree with its manifest.
type comparison struct {
	manifest *Manifest
	known    map[string]state // how paths looked that were as they were carried
	paths    []string
	found    []watched // those that are so now
	edited   []string
}

func (c *comparison) run(ctx context.Context, dir string) error {
	c.paths = slices.Sorted(maps.Keys(c.manifest.Files))
	c.paths = append(c.paths, slices.Sorted(maps.Keys(c.manifest.Links))...)
	list := lists.Map(c.paths, func(p string) watched { return watched{kind: watchEntry, path: p} })
	states, err := lookAt(dir, list)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	equal, errs := make([]bool, len(list)), make([]error, len(list))
	next, wg := make(chan int), sync.WaitGroup{}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				equal[i], errs[i] = c.equal(root, c.paths[i])
			}
		})
	}
	for i := range list {
		list[i].state = states[i]
		if before, ok := c.known[list[i].path]; ok && before == states[i] {
			equal[i] = true
		} else if ctx.Err() == nil {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	if err := errors.Join(ctx.Err(), errors.Join(errs...)); err != nil {
		return err
	}
	for i, w := range list {
		if equal[i] {
			c.found = append(c.found, w)
		} else {
			c.edited = append(c.edited, w.path)
		}
	}
	slices.Sort(c.edited)
	return nil
}

// equal reports whether a path is as it was carried. What is in its way, or
// leads out of the tree, is not.
func (c *comparison) equal(root *os.Root, p string) (bool, error) {
	if target, ok := c.manifest.Links[p]; ok {
		have, err := root.Readlink(p)
		return err == nil && filepath.ToSlash(have) == target, nil
	}
	info, err := root.Lstat(p)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil
	}
	_, executable := slices.BinarySearch(c.manifest.Executable, p)
	if runtime.GOOS != "windows" && info.Mode()&0o111 != 0 != executable {
		return false, nil
	}
	f, err := root.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, fmt.Errorf("read %s: %w", p, err)
	}
	return hex.EncodeToString(h.Sum(nil)) == c.manifest.Files[p], nil
}
