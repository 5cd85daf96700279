package sandbox

import (
	"errors"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// errNoLandlock: the kernel has no Landlock, or it is off.
var errNoLandlock = errors.New("no Landlock")

// hasLandlock reports whether the kernel keeps files away when asked.
func hasLandlock() bool {
	v, err := llsys.LandlockGetABIVersion()
	return err == nil && v >= 1
}

// landlock keeps this process, and all that it starts, from files that the
// Declared view does not show. They are there and cannot be opened.
func (u *setup) landlock() error {
	if !hasLandlock() {
		return errNoLandlock
	}
	read := []string{"/proc", "/sys/devices/system/cpu", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/passwd", "/etc/group"}
	for _, list := range [][][]byte{u.Read, u.Tools} {
		read = append(read, toStrings(list)...)
	}
	write := []string{"/dev/shm", "/dev/pts"}
	for _, b := range u.Write {
		write = append(write, string(b.Src))
	}
	var files, ttys []string
	for _, d := range devices {
		ttys = append(ttys, "/dev/"+d)
	}
	var dirs []string
	for _, p := range read {
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			dirs = append(dirs, p)
		} else {
			files = append(files, p)
		}
	}
	// Without links and renames between directories (ABI 2) builds do not
	// work; what a kernel lacks beyond ABI 1 is left out.
	return landlock.V3.BestEffort().RestrictPaths(
		landlock.RODirs(dirs...).IgnoreIfMissing(),
		landlock.ROFiles(files...).IgnoreIfMissing(),
		landlock.RWFiles(ttys...).IgnoreIfMissing(),
		landlock.RWDirs(write...).WithRefer().IgnoreIfMissing(),
	)
}
