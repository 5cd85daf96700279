// Package atomicfile writes files that appear whole or not at all.
//
// The content goes to a temporary file, which is then renamed to its name, over the
// file that has it. A process that dies before leaves the temporary file and the old
// one. A machine that dies may leave a file of the new name with any content, unless
// Options.Sync is set. On Windows, where a file cannot be replaced while another
// program has it open, the rename is tried for a while; see package inuse.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/airbuild/airbuild/internal/inuse"
)

// TempPrefix begins the names of temporary files and links, and of the files that
// airbuild keeps in a source tree. None of them is an input.
const TempPrefix = ".airbuild-"

// IsTemp reports whether a file of this name is a temporary one, which is removed when
// it is found beside outputs. Those that are kept have an extension, such as
// .airbuild-carried.json.
func IsTemp(name string) bool {
	rest, ok := strings.CutPrefix(name, TempPrefix)
	return ok && !strings.Contains(rest, ".")
}

// Options say how a file is written. The zero value is a file with the permissions
// that the umask leaves, and is not flushed.
type Options struct {
	// Root is where names are looked up; nil: they are those of the system. Nothing
	// outside a Root is written, whatever links are in it.
	Root *os.Root
	// Perm are the permissions, less the umask; zero: 0666.
	Perm fs.FileMode
	// Exact has the file get Perm whatever the umask is. Windows has no permissions.
	Exact bool
	// Mkdir are the permissions, less the umask, of directories that are missing;
	// zero: those must be there.
	Mkdir fs.FileMode
	// Temp is the base name of the temporary file, which replaces what has that name
	// already: a killed process leaves one at most. Empty: TempPrefix and random
	// text, so that many can write the same file at once.
	Temp string
	// Sync flushes the content before the file gets its name.
	Sync bool
	// SyncDir flushes the directory after that, so that the name lasts too.
	SyncDir bool
}

// A File is a temporary file that becomes another one by Commit. Callers defer Discard.
type File struct {
	*os.File
	o         Options
	temp      string // its name in o.Root
	closed    bool
	committed bool
}

// Create opens a temporary file in dir for reading and writing. The directory must be
// on the file system of the names that Commit will give.
func Create(dir string, o Options) (*File, error) {
	f := &File{o: o}
	var err error
	f.temp, err = o.temporary(dir, func(name string) (err error) {
		perm := o.perm()
		if o.Exact {
			perm |= 0o200 // until Close; Windows could not replace the file later
		}
		f.File, err = o.root().OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Close sets the permissions, flushes the content if so wanted and closes the file.
// Commit does that too; calling Close before it allows to change the finished file by
// its name.
func (f *File) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	var err error
	if f.o.Exact && runtime.GOOS != "windows" {
		err = f.Chmod(f.o.perm())
	}
	if err == nil && f.o.Sync {
		err = f.Sync()
	}
	return errors.Join(err, f.File.Close())
}

// Commit closes the file and renames it to name, which is a path in Options.Root and
// not relative to the temporary file.
func (f *File) Commit(name string) error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := f.o.rename(f.temp, name); err != nil {
		return err
	}
	f.committed = true
	return f.o.syncDir(name)
}

// Discard closes and removes the file. After a successful Commit it does nothing.
func (f *File) Discard() {
	if f.committed {
		return
	}
	if !f.closed {
		f.closed = true
		_ = f.File.Close()
	}
	_ = f.o.root().Remove(f.temp)
}

// Write writes b as the file name.
func Write(name string, b []byte, o Options) error {
	f, err := Create(filepath.Dir(name), o)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Commit(name)
}

// WriteFunc writes what write gives, unbuffered, as the file name.
func WriteFunc(name string, o Options, write func(io.Writer) error) error {
	f, err := Create(filepath.Dir(name), o)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := write(f); err != nil {
		return err
	}
	return f.Commit(name)
}

// Symlink makes name a symbolic link to target, in the place of a file or link that
// has the name. Of the options Root, Mkdir, Temp and SyncDir count.
func Symlink(target, name string, o Options) error {
	temp, err := o.temporary(filepath.Dir(name), func(temp string) error { return o.root().Symlink(target, temp) })
	if err != nil {
		return err
	}
	if err := o.rename(temp, name); err != nil {
		_ = o.root().Remove(temp)
		return err
	}
	return o.syncDir(name)
}

// SyncDir flushes the names in a directory. File systems that cannot do that, as those
// of some media, are taken as they are, and so is Windows.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return syncAndClose(d)
}

func syncAndClose(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// A directory is where names are looked up: an *os.Root, or anywhere for host.
type directory interface {
	Open(name string) (*os.File, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Symlink(target, name string) error
	MkdirAll(name string, perm fs.FileMode) error
	Remove(name string) error
}

// host takes names as the system does.
type host struct{}

func (host) Open(name string) (*os.File, error)           { return os.Open(name) }
func (host) Symlink(target, name string) error            { return os.Symlink(target, name) }
func (host) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }
func (host) Remove(name string) error                     { return os.Remove(name) }
func (host) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

func (o *Options) root() directory {
	if o.Root != nil {
		return o.Root
	}
	return host{}
}

func (o *Options) perm() fs.FileMode {
	if o.Perm == 0 {
		return 0o666
	}
	return o.Perm
}

// temporary has create make something in dir, and returns its name.
func (o *Options) temporary(dir string, create func(name string) error) (string, error) {
	base := o.Temp
	if base == "" {
		base = TempPrefix + rand.Text()
	}
	name := filepath.Join(dir, base)
	if o.Temp != "" {
		if err := o.root().Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return name, o.inDirOf(name, func() error { return create(name) })
}

func (o *Options) rename(from, to string) error {
	return o.inDirOf(to, func() error {
		if o.Root != nil {
			return inuse.RenameIn(o.Root, from, to)
		}
		return inuse.Rename(from, to)
	})
}

// inDirOf calls f, and again if the directory of name was missing.
func (o *Options) inDirOf(name string, f func() error) error {
	err := f()
	if o.Mkdir == 0 || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := o.root().MkdirAll(filepath.Dir(name), o.Mkdir); err != nil {
		return err
	}
	return f()
}

func (o *Options) syncDir(name string) error {
	if !o.SyncDir || runtime.GOOS == "windows" {
		return nil
	}
	d, err := o.root().Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return syncAndClose(d)
}
