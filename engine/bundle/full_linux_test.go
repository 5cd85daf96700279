package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// childFill has small file systems in a mount namespace of its own. It gets a
// directory for them and a bundle.
func childFill(args []string) error {
	dir, layout := args[0], args[1]
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("no mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("no mounts: %w", err)
	}
	if err := fillCreate(dir); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		return err
	}
	if err := fillImport(dir, layout); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

func fillCreate(dir string) error {
	ctx := context.Background()
	to := filepath.Join(dir, "bundle")
	if _, err := Create(ctx, to, many().spec(1), manyOptions); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("on a full disk: %v", err)
	}
	if _, err := Open(ctx, anyone, to); !errors.Is(err, format.ErrRefused) {
		return fmt.Errorf("there is a bundle: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m"); err != nil {
		return err
	}
	if _, err := Create(ctx, to, many().spec(1), manyOptions); err != nil {
		return err
	}
	b, err := Open(ctx, anyone, to)
	if err != nil {
		return err
	}
	defer b.Close()
	r, err := b.Verify(ctx, VerifyOptions{Deep: true})
	if err != nil || !r.OK() {
		return fmt.Errorf("%+v, %v", r, err)
	}
	return nil
}

func fillImport(dir, layout string) error {
	b, err := Open(context.Background(), anyone, layout)
	if err != nil {
		return err
	}
	defer b.Close()
	h, err := openHost(nil, dir)
	if err != nil {
		return err
	}
	defer h.store.Close()
	if _, err := h.tryImport(b); !errors.Is(err, format.ErrSpace) || !strings.Contains(err.Error(), "are free") {
		return fmt.Errorf("too little space: %v", err)
	}
	// Space for the bytes, but not for so many files.
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m,nr_inodes=200"); err != nil {
		return err
	}
	if _, err := h.tryImport(b); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("on a full disk: %v", err)
	}
	if list, err := ListCarried(h.cache); err != nil || len(list) > 0 {
		return fmt.Errorf("published: %v, %v", list, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m,nr_inodes=20000"); err != nil {
		return err
	}
	done, err := h.tryImport(b)
	if err != nil || !done.Resumed || done.Kept == 0 {
		return fmt.Errorf("with space: %+v, %v", done, err)
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	layout := t.TempDir()
	makeBundle(t, layout, many().spec(1), manyOptions)
	cmd := child(t, "fill", t.TempDir(), layout)
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
		strings.Contains(stderr.String(), "no mounts"):
		t.Skipf("this machine allows no small file system to be mounted, which is how a disk is filled: %v %s", err, &stderr)
	case err != nil:
		t.Errorf("%v: %s", err, &stderr)
	}
}
