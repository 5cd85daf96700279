package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// typeBits are those of a mode that tell a file from a directory.
const typeBits = uint32(fs.ModeType)

// A looker looks at paths below one directory.
type looker struct{ top string }

func openLooker(top string) (*looker, error) { return &looker{top}, nil }

func (l *looker) close() {}

// look takes what git for Windows goes by: size, time of the last write, time
// of creation. There is no inode to be had without opening the file.
func (l *looker) look(name string, follow bool) (state, error) {
	if name = filepath.FromSlash(name); !filepath.IsAbs(name) {
		name = filepath.Join(l.top, name)
	}
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	info, err := stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	s := state{size: info.Size(), mtime: info.ModTime().UnixNano(), ctime: info.ModTime().UnixNano(), mode: uint32(info.Mode()), device: 1}
	if d, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		s.inode = uint64(d.CreationTime.Nanoseconds()) // tells a directory that was made anew
		s.ctime = max(s.mtime, d.CreationTime.Nanoseconds())
	}
	return s, nil
}
