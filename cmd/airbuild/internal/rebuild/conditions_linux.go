package rebuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine decides whether the second build can be another user on another host.
func (v *Rebuild) confine(ctx context.Context, w *Conditions) {
	was := syscall.Umask(0)
	syscall.Umask(was)
	w.Umask = otherUmask
	if was == otherUmask {
		w.Umask = 0o022
	}
	w.differ("umask", fmt.Sprintf("%04o", was), fmt.Sprintf("%04o", w.Umask))
	if err := canConfine(ctx); err != nil {
		why := "there are no user namespaces here: " + err.Error()
		w.same("host name", why)
		w.same("user number", why)
		return
	}
	w.Host, w.Confined = otherHost, true
	name, _ := os.Hostname()
	w.differ("host name", name, otherHost)
	w.differ("user number", fmt.Sprint(os.Getuid()), fmt.Sprint(otherUID))
}

// canConfine tries it.
func canConfine(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{os.Args[0], "version"}
	cmd.SysProcAttr = confinement()
	return cmd.Run()
}

// confinement is a namespace of users in which this one has another number, and
// one of host names.
func confinement() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWUTS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: otherUID, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: otherUID, HostID: os.Getegid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
}

// attach has the process start in its world.
func (w *Conditions) attach(cmd *exec.Cmd) {
	if w.Confined {
		cmd.SysProcAttr = confinement()
	}
}

// enter makes the rest of the world, and gives up the right to.
func (w *Conditions) enter() error {
	if w.Umask >= 0 {
		syscall.Umask(w.Umask)
	}
	if !w.Confined {
		return nil
	}
	if err := unix.Sethostname([]byte(w.Host)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}
