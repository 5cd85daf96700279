package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// noMounts begins what a child says that cannot mount file systems.
const noMounts = "no mounts"

// Run runs cmd, a child process of the test, where it may mount file systems that
// nobody else sees. The test is skipped if this machine does not allow that, and fails
// if the child does.
func Run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	err := cmd.Run()
	switch {
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL),
		strings.Contains(stderr.String(), noMounts):
		t.Skipf("this machine allows no small file system to be mounted, which is how a disk is filled: %v %s", err, &stderr)
	case err != nil:
		t.Errorf("%v: %s", err, &stderr)
	}
}

// Mount mounts an empty file system on dir; a child of Run calls it. The options are
// those of tmpfs, such as "size=1m".
func Mount(dir, options string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf(noMounts+": %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return fmt.Errorf(noMounts+": %w", err)
	}
	return nil
}

// Remount changes the options of what Mount mounted on dir.
func Remount(dir, options string) error {
	return unix.Mount("", dir, "", unix.MS_REMOUNT, options)
}
