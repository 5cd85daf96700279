package inuse

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// hold opens a file as a program does that lets nobody else have it, or others read
// and write it, but not replace it.
func hold(t *testing.T, name string, share uint32) (release func()) {
	t.Helper()
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(p, windows.GENERIC_READ, share, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		t.Fatal(err)
	}
	held := true
	release = func() {
		if held {
			windows.CloseHandle(h)
			held = false
		}
	}
	t.Cleanup(release)
	return release
}

func TestHeldFileIsReported(t *testing.T) {
	for name, share := range map[string]uint32{"exclusive": 0, "read and write": windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE} {
		t.Run(name, func(t *testing.T) {
			root, dir := files(t, "new", "old")
			release := hold(t, filepath.Join(dir, "old"), share)
			if err := RenameIn(root, "new", "old"); !errors.Is(err, ErrInUse) {
				t.Errorf("rename: %v", err)
			}
			if err := RemoveIn(root, "old"); !errors.Is(err, ErrInUse) {
				t.Errorf("remove: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "new")); err != nil {
				t.Error(err)
			}
			release()
			if err := RenameIn(root, "new", "old"); err != nil {
				t.Errorf("rename after the other program closed it: %v", err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "old")); err != nil || string(b) != "new" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// What is released soon is waited for.
func TestHeldForAMoment(t *testing.T) {
	root, dir := files(t, "new", "old")
	release := hold(t, filepath.Join(dir, "old"), 0)
	tries := 0
	err := retry(func() error {
		if tries++; tries == 3 {
			release()
		}
		return root.Rename("new", "old")
	}, mayPass)
	if err != nil || tries < 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// Other errors are what they are, and at once.
func TestOtherErrors(t *testing.T) {
	root, dir := files(t, "new")
	begin := time.Now()
	if err := RenameIn(root, "missing", "x"); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
	if err := RemoveIn(root, "missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := Do(func() error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) || errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took >= patience {
		t.Errorf("it took %v", took)
	}
	release := hold(t, filepath.Join(dir, "new"), 0)
	read := func() error {
		_, err := os.ReadFile(filepath.Join(dir, "new"))
		return err
	}
	if err := Do(read); !errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
	release()
	if err := Do(read); err != nil {
		t.Error(err)
	}
}
