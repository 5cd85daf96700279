package carry

import (
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
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// A Checkout says where the files of a component go.
type Checkout struct {
	Cache     string
	Store     *store.Disk // of Cache; the bundle was imported there
	Component string      // Source or Artifacts
	Dir       string
	// Force replaces files that are there and differ, whoever changed them.
	Force bool
}

// CheckedOut says what CheckOut did.
type CheckedOut struct {
	Files, Written, Removed int
	// Kept are files that the component no longer has, and that stay because
	// they are not as an earlier checkout left them.
	Kept []string
}

// A ConflictError is a checkout that would overwrite what somebody changed.
// Nothing was written.
type ConflictError struct {
	Dir   string
	Paths []string
}

func (e *ConflictError) Error() string {
	list := strings.Join(e.Paths[:min(len(e.Paths), 10)], "\n  ")
	if n := len(e.Paths) - 10; n > 0 {
		list += fmt.Sprintf("\n  and %d more", n)
	}
	return fmt.Sprintf("unpack into %s: these were changed there, or are not from a bundle:\n  %s\nMove them away, choose another directory, or use --force to overwrite them.", e.Dir, list)
}

// checkoutRecord is what an earlier checkout into a directory left there.
type checkoutRecord struct {
	Version   int               `json:"version"` // 1
	Dir       string            `json:"dir"`
	Component string            `json:"component"`
	Bundle    string            `json:"bundle"`
	Files     map[string]string `json:"files"` // path to SHA-256
	Links     map[string]string `json:"links,omitempty"`
	// Begun is what a checkout that did not come to its end was writing. Those
	// files are nobody's changes either.
	Begun map[string]string `json:"begun,omitempty"`
}

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 256 << 20

// A checkout is one at work.
type checkout struct {
	Checkout
	bundle *bundle.Bundle
	root   *os.Root
	want   map[string]bundle.File
	links  map[string]string
	before checkoutRecord
	done   CheckedOut
}

// CheckOut writes the files of a component of an imported bundle to a
// directory, which is made if need be. Files of an earlier checkout that are as
// it left them are replaced, and removed if the component no longer has them.
// What somebody changed is a *ConflictError before anything is written. Other
// files in the directory are left alone.
func CheckOut(ctx context.Context, b *bundle.Bundle, c Checkout) (_ *CheckedOut, err error) {
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", c.Component, err)
	}
	if b.Root().Component(c.Component) == nil {
		return nil, fmt.Errorf("unpack %s: the bundle has none", c.Component)
	}
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", c.Component, err)
	}
	co := &checkout{Checkout: c, bundle: b, want: map[string]bundle.File{}, links: map[string]string{}}
	unlock, err := lock(ctx, co.recordPath())
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", c.Component, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if co.root, err = os.OpenRoot(c.Dir); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", c.Component, err)
	}
	defer func() { err = errors.Join(err, co.root.Close()) }()
	if err := co.run(ctx); err != nil {
		if _, ok := errors.AsType[*ConflictError](err); ok {
			return nil, err
		}
		return nil, fmt.Errorf("unpack %s into %s: %w", c.Component, c.Dir, err)
	}
	return &co.done, nil
}

func (c *checkout) run(ctx context.Context) error {
	if err := c.list(ctx); err != nil {
		return err
	}
	if err := c.readRecord(); err != nil {
		return err
	}
	write, err := c.compare()
	if err != nil {
		return err
	}
	if len(write) > 0 {
		// Whoever comes after a crash knows what is airbuild's own.
		if err := c.begin(write); err != nil {
			return err
		}
	}
	if err := c.removeStale(); err != nil {
		return err
	}
	for _, p := range write {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.write(ctx, p); err != nil {
			return err
		}
	}
	c.done.Files, c.done.Written = len(c.want)+len(c.links), len(write)
	if c.Component == Source {
		// From here on, runs there are offline ones.
		if err := source.WriteCarried(c.Dir, source.Carried{Bundle: c.bundle.Digest(), Go: c.bundle.Root().Metadata["go"]}); err != nil {
			return err
		}
	}
	return c.writeRecord()
}

// list finds what the directory is to hold.
func (c *checkout) list(ctx context.Context) error {
	for f := range c.bundle.Files(c.Component) {
		c.want[f.Path] = f
	}
	f, ok := c.want[linksFile]
	if !ok || c.Component != Source {
		return nil
	}
	delete(c.want, linksFile)
	r, err := c.Store.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxRecord))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &c.links); err != nil {
		return fmt.Errorf("%w: %s: %w", bundle.ErrRefused, linksFile, err)
	}
	for name, target := range c.links {
		if err := bundle.CheckPath(name); err != nil {
			return fmt.Errorf("%w: %s: %w", bundle.ErrRefused, linksFile, err)
		}
		if err := checkLink(name, target); err != nil {
			return fmt.Errorf("%w: %w", bundle.ErrRefused, err)
		}
		if err := c.apart(name); err != nil {
			return err
		}
	}
	return nil
}

// apart refuses a link that stands where a file or a folder is.
func (c *checkout) apart(link string) error {
	if _, ok := c.want[link]; ok {
		return fmt.Errorf("%w: %s is a file and a link", bundle.ErrRefused, link)
	}
	for _, p := range slices.AppendSeq(slices.Collect(maps.Keys(c.want)), maps.Keys(c.links)) {
		if p != link && within(p, link) {
			return fmt.Errorf("%w: %s is below %s, which is a link", bundle.ErrRefused, p, link)
		}
	}
	return nil
}

// compare returns the paths to write, sorted: what is missing or different.
func (c *checkout) compare() ([]string, error) {
	var write, conflicts []string
	for p, f := range c.want {
		same, mine, err := c.fileState(p, f.Digest.Hex(), f.Executable)
		if err != nil {
			return nil, err
		}
		switch {
		case same:
		case mine || c.Force:
			write = append(write, p)
		default:
			conflicts = append(conflicts, p)
		}
	}
	for p, target := range c.links {
		have, err := c.root.Readlink(p)
		switch {
		case err == nil && filepath.ToSlash(have) == target:
		case errors.Is(err, fs.ErrNotExist), err == nil && c.before.Links[p] == filepath.ToSlash(have), c.Force:
			write = append(write, p)
		default:
			conflicts = append(conflicts, p)
		}
	}
	if len(conflicts) > 0 {
		slices.Sort(conflicts)
		return nil, &ConflictError{c.Dir, conflicts}
	}
	slices.Sort(write)
	return write, nil
}

// fileState reports whether a path holds the content already, and if not
// whether it may be written: nothing is there, or what an earlier checkout left.
func (c *checkout) fileState(p, want string, executable bool) (same, mine bool, err error) {
	fi, err := c.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		mine, err := c.roomFor(p)
		return false, mine, err
	}
	if err != nil {
		return false, false, err
	}
	if fi.IsDir() {
		mine, err := c.staleDir(p)
		return false, mine, err
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		have, err := c.root.Readlink(p)
		return false, err == nil && c.before.Links[p] == filepath.ToSlash(have), nil
	}
	if !fi.Mode().IsRegular() {
		return false, false, nil
	}
	have, err := c.hash(p)
	if err != nil {
		return false, false, err
	}
	bit := fi.Mode()&0o111 != 0 == executable || !keepsModes
	return have == want && bit, have == want || have == c.before.Files[p] || have == c.before.Begun[p], nil
}

// roomFor reports whether nothing of somebody else's is in the way of a path
// that is not there: a file where it needs a folder.
func (c *checkout) roomFor(p string) (bool, error) {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		fi, err := c.root.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) || isNotDir(err):
			continue
		case err != nil:
			return false, err
		case fi.IsDir():
			return true, nil
		case fi.Mode()&fs.ModeSymlink != 0:
			return c.staleLink(dir), nil
		case !fi.Mode().IsRegular():
			return false, nil
		}
		have, err := c.hash(dir)
		return have == c.before.Files[dir] && !c.wanted(dir), err
	}
	return true, nil
}

// staleLink reports whether a link is an earlier checkout's and goes.
func (c *checkout) staleLink(p string) bool {
	have, err := c.root.Readlink(p)
	return err == nil && c.before.Links[p] == filepath.ToSlash(have) && !c.wanted(p)
}

// wanted reports whether the component has a file or link of that path.
func (c *checkout) wanted(p string) bool {
	_, file := c.want[p]
	_, link := c.links[p]
	return file || link
}

// staleDir reports whether all in a directory is an earlier checkout's and
// goes, so that a file can take its place.
func (c *checkout) staleDir(dir string) (bool, error) {
	stale := true
	err := fs.WalkDir(c.root.FS(), dir, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir():
			return err
		case e.Type()&fs.ModeSymlink != 0:
			stale = stale && c.staleLink(p)
		case !e.Type().IsRegular():
			stale = false
		default:
			have, err := c.hash(p)
			if err != nil {
				return err
			}
			stale = stale && have == c.before.Files[p] && !c.wanted(p)
		}
		if !stale {
			return fs.SkipAll
		}
		return nil
	})
	return stale, err
}

func (c *checkout) hash(p string) (string, error) {
	d, err := action.OfFile(c.root.Open(p))
	return d.Hex(), err
}

// removeStale removes what an earlier checkout left and this one does not have.
func (c *checkout) removeStale() error {
	for _, p := range slices.Sorted(maps.Keys(c.before.Links)) {
		if _, ok := c.links[p]; ok {
			continue
		}
		if have, err := c.root.Readlink(p); err == nil && filepath.ToSlash(have) == c.before.Links[p] {
			if err := c.remove(p); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(c.before.Files)) {
		if _, ok := c.want[p]; ok {
			continue
		}
		fi, err := c.root.Lstat(p)
		if err != nil {
			continue // gone already
		}
		have := ""
		if fi.Mode().IsRegular() {
			if have, err = c.hash(p); err != nil {
				return err
			}
		}
		if have != c.before.Files[p] {
			c.done.Kept = append(c.done.Kept, p)
			continue
		}
		if err := c.remove(p); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file, and the directories that are empty then.
func (c *checkout) remove(p string) error {
	if err := c.root.Remove(p); err != nil {
		return err
	}
	c.done.Removed++
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if c.root.Remove(dir) != nil {
			break // not empty
		}
	}
	return nil
}

// write puts a file or a link at its path.
func (c *checkout) write(ctx context.Context, p string) error {
	o := atomicfile.Options{Root: c.root, Mkdir: 0o777, Temp: atomicfile.TempPrefix + "checkout"}
	name := filepath.FromSlash(p)
	if target, ok := c.links[p]; ok {
		return atomicfile.Symlink(filepath.FromSlash(target), name, o)
	}
	f := c.want[p]
	if f.Executable {
		o.Perm = 0o777
	}
	r, err := c.Store.Open(ctx, f.Digest) // which verifies it on the way
	if err != nil {
		return err
	}
	defer r.Close()
	return atomicfile.WriteFunc(name, o, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

func (c *checkout) recordPath() string {
	sum := sha256.Sum256([]byte(c.Component + "\x00" + c.Dir))
	return Carried(c.Cache, "checkouts", hex.EncodeToString(sum[:8])+".json")
}

// readRecord reads what an earlier checkout left. A record that cannot be read
// is none: then what is there counts as somebody else's.
func (c *checkout) readRecord() error {
	b, err := readBounded(c.recordPath(), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r checkoutRecord
	if json.Unmarshal(b, &r) == nil && r.Version == 1 && r.Dir == c.Dir && r.Component == c.Component {
		c.before = r
	}
	return nil
}

// begin records what will be written. A checkout that is cut off leaves files
// of the record before and of those, which both count as nobody's changes.
func (c *checkout) begin(write []string) error {
	r := c.before
	r.Version, r.Dir, r.Component = 1, c.Dir, c.Component
	begun := maps.Clone(r.Begun)
	if begun == nil {
		begun = map[string]string{}
	}
	for _, p := range write {
		if f, ok := c.want[p]; ok {
			begun[p] = f.Digest.Hex()
		}
	}
	r.Begun = begun
	return c.putRecord(r)
}

// writeRecord is last.
func (c *checkout) writeRecord() error {
	r := checkoutRecord{Version: 1, Dir: c.Dir, Component: c.Component, Bundle: c.bundle.Digest(), Files: map[string]string{}, Links: c.links}
	for p, f := range c.want {
		r.Files[p] = f.Digest.Hex()
	}
	return c.putRecord(r)
}

func (c *checkout) putRecord(r checkoutRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(c.recordPath(), append(b, '\n'), atomicfile.Options{Mkdir: 0o777})
}

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("read %s: it has more than %d bytes", name, limit)
	}
	return b, err
}
