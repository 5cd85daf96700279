package store

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

	"github.com/airbuild/airbuild/internal/disktest"
	"golang.org/x/sys/unix"
)

// childFill mounts a file system of 1 MiB on its directory and fills it.
func childFill(args []string) error {
	dir := args[0]
	if err := disktest.Mount(dir, "size=1m"); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := context.Background()
	good, err := s.PutBytes(ctx, []byte("good"))
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, bytes.NewReader(make([]byte, 4<<20)))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(dir, "tmp")) {
		return fmt.Errorf("Put on a full disk: %v", err)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(files) > 0 {
		return fmt.Errorf("left in tmp: %v, %v", files, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := s.CopyTo(ctx, good, root, "copy", false); err != nil {
		return fmt.Errorf("after the failure: %w", err)
	}
	if r, err := s.Verify(ctx, nil); err != nil || !r.OK() || r.Blobs != 1 {
		return fmt.Errorf("after the failure: %+v, %v", r, err)
	}
	// Read-only: Open says what and where.
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err == nil {
		if _, err := s.Put(ctx, strings.NewReader("more")); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), dir) {
			return fmt.Errorf("Put on a read-only disk: %v", err)
		}
	}
	return nil
}

func TestFullDisk(t *testing.T) { disktest.Run(t, child(t, "fill", t.TempDir())) }

// An unwritable store is an error that names the file and is recognised.
func TestUnwritableStore(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() == 0 {
		// TMPDIR may lie below a directory that only root can enter.
		var err error
		if dir, err = os.MkdirTemp("/tmp", "airbuild-store-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	open(t, dir).Close()
	tmp := filepath.Join(dir, "tmp")
	if err := os.Chmod(tmp, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(tmp, 0o755) })
	cmd := child(t, "install", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if os.Getuid() == 0 {
		// Root may write anywhere: give the child its own root, which owns
		// nothing outside.
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "lock", "users"), 0o666); err != nil {
			t.Fatal(err)
		}
		exe, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = filepath.Join(dir, "child")
		if err := os.WriteFile(cmd.Path, exe, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	}
	if err := cmd.Run(); err == nil {
		t.Fatal("the store was written to")
	}
	for _, want := range []string{tmp, "permission denied", "recognised"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("error %q does not say %q", &stderr, want)
		}
	}
}
