package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/internal/ctxio"
	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/lists"
)

// What a download adds to the files of the bundle, and takes away at its end.
const (
	stateName   = ".airbuild-fetch.json"
	lockName    = ".airbuild-fetch.lock"
	partSuffix  = ".airbuild-part"
	stateFormat = "airbuild-fetch 1"
)

// A state is the content of the state file: what a download was begun for.
type state struct {
	Format string `json:"format"` // stateFormat
	URL    string `json:"url"`    // without user and password; for people
	Index  *Index `json:"index"`
}

// A staging is the directory of a download, locked.
type staging struct {
	dir  string
	root *os.Root // nothing in it leads out
	lock *flock.Flock
}

// openStaging makes and locks dir.
func openStaging(ctx context.Context, dir string) (*staging, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o777); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(abs, lockName))
	if ok, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil || !ok {
		return nil, fmt.Errorf("lock %s: %w", abs, errors.Join(err, ctx.Err()))
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &staging{abs, root, lock}, nil
}

func (s *staging) close() {
	s.root.Close()
	s.lock.Close()
	// Who waited for the lock has a file without a name then: it finds all done,
	// or goes on alone with what is left, each file by itself.
	os.Remove(filepath.Join(s.dir, lockName))
}

// begin records the index, or finds that the download was begun for the same.
func (s *staging) begin(url string, x *Index) error {
	b, err := s.root.ReadFile(stateName)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.checkStrangers(x); err != nil {
			return err
		}
		return s.writeState(url, x)
	} else if err != nil {
		return err
	}
	old, err := parseState(b)
	if err != nil {
		return fmt.Errorf("%s: %w; remove the directory to start over", filepath.Join(s.dir, stateName), err)
	}
	if what := difference(old.Index, x); what != "" {
		return fmt.Errorf("%w since the download into %s began: %s.\nTo start over, remove that directory or name another", ErrChanged, s.dir, what)
	}
	return nil
}

func parseState(b []byte) (*state, error) {
	var raw struct {
		Format string          `json:"format"`
		URL    string          `json:"url"`
		Index  json.RawMessage `json:"index"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("read the state of a download: %w", err)
	}
	if raw.Format != stateFormat {
		return nil, fmt.Errorf("read the state of a download: its format is %.60q; this airbuild reads %q", raw.Format, stateFormat)
	}
	x, err := parseIndex(raw.Index)
	if err != nil {
		return nil, err
	}
	return &state{raw.Format, raw.URL, x}, nil
}

// difference says where two indexes differ first, or nothing.
func difference(old, x *Index) string {
	was := lists.By(old.Files, func(f File) string { return f.Path })
	for _, f := range x.Files {
		o, ok := was[f.Path]
		switch {
		case !ok:
			return f.Path + " came"
		case o.Size != f.Size:
			return fmt.Sprintf("%s has %d bytes instead of %d", f.Path, f.Size, o.Size)
		case o.SHA256 != f.SHA256:
			return f.Path + " has other content"
		}
		delete(was, f.Path)
	}
	for _, f := range old.Files {
		if _, ok := was[f.Path]; ok {
			return f.Path + " went"
		}
	}
	return ""
}

// checkStrangers refuses a directory with files that are not the bundle's. One
// that has nothing else may be what an earlier download finished.
func (s *staging) checkStrangers(x *Index) error {
	return fs.WalkDir(s.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." || name == lockName {
			return err
		}
		dir := d.IsDir()
		i, found := slices.BinarySearchFunc(x.Files, name, func(f File, n string) int { return strings.Compare(f.Path, n) })
		if dir && slices.ContainsFunc(x.Files, func(f File) bool { return strings.HasPrefix(f.Path, name+"/") }) {
			return nil
		}
		if found && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil && info.Size() == x.Files[i].Size {
				return nil
			}
		}
		return fmt.Errorf("%s is not empty: it holds %s, which is not of this bundle.\nRemove that directory, or name another", s.dir, name)
	})
}

// writeState records what is being downloaded.
func (s *staging) writeState(url string, x *Index) error {
	b, err := canonjson.Indented(state{stateFormat, url, x})
	if err != nil {
		return err
	}
	if err := atomicfile.Write(stateName, b, atomicfile.Options{Root: s.root, Temp: stateName + partSuffix, Sync: true}); err != nil {
		return fmt.Errorf("write the state of the download: %w", err)
	}
	return nil
}

// end takes away what the download added.
func (s *staging) end() error {
	err := s.root.Remove(stateName)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// look reports whether a file is there whole, or how much of it is there in
// part. A file under its own name that is not what the index says is removed:
// nothing but a fault of the disk makes one.
func (s *staging) look(ctx context.Context, file File) (whole bool, part int64, err error) {
	info, err := s.root.Lstat(file.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, 0, err
	case !info.Mode().IsRegular():
		return false, 0, errors.New("something else than a file is in its place")
	default:
		sum, err := s.sum(ctx, file.Path)
		if err != nil || sum == file.SHA256 && info.Size() == file.Size {
			return err == nil, 0, err
		}
		if err := s.root.Remove(file.Path); err != nil {
			return false, 0, err
		}
	}
	info, err = s.root.Lstat(file.Path + partSuffix)
	if err != nil || info.Size() > file.Size {
		return false, 0, nil // part throws it away
	}
	return false, info.Size(), nil
}

func (s *staging) sum(ctx context.Context, name string) (string, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	d, err := action.OfReader(ctxio.Reader(ctx, f))
	return d.Hex(), err
}

// A part is a file under way. hash is of its first n bytes, which are all that
// it has.
type part struct {
	s    *staging
	file File
	f    *os.File
	n    int64
	hash hash.Hash
}

// part opens what there is of a file, or begins it.
func (s *staging) part(ctx context.Context, file File) (*part, error) {
	if dir := path.Dir(file.Path); dir != "." {
		if err := s.root.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	name := file.Path + partSuffix
	if info, err := s.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("something else than a file is in its place")
	}
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	p := &part{s: s, file: file, f: f, hash: sha256.New()}
	if p.n, err = io.Copy(p.hash, ctxio.Reader(ctx, io.LimitReader(f, file.Size+1))); err == nil && p.n > file.Size {
		err = p.reset()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

// reset throws away what there is.
func (p *part) reset() error {
	if p.n == 0 {
		return nil
	}
	p.n = 0
	p.hash.Reset()
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	_, err := p.f.Seek(0, io.SeekStart)
	return err
}

func (p *part) write(b []byte) error {
	n, err := p.f.Write(b)
	p.hash.Write(b[:n])
	p.n += int64(n)
	return err
}

// finish gives a whole file its name. One that is not what the index says is
// removed, and the error ErrDamaged.
func (p *part) finish() error {
	name := p.file.Path + partSuffix
	if got := hex.EncodeToString(p.hash.Sum(nil)); got != p.file.SHA256 {
		err := fmt.Errorf("%w: it has SHA-256 %s, and should have %s", ErrDamaged, got, p.file.SHA256)
		return errors.Join(err, p.f.Close(), p.s.root.Remove(name))
	}
	if err := errors.Join(p.f.Sync(), p.f.Close()); err != nil {
		return err
	}
	return inuse.RenameIn(p.s.root, name, p.file.Path)
}

// close may follow finish.
func (p *part) close() { _ = p.f.Close() }
