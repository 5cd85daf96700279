package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// children are what other processes of the tests do; see TestMain.
var children = map[string]func([]string) error{
	"write":   childWrite,
	"count":   childCount,
	"hold":    childHold,
	"users":   childUsers,
	"fill":    childFill,
	"install": childPut,
}

func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// childWrite stores blobs, trees and results until it is killed, or n times,
// counting from a number.
func childWrite(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	from, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	fmt.Println("ready")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for w := range errs {
		wg.Go(func() {
			for i := from; n == 0 || i < from+n; i++ {
				if errs[w] = writeOnce(s, i); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// writeOnce does what a step does. All workers write the same things.
func writeOnce(s *Disk, i int) error {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(uint64(i), 0))
	blob := bytes.Repeat([]byte(fmt.Sprint("blob ", i, "\n")), 1+r.IntN(20_000))
	d, err := s.Put(ctx, bytes.NewReader(blob))
	if err != nil {
		return err
	}
	tree := action.Tree{Root: action.Directory{Files: []action.FileNode{{Name: "f", Digest: d}}}}
	td, err := s.PutBytes(ctx, tree.Marshal())
	if err != nil {
		return err
	}
	key := action.Of(fmt.Append(nil, "action ", i))
	return s.PutResult(ctx, key, &action.Result{
		OutputFiles:       []action.OutputFile{{Path: "f", Digest: d}},
		OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: td}},
	})
}

// Killed at any moment, a writer leaves whole blobs, whole entries and entries
// whose blobs are there, besides temporary files.
func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 25 {
		// Half of what the one before began is there already.
		cmd := child(t, "write", dir, "0", strconv.Itoa(10*i))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 1)) // it has begun, or died
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); !strings.Contains(fmt.Sprint(err), "killed") && cmd.ProcessState.ExitCode() != 1 {
			t.Fatalf("the writer was not killed: %v", err)
		}
		s := open(t, dir)
		report, err := s.Verify(t.Context(), nil)
		if err != nil || !report.OK() {
			t.Fatalf("%+v, %v", report, err)
		}
		s.Close()
	}
	s := open(t, dir)
	n, err := s.Info(t.Context())
	if err != nil || n.Entries == 0 {
		t.Fatalf("the writers wrote nothing: %+v, %v", n, err)
	}
	t.Logf("%d blobs, %d entries, %d temporary files left", n.Blobs, n.Entries, n.Temps)
	s.now = func() time.Time { return time.Now().Add(2 * tempGrace) }
	if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil || len(temps(t, s)) > 0 {
		t.Errorf("temporary files left after pruning: %v, %v", temps(t, s), err)
	}
}

// Several processes write the same things at once.
func TestManyWriters(t *testing.T) {
	dir := t.TempDir()
	const rounds = 20
	var cmds []*exec.Cmd
	for range 4 {
		cmd := child(t, "write", dir, strconv.Itoa(rounds), "0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	s := open(t, dir)
	report, err := s.Verify(t.Context(), nil)
	if err != nil || !report.OK() || report.Entries != rounds || report.Blobs != 2*rounds {
		t.Errorf("%+v, %v", report, err)
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// childCount adds one to the number in a file, n times, under the lock.
func childCount(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	return count(s, args[1], 20)
}

func count(s *Disk, file string, n int) error {
	for range n {
		unlock, err := s.Lock(context.Background(), action.Of([]byte(file)), nil)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		i, err := strconv.Atoi(string(b))
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		if err := os.WriteFile(file, []byte(strconv.Itoa(i+1)), 0o644); err != nil {
			return err
		}
		unlock()
	}
	return nil
}

// A counter that processes and goroutines share loses nothing.
func TestLockExcludes(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "n")
	if err := os.WriteFile(file, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := child(t, "count", dir, file).Run(); err != nil {
				t.Error(err)
			}
		})
	}
	s := open(t, dir)
	for range 2 {
		wg.Go(func() {
			if err := count(s, file, 20); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b, err := os.ReadFile(file); err != nil || string(b) != "80" {
		t.Errorf("counted to %s, %v", b, err)
	}
}

// childHold takes the lock and keeps it until it is killed.
func childHold(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	if _, err := s.Lock(context.Background(), action.Of([]byte("key")), nil); err != nil {
		return err
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	return errors.New("nobody killed the holder")
}

// start starts a child and waits for the first thing that it says.
func start(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := child(t, role, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if n, err := out.Read(make([]byte, 1)); n == 0 {
		t.Fatalf("the child said nothing: %v", err)
	}
	return cmd
}

// Who waits is told so once, can stop, and gets the lock when its holder dies.
func TestLockWaits(t *testing.T) {
	dir := t.TempDir()
	holder := start(t, "hold", dir)
	s := open(t, dir)
	key := action.Of([]byte("key"))

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	waits := 0
	if _, err := s.Lock(ctx, key, func() { waits++ }); !errors.Is(err, context.DeadlineExceeded) || waits != 1 {
		t.Fatalf("error %v after %d waits", err, waits)
	}

	time.AfterFunc(100*time.Millisecond, func() { holder.Process.Kill() })
	unlock, err := s.Lock(t.Context(), key, func() { waits++ })
	if err != nil || waits != 2 {
		t.Fatalf("error %v after %d waits", err, waits)
	}
	unlock()
}

// In one process: the same action waits, another of the same lock file does
// not, and nobody is told of another process.
func TestLockInProcess(t *testing.T) {
	s := open(t, t.TempDir())
	a := action.Digest{Hash: [32]byte{1, 2, 3}, Size: 1}
	b := action.Digest{Hash: [32]byte{1, 2, 4}, Size: 1}
	never := func() { t.Error("told of another process") }
	unlockA, err := s.Lock(t.Context(), a, never)
	if err != nil {
		t.Fatal(err)
	}
	unlockB, err := s.Lock(t.Context(), b, never)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(ctx, a, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked twice: %v", err)
	}
	unlockA()
	again, err := s.Lock(t.Context(), a, never)
	if err != nil {
		t.Fatal(err)
	}
	again()

	// The file stays locked for other processes while b is held.
	other := open(t, s.Dir())
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := other.Lock(ctx, a, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another user of the store got the lock: %v", err)
	}
	unlockB()
	free, err := other.Lock(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	free()
}

// childUsers keeps the store open until it is killed.
func childUsers(args []string) error {
	if _, err := Open(args[0]); err != nil {
		return err
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	return nil
}

func TestPruneInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	small(t, s)
	user := start(t, "users", dir)
	if _, err := s.Prune(t.Context(), PruneOptions{MaxBytes: 1}); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v, want %v", err, ErrInUse)
	}
	if r, err := s.Prune(t.Context(), PruneOptions{MaxBytes: 1, DryRun: true}); err != nil || r.Entries != 2 {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	user.Process.Kill()
	user.Wait()
	if r, err := s.Prune(t.Context(), PruneOptions{MaxBytes: 1}); err != nil || r.Entries != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// childPut opens a store and puts a blob; its error is what the test reads.
func childPut(args []string) error {
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Put(context.Background(), strings.NewReader("text"))
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("recognised as a matter of permission: %w", err)
	}
	return err
}
