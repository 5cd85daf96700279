package sandbox

import (
	"errors"
	"os"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"

	"github.com/airbuild/airbuild/internal/lists"
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
	read = append(read, toStrings(slices.Concat(u.Read, u.Tools))...)
	write := []string{"/dev/shm", "/dev/pts"}
	for _, b := range u.Write {
		write = append(write, string(b.Src))
	}
	ttys := lists.Map(devices[:], func(d string) string { return "/dev/" + d })
	var files, dirs []string
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
