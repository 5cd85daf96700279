package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

// A Module is a version of a Go module.
type Module struct {
	Path, Version string
	Time          time.Time // of the commit; zero: unknown
	FS            fs.FS
	Files         []string // its files in FS, below Dir, slash-separated
	Dir           string   // the module's root in FS; "." for FS's own
	// License is the LICENSE of a module that has none of its own: that of the
	// repository, as the go command takes it. Nil: there is none either.
	License []byte
}

// CheckModule refuses what cannot be a version of a module: not canonical, or
// of another major version than the path says.
func CheckModule(path, version string) error {
	if semver.Canonical(version) != version && semver.Canonical(version)+"+incompatible" != version {
		return fmt.Errorf("version %q is not of the form v1.2.3", version)
	}
	return module.Check(path, version)
}

// PublishModule puts a module's version into a GOPROXY tree: zip, mod and info,
// and last the list, so that who finds the version listed finds all of it. A
// version that is there with other content is an error, always: checksum
// databases and go.sum files remember the old one.
func PublishModule(ctx context.Context, d Directory, m Module) ([]Result, error) {
	d.Overwrite = false
	if err := CheckModule(m.Path, m.Version); err != nil {
		return nil, fmt.Errorf("publish module %s: %w", m.Path, err)
	}
	items, remove, err := m.items(ctx)
	if err != nil {
		return nil, fmt.Errorf("publish module %s@%s: %w", m.Path, m.Version, err)
	}
	defer remove()
	var results []Result
	for _, item := range items {
		r, err := d.Publish(ctx, item)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	if d.DryRun || module.IsPseudoVersion(m.Version) {
		return results, nil // a tree lists releases only
	}
	changed, err := d.list(ctx, m)
	if err != nil {
		return results, fmt.Errorf("publish module %s@%s: %w", m.Path, m.Version, err)
	}
	return append(results, changed), nil
}

// items are the three files of a version. remove removes what they are read
// from.
func (m *Module) items(ctx context.Context) (items []Item, remove func(), err error) {
	base, err := m.base()
	if err != nil {
		return nil, nil, err
	}
	tmp, err := os.CreateTemp("", "airbuild-module-*.zip")
	if err != nil {
		return nil, nil, err
	}
	defer tmp.Close()
	remove = func() { os.Remove(tmp.Name()) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	if err = zip.Create(tmp, module.Version{Path: m.Path, Version: m.Version}, m.files()); err != nil {
		return nil, nil, err
	}
	mod, err := fs.ReadFile(m.FS, m.in("go.mod"))
	if err != nil {
		return nil, nil, err
	}
	if got := modfile.ModulePath(mod); got != m.Path {
		return nil, nil, fmt.Errorf("go.mod is that of %q", got)
	}
	info := struct {
		Version string
		Time    *time.Time `json:",omitempty"`
	}{Version: m.Version}
	if !m.Time.IsZero() {
		t := m.Time.UTC()
		info.Time = &t
	}
	infoText, err := json.Marshal(info)
	if err != nil {
		return nil, nil, err
	}
	for _, part := range []struct {
		ext  string
		open func() (io.ReadCloser, error)
	}{
		{".zip", func() (io.ReadCloser, error) { return os.Open(tmp.Name()) }},
		{".mod", text(mod)},
		{".info", text(infoText)},
	} {
		item, err := NewItem(ctx, base+part.ext, part.open)
		if err != nil {
			return nil, nil, err
		}
		items = append(items, item)
	}
	return items, remove, nil
}

func text(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// base is the path of a version's files without their extension.
func (m *Module) base() (string, error) {
	p, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion(m.Version)
	return p + "/@v/" + v, err
}

func (m *Module) in(name string) string {
	if m.Dir == "." || m.Dir == "" {
		return name
	}
	return m.Dir + "/" + name
}

func (m *Module) files() (files []zip.File) {
	for _, name := range m.Files {
		files = append(files, moduleFile{m.FS, name, strings.TrimPrefix(name, strings.TrimSuffix(m.in("x"), "x"))})
	}
	if m.License != nil && !slices.Contains(m.Files, m.in("LICENSE")) {
		files = append(files, licenseFile(m.License))
	}
	return files
}

// A moduleFile is a file for the zip.
type moduleFile struct {
	fs         fs.FS
	name, path string
}

func (f moduleFile) Path() string                 { return f.path }
func (f moduleFile) Lstat() (fs.FileInfo, error)  { return fs.Lstat(f.fs, f.name) }
func (f moduleFile) Open() (io.ReadCloser, error) { return f.fs.Open(f.name) }

// A licenseFile is a LICENSE for the zip, and its own fs.FileInfo.
type licenseFile []byte

func (f licenseFile) Path() string                { return "LICENSE" }
func (f licenseFile) Lstat() (fs.FileInfo, error) { return f, nil }
func (f licenseFile) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(f)), nil
}
func (f licenseFile) Name() string       { return "LICENSE" }
func (f licenseFile) Size() int64        { return int64(len(f)) }
func (f licenseFile) Mode() fs.FileMode  { return 0o644 }
func (f licenseFile) ModTime() time.Time { return time.Time{} }
func (f licenseFile) IsDir() bool        { return false }
func (f licenseFile) Sys() any           { return nil }

// list adds the version to the module's list, which several may do at once.
func (d *Directory) list(ctx context.Context, m Module) (Result, error) {
	p, err := module.EscapePath(m.Path)
	if err != nil {
		return Result{}, err
	}
	lock := flock.New(filepath.Join(d.Path, filepath.FromSlash(p), "@v", ".airbuild-lock"))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return Result{}, fmt.Errorf("lock the list of versions: %w", err)
	}
	defer lock.Close()
	name := p + "/@v/list"
	place := filepath.Join(d.Path, filepath.FromSlash(name))
	old, err := os.ReadFile(place)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{}, err
	}
	versions := append(strings.Fields(string(old)), m.Version)
	semver.Sort(versions)
	item, err := NewItem(ctx, name, text([]byte(strings.Join(slices.Compact(versions), "\n")+"\n")))
	if err != nil {
		return Result{}, err
	}
	writable := *d
	writable.Overwrite = true
	return writable.Publish(ctx, item)
}
