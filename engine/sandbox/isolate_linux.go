package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resolvConf sends resolvers to the sandbox's own name server, once.
const resolvConf = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

// hostSockets lead to services of the host that look names up for others.
var hostSockets = [...]string{"/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"}

// isolate makes the namespaces that this process was started in what the setup
// says.
func (u *setup) isolate() error {
	mask := unix.Umask(0)
	defer unix.Umask(mask)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if !u.Network {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	if u.View == Declared {
		return u.enterRoot(u.fill)
	}
	if len(u.Root) > 0 {
		if err := u.enterRoot(u.fillWhole); err != nil {
			return err
		}
	}
	mountProc("/proc")
	if err := protectKernel(); err != nil {
		return err
	}
	if !u.Network {
		u.hideResolvers()
	}
	return nil
}

// mountProc shows this namespace's processes. In a container whose own /proc
// is covered in places the kernel refuses; then the outer one stays, in which
// processes have other numbers.
func mountProc(at string) error {
	return unix.Mount("proc", at, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// hideResolvers makes programs ask the sandbox's name server. It is only for
// naming attempts, so what cannot be done is left.
func (u *setup) hideResolvers() {
	for _, s := range hostSockets {
		if _, err := os.Stat(s); err == nil {
			unix.Mount("/dev/null", s, "", unix.MS_BIND, "")
		}
	}
	conf := memFile("resolv.conf", resolvConf)
	if conf == nil {
		return
	}
	defer conf.Close()
	// Without the file, the default is the same server. What a link leads to
	// is what gets covered.
	if _, err := os.Stat("/etc/resolv.conf"); err == nil {
		bindFile(conf, "/etc/resolv.conf")
	}
}

// memFile makes a file in a file system of its own that nobody else sees.
func memFile(name, content string) *os.File {
	const dir = "/proc" // any directory: it is covered for a moment only
	if err := unix.Mount("airbuild", dir, "tmpfs", 0, "size=64k,mode=755"); err != nil {
		return nil
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	p := path.Join(dir, name)
	if err := os.WriteFile(p, []byte(content), 0o444); err != nil {
		return nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, p, unix.OPEN_TREE_CLONE|unix.O_CLOEXEC)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), name)
}

// bindFile puts a detached file over another.
func bindFile(f *os.File, at string) error {
	if end := resolved(at); end != "" {
		at = end
	}
	return unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// loopbackUp switches "lo" on, with 127.0.0.1 and ::1.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if e := ioctl(fd, unix.SIOCSIFFLAGS, unsafe.Pointer(r)); e != 0 {
		return fmt.Errorf("switch loopback on: %w", e)
	}
	return nil
}

// outside is where the host's files are while a root is built.
const outside = "/.outside"

// enterRoot builds a root and makes it this process's.
func (u *setup) enterRoot(fill func() error) error {
	root := string(u.Root)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make root: %w", err)
	}
	if err := unix.Mount("airbuild", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m,mode=755"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	if err := os.Mkdir(root+outside, 0o700); err != nil {
		return fmt.Errorf("make root: %w", err)
	}
	if err := unix.PivotRoot(root, root+outside); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	if err := unix.Unmount(outside, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the host's files: %w", err)
	}
	os.Remove(outside)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr); err != nil {
		return ignoreOld(err, "protect root")
	}
	return nil
}

// ignoreOld forgives a kernel before 5.12 that it has no mount_setattr.
func ignoreOld(err error, what string) error {
	if errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// fill puts everything into the new root, in the order of setup.
func (u *setup) fill() error {
	for _, l := range u.Links {
		p := string(l.Path)
		os.MkdirAll(path.Dir(p), 0o755)
		os.Symlink(string(l.Target), p) // what is there already shows the same
	}
	for _, p := range u.Read {
		if err := show(string(p), string(p), true); err != nil {
			return err
		}
	}
	for _, p := range u.Hide {
		if err := unix.Mount("airbuild", string(p), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,mode=755"); err != nil {
			return fmt.Errorf("hide %s: %w", p, err)
		}
	}
	if err := u.makeUp(); err != nil {
		return err
	}
	// /tmp first: the others may be below it.
	for _, at := range [...]string{"/var/tmp", "/tmp"} {
		if len(u.Tmp) == 0 {
			break
		}
		if err := show(string(u.Tmp), at, false); err != nil {
			return err
		}
	}
	for _, p := range u.Tools {
		if err := show(string(p), string(p), true); err != nil {
			return err
		}
	}
	for _, b := range u.Write {
		if err := show(string(b.Src), string(b.Dst), false); err != nil {
			return err
		}
	}
	return nil
}

// fillWhole puts all of the host's root into the new one, and the Places.
func (u *setup) fillWhole() error {
	entries, err := os.ReadDir(outside)
	if err != nil {
		return fmt.Errorf("read the host's root: %w", err)
	}
	for _, e := range entries {
		p := "/" + e.Name()
		switch {
		case p == Own:
		case e.Type() == os.ModeSymlink:
			target, err := os.Readlink(outside + p)
			if err == nil {
				err = os.Symlink(target, p)
			}
			if err != nil {
				return fmt.Errorf("show %s: %w", p, err)
			}
		default:
			if err := show(p, p, false); err != nil {
				return err
			}
		}
	}
	for _, b := range u.Write {
		if err := show(string(b.Src), string(b.Dst), false); err != nil {
			return err
		}
	}
	return nil
}

// show binds a place of the host, and all that is mounted below it.
func show(src, dst string, readOnly bool) error {
	_, err := os.Lstat(outside + src)
	if readOnly && (errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)) {
		return nil
	}
	return cover(outside+src, dst, readOnly)
}

// cover binds a place, and all that is mounted below it, over another.
func cover(src, dst string, readOnly bool) error {
	info, err := os.Lstat(src)
	if err != nil {
		return fmt.Errorf("show %s: %w", dst, err)
	}
	if err := makePlace(dst, info.IsDir()); err != nil {
		return fmt.Errorf("show %s: %w", dst, err)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, src, unix.OPEN_TREE_CLONE|unix.O_CLOEXEC|unix.AT_RECURSIVE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return showOld(src, dst, readOnly)
	}
	if err != nil {
		return fmt.Errorf("show %s: %w", dst, err)
	}
	defer unix.Close(tree)
	if readOnly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return fmt.Errorf("show %s read-only: %w", dst, err)
		}
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, dst, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("show %s: %w", dst, err)
	}
	return nil
}

// showOld is show by the calls of kernels before 5.2. What is mounted below a
// read-only place keeps its own flags.
func showOld(src, dst string, readOnly bool) error {
	if err := unix.Mount(src, dst, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s: %w", dst, err)
	}
	if !readOnly {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dst, &fs); err != nil {
		return fmt.Errorf("show %s read-only: %w", dst, err)
	}
	// The flags that a mount has may be locked: they must be named again.
	keep := uintptr(fs.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	if err := unix.Mount("", dst, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|keep, ""); err != nil {
		return fmt.Errorf("show %s read-only: %w", dst, err)
	}
	return nil
}

// makePlace makes what a mount can be put on.
func makePlace(p string, dir bool) error {
	if _, err := os.Lstat(p); err == nil {
		return nil
	}
	if dir {
		return os.MkdirAll(p, 0o755)
	}
	if err := os.MkdirAll(path.Dir(p), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// devices of the host that a program may expect anywhere.
var devices = [...]string{"null", "zero", "full", "random", "urandom", "tty"}

// makeUp makes /proc, /dev and those files of /etc that are the same on every
// host.
func (u *setup) makeUp() error {
	for _, d := range [...]string{"/proc", "/dev/shm", "/dev/pts", "/tmp", "/var/tmp", "/etc"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("make root: %w", err)
		}
	}
	if mountProc("/proc") != nil {
		if err := show("/proc", "/proc", false); err != nil {
			return err
		}
	}
	for _, d := range devices {
		show("/dev/"+d, "/dev/"+d, false) // a container may lack one
	}
	unix.Mount("shm", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	if unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620") == nil {
		os.Symlink("pts/ptmx", "/dev/ptmx")
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		os.Symlink(to, path.Join("/dev", name))
	}
	for _, d := range [...]string{"/sys/devices/system/cpu"} {
		if err := show(d, d, true); err != nil {
			return err
		}
	}
	if err := protectKernel(); err != nil {
		return err
	}
	return u.makeUpEtc()
}

func (u *setup) makeUpEtc() error {
	unix.Sethostname([]byte(hostName))
	files := map[string]string{
		"passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":  "root:x:0:\nnogroup:x:65534:\n",
	}
	if u.UID != 0 && u.UID != 65534 {
		files["passwd"] += fmt.Sprintf("user:x:%d:%d::/tmp:/bin/sh\n", u.UID, os.Getgid())
		files["group"] += fmt.Sprintf("user:x:%d:\n", os.Getgid())
	}
	own := map[string]string{
		"hosts":         "127.0.0.1\tlocalhost " + hostName + "\n::1\tlocalhost\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"resolv.conf":   resolvConf,
	}
	for name, text := range own {
		if u.Network {
			b, err := os.ReadFile(resolveOutside("/etc/" + name))
			if err == nil {
				text = string(b)
			}
		}
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile("/etc/"+name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("make /etc/%s: %w", name, err)
		}
	}
	return nil
}

// hostName is every Declared sandbox's.
const hostName = "airbuild"

// resolveOutside follows the links of the host from here.
func resolveOutside(p string) string {
	for range maxLinks {
		target, err := os.Readlink(outside + p)
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(p), target)
		}
		p = path.Clean(target)
	}
	return outside + p
}
