package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func systemName() Distribution { return Distribution{} }

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func memory() Memory {
	var m Memory
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemTotal:":
			m.Total = n << 10
		case "MemAvailable:":
			m.Available = n << 10
		}
	}
	m.Limit = cgroupLimit()
	return m
}

// cgroupLimit is the smallest memory limit of the process's control groups.
func cgroupLimit() int64 {
	limit := int64(0)
	take := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && n > 0 && n < 1<<60 && (limit == 0 || n < limit) {
			limit = n
		}
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "", ""
		switch {
		case parts[1] == "":
			base, file = "/sys/fs/cgroup", "memory.max"
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			base, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := parts[2]; ; {
			take(base + strings.TrimSuffix(group, "/") + "/" + file)
			i := strings.LastIndexByte(strings.TrimSuffix(group, "/"), '/')
			if i < 0 || group == "/" {
				break
			}
			group = group[:max(i, 1)]
		}
	}
	return limit
}

func limits() map[string]Limit {
	l := map[string]Limit{}
	for name, which := range map[string]int{"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "fsize": unix.RLIMIT_FSIZE} {
		var r unix.Rlimit
		if unix.Getrlimit(which, &r) == nil {
			l[name] = Limit{unlimited(r.Cur), unlimited(r.Max)}
		}
	}
	for name, file := range map[string]string{
		"inotify_watches": "max_user_watches", "inotify_instances": "max_user_instances",
	} {
		if text, err := os.ReadFile("/proc/sys/fs/inotify/" + file); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				l[name] = Limit{n, n}
			}
		}
	}
	return l
}

func unlimited(n uint64) int64 {
	if n > math.MaxInt64 {
		return -1
	}
	return int64(n)
}

func disk(dir string) Disk {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return Disk{FreeInodes: -1}
	}
	block := int64(s.Bsize)
	if s.Frsize > 0 {
		block = int64(s.Frsize)
	}
	d := Disk{Total: int64(s.Blocks) * block, Free: int64(s.Bavail) * block, FreeInodes: int64(s.Ffree), FileSystem: fileSystem(int64(s.Type))}
	if s.Files == 0 { // btrfs makes them as they are needed
		d.FreeInodes = -1
	}
	return d
}

func fileSystem(magic int64) string {
	name, ok := map[uint32]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs",
		unix.SMB_SUPER_MAGIC: "smb", 0xff534d42: "smb", 0xfe534d42: "smb",
		unix.MSDOS_SUPER_MAGIC: "vfat", 0x2011bab0: "exfat", unix.FUSE_SUPER_MAGIC: "fuse", 0x2fc12fc1: "zfs",
		unix.SQUASHFS_MAGIC: "squashfs", unix.ISOFS_SUPER_MAGIC: "iso9660", 0x01021997: "9p",
	}[uint32(magic)]
	if !ok {
		return fmt.Sprintf("%#x", uint32(magic))
	}
	return name
}

// clockSync asks the kernel whether something keeps the clock right.
func clockSync() string {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return ""
	}
	if state == 5 || t.Status&unix.STA_UNSYNC != 0 { // TIME_ERROR
		return "no"
	}
	return "yes"
}

// armFeatures are the processor's features, as the kernel names them.
func armFeatures() []string {
	if runtime.GOARCH != "arm64" {
		return nil
	}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "Features" {
			features := strings.Fields(value)
			slices.Sort(features)
			return features
		}
	}
	return nil
}

// probe tries services of the kernel that builds and sandboxes hang on. Each is
// called with arguments that change nothing.
func probe() map[string]Syscall {
	p := map[string]Syscall{}
	descriptor := func(name string, open func() (int, error)) {
		fd, err := open()
		if err == nil {
			unix.Close(fd)
		}
		p[name] = tried(err)
	}
	descriptor("epoll", func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) })
	descriptor("eventfd", func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) })
	descriptor("inotify", func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) })
	descriptor("memfd_create", func() (int, error) { return unix.MemfdCreate("airbuild", unix.MFD_CLOEXEC) })
	descriptor("pidfd_open", func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) })
	descriptor("timerfd", func() (int, error) { return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC) })
	descriptor("io_uring", ioUring)
	descriptor("openat2", func() (int, error) {
		return unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	})
	p["statx"] = tried(unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_BASIC_STATS, &unix.Statx_t{}))
	p["getrandom"] = tried(second(unix.Getrandom(make([]byte, 1), unix.GRND_NONBLOCK)))
	// On a file that is not open: that is what the kernel complains about if it
	// knows the call.
	const closed = -1
	p["copy_file_range"] = known(second(unix.CopyFileRange(closed, nil, closed, nil, 1, 0)), unix.EBADF)
	p["renameat2"] = known(unix.Renameat2(closed, "a", closed, "b", unix.RENAME_NOREPLACE), unix.EBADF)
	p["clone3"] = known(second(raw(unix.SYS_CLONE3, 0, 0)), unix.EINVAL)
	p["landlock"] = landlock()
	p["seccomp_notify"] = seccompNotify()
	p["user_namespaces"] = namespaces(unix.CLONE_NEWUSER)
	p["network_namespaces"] = namespaces(unix.CLONE_NEWUSER | unix.CLONE_NEWNET)
	p["mount_namespaces"] = namespaces(unix.CLONE_NEWUSER | unix.CLONE_NEWNS)
	p["pid_namespaces"] = namespaces(unix.CLONE_NEWUSER | unix.CLONE_NEWPID)
	return p
}

func second(_ int, err error) error { return err }

func tried(err error) Syscall {
	if err != nil {
		return Syscall{Detail: err.Error()}
	}
	return Syscall{Works: true}
}

// known is tried for a call whose right answer is an error.
func known(err, right error) Syscall {
	if err == nil || errors.Is(err, right) {
		return Syscall{Works: true}
	}
	return Syscall{Detail: err.Error()}
}

func raw(call, a, b uintptr) (int, error) {
	r, _, errno := unix.Syscall(call, a, b, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

func ioUring() (int, error) {
	var params [120]byte // struct io_uring_params
	return raw(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
}

func landlock() Syscall {
	const version = 1 // LANDLOCK_CREATE_RULESET_VERSION
	r, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, version)
	if errno != 0 {
		return tried(errno)
	}
	return Syscall{Works: true, Detail: fmt.Sprintf("ABI %d", r)}
}

func seccompNotify() Syscall {
	const getActionAvail, userNotify = 2, uint32(0x7fc00000)
	action := userNotify
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, getActionAvail, 0, uintptr(unsafe.Pointer(&action)))
	if errno != 0 {
		return tried(errno)
	}
	return Syscall{Works: true}
}

// namespaces tries to make namespaces in a child. The child is to become a
// program that is not there: if it gets so far as to say so, the namespaces
// were made. Nothing is executed.
func namespaces(flags uintptr) Syscall {
	attr := &syscall.ProcAttr{
		Env: []string{},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  flags,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		},
	}
	const nothing = "/proc/self/airbuild-no-such-program"
	pid, err := syscall.ForkExec(nothing, []string{nothing}, attr)
	if err == nil { // cannot be; it is waited for all the same
		var status syscall.WaitStatus
		syscall.Wait4(pid, &status, 0, nil)
		return Syscall{Works: true}
	}
	if errors.Is(err, syscall.ENOENT) {
		return Syscall{Works: true}
	}
	return Syscall{Detail: err.Error() + whyNoNamespaces()}
}

// whyNoNamespaces names the setting that forbids user namespaces.
func whyNoNamespaces() string {
	for _, s := range []struct{ file, forbids string }{
		{"/proc/sys/user/max_user_namespaces", "0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"},
	} {
		if text, err := os.ReadFile(s.file); err == nil && strings.TrimSpace(string(text)) == s.forbids {
			return " (" + strings.ReplaceAll(strings.TrimPrefix(s.file, "/proc/sys/"), "/", ".") + " is " + s.forbids + ")"
		}
	}
	return ""
}
