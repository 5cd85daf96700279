package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
)

// What cannot be removed is reported as that, each time, and never served. Root
// may remove anything, so it runs this as another user.
func TestDamageThatStays(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	s := open(t, t.TempDir())
	keys := small(t, s)
	name := s.entryFile(keys[0])
	edit(t, name, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	if err := os.Chmod(filepath.Dir(name), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Dir(name), 0o755) })
	for range 2 {
		var bad *action.Damaged
		if r, err := s.Result(t.Context(), keys[0]); r != nil || !errors.As(err, &bad) || bad.Kept == "" {
			t.Errorf("%v, %v", r, err)
		}
		report, err := s.Verify(t.Context(), nil)
		if err != nil || len(report.Damaged) != 1 || report.Damaged[0].Kept == "" {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

// asNobody runs the calling test again as a user without rights.
func asNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "airbuild-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	child := filepath.Join(dir, "child")
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(child, exe, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(child, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
