package archive

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// runTool writes the archive that a spec describes.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	members, err := collect(call.In, sp.Entries)
	if err != nil {
		return err
	}
	if err := setModes(members, sp.Mode); err != nil {
		return err
	}
	if sp.Format == binary {
		err = copyBinary(ctx, call, sp, members)
	} else {
		err = write(ctx, call, sp, members)
	}
	if err != nil {
		return fmt.Errorf("write archive %s: %w", sp.Output, err)
	}
	return nil
}

// A member is one thing in the archive: a file, a link or an empty directory.
type member struct {
	name string // inside, slash-separated
	path string // in the input root
	mode fs.FileMode
	size int64
	link string // target of a symbolic link
}

// collect walks directories and returns all members, sorted by name and free
// of names that stand in each other's way.
func collect(in fs.FS, entries []entry) ([]member, error) {
	var members []member
	for _, e := range entries {
		below, err := walk(in, e)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Path, err)
		}
		members = append(members, below...)
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return distinct(members)
}

func walk(in fs.FS, e entry) (members []member, err error) {
	info, err := fs.Lstat(in, e.Path)
	if err != nil {
		return nil, err
	}
	m := member{name: e.Name, path: e.Path, mode: info.Mode(), size: info.Size()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		m.link, err = fs.ReadLink(in, e.Path)
		return []member{m}, err
	case !info.IsDir():
		return []member{m}, nil
	}
	list, err := fs.ReadDir(in, e.Path)
	if len(list) == 0 {
		return []member{m}, err
	}
	for _, d := range list {
		below, err := walk(in, entry{Path: path.Join(e.Path, d.Name()), Name: path.Join(e.Name, d.Name())})
		if err != nil {
			return nil, err
		}
		members = append(members, below...)
	}
	return members, nil
}

// distinct merges empty directories into full ones and refuses every other
// double name: which of the two an unpacker keeps is anybody's guess.
func distinct(members []member) ([]member, error) {
	kind := map[string]fs.FileMode{}
	var out []member
	for _, m := range members {
		if _, taken := kind[m.name]; taken && !(m.mode.IsDir() && kind[m.name].IsDir()) {
			return nil, fmt.Errorf("two things are called %q in the archive: use rename, or leave one out", m.name)
		} else if taken {
			continue
		}
		kind[m.name] = m.mode
		out = append(out, m)
	}
	full := map[string]bool{}
	for _, m := range out {
		for dir := path.Dir(m.name); dir != "."; dir = path.Dir(dir) {
			if mode, ok := kind[dir]; ok && !mode.IsDir() {
				return nil, fmt.Errorf("%q is a file in the archive, but %q is below it: use rename, or remove one", dir, m.name)
			}
			full[dir] = true
		}
	}
	return slices.DeleteFunc(out, func(m member) bool { return full[m.name] }), nil
}

// setModes reduces modes to what airbuild keeps of a file: executable or not.
func setModes(members []member, octal string) error {
	want, err := strconv.ParseUint("0"+octal, 8, 16)
	if err != nil {
		return fmt.Errorf("mode %q: %w", octal, err)
	}
	for i, m := range members {
		switch {
		case m.mode.IsDir():
			members[i].mode = fs.ModeDir | 0o755
		case m.mode&fs.ModeSymlink != 0:
			members[i].mode = fs.ModeSymlink | 0o777
		case octal != "":
			members[i].mode = fs.FileMode(want)
		case m.mode&0o111 != 0:
			members[i].mode = 0o755
		default:
			members[i].mode = 0o644
		}
	}
	return nil
}

// An archiver is the part that differs between tar and zip.
type archiver interface {
	// add appends a member; body is nil for links and directories.
	add(m member, mtime time.Time, body io.Reader) error
	// Close writes what ends the archive and flushes all compressors. It does
	// not close the file.
	Close() error
}

func write(ctx context.Context, call *engine.ToolCall, sp *spec, members []member) (err error) {
	f, ok := formats[sp.Format]
	if !ok {
		return fmt.Errorf("unknown format %q", sp.Format)
	}
	file, err := create(filepath.Join(call.Dir, filepath.FromSlash(sp.Output)))
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, file.Close()) }()
	buf := bufio.NewWriterSize(file, 1<<18)
	a, err := f.open(buf, sp.Level)
	if err != nil {
		return err
	}
	mtime := time.Unix(sp.Time, 0).UTC()
	for _, m := range members {
		if err := addMember(ctx, a, call.In, m, mtime); err != nil {
			return fmt.Errorf("add %s: %w", m.name, err)
		}
	}
	if err := a.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

// copyBinary writes the one file as it is.
func copyBinary(ctx context.Context, call *engine.ToolCall, sp *spec, members []member) (err error) {
	if len(members) != 1 || !members[0].mode.IsRegular() {
		return errors.New("want one file: a directory or a link is for an archive")
	}
	m := members[0]
	in, err := call.In.Open(m.path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := create(filepath.Join(call.Dir, filepath.FromSlash(sp.Output)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, ctxio.Reader(ctx, in)); err != nil {
		return err
	}
	return out.Chmod(m.mode.Perm())
}

func create(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	return os.Create(name)
}

func addMember(ctx context.Context, a archiver, in fs.FS, m member, mtime time.Time) error {
	if m.mode.IsDir() || m.mode&fs.ModeSymlink != 0 {
		return a.add(m, mtime, nil)
	}
	file, err := in.Open(m.path)
	if err != nil {
		return err
	}
	defer file.Close()
	return a.add(m, mtime, ctxio.Reader(ctx, file))
}
