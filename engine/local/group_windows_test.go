package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// lingerArg makes the test binary a program that starts another one, as deep as
// its second argument says, and neither of them ends: it ignores interrupts. Each
// writes its process number to a file of its own in the directory of the first
// argument.
const lingerArg = "linger"

func init() {
	if len(os.Args) < 2 || os.Args[1] != lingerArg {
		return
	}
	if err := linger(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func linger(dir, depth string) error {
	signal.Ignore(os.Interrupt)
	n, err := strconv.Atoi(depth)
	if err != nil {
		return err
	}
	if n > 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := exec.Command(self, lingerArg, dir, strconv.Itoa(n-1)).Start(); err != nil {
			return err
		}
	}
	pid := filepath.Join(dir, depth)
	if err := os.WriteFile(pid+".new", []byte(strconv.Itoa(os.Getpid())), 0o666); err != nil {
		return err
	}
	if err := os.Rename(pid+".new", pid); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

// What a step has started, and what that has started, is gone when a cancelled
// Execute returns.
func TestCancelEndsDescendants(t *testing.T) {
	r := openRig(t, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := engine.Step{Name: "s", Mode: engine.Staged, Command: action.Command{Arguments: []string{self, lingerArg, dir, "2"}}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := r.do(ctx, s)
		done <- err
	}()
	var processes []windows.Handle
	for depth := range 3 {
		h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, waitForPid(t, filepath.Join(dir, strconv.Itoa(depth)), done))
		if err != nil {
			t.Fatal(err)
		}
		defer windows.CloseHandle(h)
		processes = append(processes, h)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for depth, h := range processes {
		// The system ends them at once, and says so a little later.
		if event, err := windows.WaitForSingleObject(h, 60_000); event != windows.WAIT_OBJECT_0 {
			t.Errorf("the process at depth %d is still there: %#x %v", depth, event, err)
		}
	}
}

func waitForPid(t *testing.T, name string, ended <-chan error) uint32 {
	t.Helper()
	for {
		if b, err := os.ReadFile(name); err == nil {
			pid, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(pid)
		}
		select {
		case err := <-ended:
			t.Fatalf("the step ended by itself: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A step that ends by itself leaves nothing running either, and its exit code is
// its own.
func TestEndOfStepEndsDescendants(t *testing.T) {
	r := openRig(t, nil)
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The parent exits as soon as its child has written its number.
	s := engine.Step{Name: "s", Mode: engine.Staged, Command: action.Command{Arguments: []string{self, leaveArg, dir}}}
	res, err := r.do(context.Background(), s)
	if err != nil || res.ExitCode != 7 {
		t.Fatalf("%v %+v", err, res)
	}
	b, err := os.ReadFile(filepath.Join(dir, "0"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return // gone
	}
	defer windows.CloseHandle(h)
	if event, err := windows.WaitForSingleObject(h, 60_000); event != windows.WAIT_OBJECT_0 {
		t.Errorf("the child is still there: %#x %v", event, err)
	}
}

// leaveArg makes the test binary a program that leaves a lingering child behind
// and exits with code 7.
const leaveArg = "leave"

func init() {
	if len(os.Args) < 2 || os.Args[1] != leaveArg {
		return
	}
	self, err := os.Executable()
	if err == nil {
		err = exec.Command(self, lingerArg, os.Args[2], "0").Start()
	}
	for err == nil {
		if _, serr := os.Stat(filepath.Join(os.Args[2], "0")); serr == nil {
			os.Exit(7)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
