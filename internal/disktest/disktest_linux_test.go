package disktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// childEnv has the directory that the test binary fills instead of testing.
const childEnv = "AIRBUILD_DISKTEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := fill(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fill writes two MiB where one fits, and again where both fit.
func fill(dir string) error {
	if err := Mount(dir, "size=1m"); err != nil {
		return err
	}
	write := func() error { return os.WriteFile(filepath.Join(dir, "file"), make([]byte, 2<<20), 0o666) }
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("on a full disk: %v", err)
	}
	if err := Remount(dir, "size=3m"); err != nil {
		return err
	}
	return write()
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	Run(t, cmd)
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("what the child mounted is seen here: %v, %v", files, err)
	}
}
