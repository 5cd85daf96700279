//go:build linux && (amd64 || arm64)

package trace

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 2 && os.Args[1] == "static-reader" { // a Go program with threads, that reads files
		done := make(chan bool)
		for _, name := range os.Args[3:] {
			go func() {
				os.ReadFile(name)
				done <- true
			}()
		}
		for range os.Args[3:] {
			<-done
		}
		os.Stdout.WriteString(strconv.FormatInt(time.Now().Unix(), 10))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func traced(t *testing.T, o Options, dir string, argv ...string) (string, error) {
	t.Helper()
	if err := Supported(context.Background()); err != nil {
		t.Skipf("this host lets no process be traced: %v", err)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	args, err := Command(os.Args[0], o, path, argv)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", args[1:]...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

func find(t *testing.T, r *Record, path string) Access {
	t.Helper()
	for _, a := range r.Accesses {
		if a.Path == path {
			return a
		}
	}
	return Access{}
}

func TestShellIsSeen(t *testing.T) {
	work, rec := t.TempDir(), t.TempDir()
	for _, name := range []string{"in", "untouched", "looked"} {
		if err := os.WriteFile(filepath.Join(work, name), []byte("x\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out, err := traced(t, Options{Dir: rec}, work, "sh", "-c", `(cat in | tr x y) ; test -f looked; echo a > made; mv made moved; exit 7`)
	var exit *exec.ExitError
	if e, ok := err.(*exec.ExitError); ok {
		exit = e
	}
	if out != "y" || exit == nil || exit.ExitCode() != 7 {
		t.Fatalf("%q, %v", out, err)
	}
	r, err := Read(rec)
	if err != nil || r.Incomplete != "" {
		t.Fatal(err, r)
	}
	at := func(name string) Access { return find(t, r, filepath.Join(work, name)) }
	if a := at("in"); !a.Read || !a.Found || a.Write {
		t.Errorf("in: %+v", a)
	}
	if a := at("looked"); !a.Stat || a.Read {
		t.Errorf("looked: %+v", a)
	}
	if a := at("untouched"); a.Path != "" {
		t.Errorf("untouched: %+v", a)
	}
	if a := at("moved"); !a.Write || a.Found || !a.Left {
		t.Errorf("moved: %+v", a)
	}
	if a := at("made"); !a.Write || a.Left {
		t.Errorf("made: %+v", a)
	}
}

func TestStaticThreadsAreSeen(t *testing.T) {
	work, rec := t.TempDir(), t.TempDir()
	args := []string{os.Args[0], "static-reader", "x"}
	for i := range 50 {
		name := filepath.Join(work, strconv.Itoa(i))
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		args = append(args, strconv.Itoa(i))
	}
	if _, err := traced(t, Options{Dir: rec}, work, args...); err != nil {
		t.Fatal(err)
	}
	r, err := Read(rec)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if a := find(t, r, filepath.Join(work, strconv.Itoa(i))); !a.Read {
			t.Errorf("file %d was not seen", i)
		}
	}
}

func TestClock(t *testing.T) {
	const shift = 400 * 24 * time.Hour
	for _, argv := range [][]string{{"date", "+%s"}, {os.Args[0], "static-reader", "x"}} {
		before := time.Now()
		out, err := traced(t, Options{Clock: shift}, t.TempDir(), argv...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := strconv.ParseInt(out, 10, 64)
		if err != nil || got < before.Add(shift).Unix() || got > time.Now().Add(shift).Unix() {
			t.Errorf("%s: %q, %v", argv[0], out, err)
		}
	}
}

func TestKilledIsIncomplete(t *testing.T) {
	rec := t.TempDir()
	if err := os.WriteFile(filepath.Join(rec, "trace-1.started"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if r, err := Read(rec); err != nil || r.Incomplete == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSignalEnds(t *testing.T) {
	_, err := traced(t, Options{Dir: t.TempDir()}, t.TempDir(), "sh", "-c", "kill -TERM $$")
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != -1 && exit.ExitCode() != 128+15 {
		t.Errorf("%v", err)
	}
}
