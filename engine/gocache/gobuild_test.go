package gocache

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/store"
)

// TestMain is also the program that go commands of the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(serveMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// dieAfter is a variable of the environment: the served go command loses its
// server as soon as it has asked for something.
const dieAfter = "AIRBUILD_TEST_DIE"

func serveMain(args []string) int {
	f := flag.NewFlagSet("serve", flag.ExitOnError)
	dir, report, ambient := f.String("store", "", ""), f.String("report", "", ""), f.String("ambient", "", "")
	salts := f.String("salts", "", "")
	f.Parse(args)
	m, err := Begin(*report)
	if err != nil {
		panic(err)
	}
	s, err := store.Open(*dir)
	if err != nil {
		panic(err)
	}
	if os.Getenv(dieAfter) != "" {
		time.AfterFunc(20*time.Millisecond, func() { os.Exit(137) })
	}
	srv := &Server{Store: s, Dir: *dir, Ambient: *ambient}
	if srv.Salts, err = ParseSalts(*salts); err != nil {
		panic(err)
	}
	if err := srv.Serve(context.Background(), os.Stdin, os.Stdout, m.End); err != nil {
		panic(err)
	}
	return 0
}

// writeModule writes a small module of one program and two packages.
func writeModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"go.mod":         "module example.com/m\n\ngo 1.24\n",
		"main.go":        "package main\n\nimport (\n\t\"example.com/m/lib\"\n\t\"example.com/m/other\"\n)\n\nfunc main() { println(lib.Name, other.Name) }\n",
		"lib/lib.go":     "package lib\n\nconst Name = \"lib\"\n\nfunc F() {}\n",
		"other/other.go": "package other\n\nconst Name = \"other\"\n\nfunc F() {}\n",
	})
	return dir
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
}

// goBuild is go build -o out in dir, with nothing of the host's settings.
func goBuild(t *testing.T, dir, out string, env ...string) *exec.Cmd {
	t.Helper()
	return goCommand(dir, env, "build", "-trimpath", "-buildvcs=false", "-o", out, ".")
}

func goCommand(dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOENV=off", "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOTELEMETRY=off", "GOCACHEPROG=")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// hostCache is the GOCACHE of this host, so that not every test compiles the
// standard library.
func hostCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// served is the environment of a go command that is served from the store in
// dir, and the directory of its reports.
func served(t *testing.T, dir, ambient string) (env []string, reports string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cache{Dir: dir, Command: []string{self, "serve", "-store", dir}}
	u := &session{dir: t.TempDir()}
	env, err = c.environ(u, []string{"GOCACHE=" + ambient})
	if err != nil {
		t.Fatal(err)
	}
	return env, u.dir
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// used is the merged report of what was served.
func used(t *testing.T, reports string) *Report {
	t.Helper()
	r, lost, err := readReports(reports)
	if err != nil || lost != 0 {
		t.Fatalf("%d lost, %v", lost, err)
	}
	return r
}

// spaced is a directory whose name needs quotes.
func spaced(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "it's a \tstore")
	if runtime.GOOS == "windows" {
		dir = filepath.Join(t.TempDir(), "it's a store")
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Built with and without, in different places and from different stores, the
// bytes are the same; and an edit compiles its package and the dependents.
func TestBuildsAreTheSameAndIncremental(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	host, bin := hostCache(t), t.TempDir()
	plain, one, two := filepath.Join(bin, "plain"), filepath.Join(bin, "one"), filepath.Join(bin, "two")
	run(t, goBuild(t, writeModule(t), plain, "GOCACHE="+host))
	dir := spaced(t)
	env, reports := served(t, dir, host)
	project := writeModule(t)
	run(t, goBuild(t, project, one, env...))
	if r := used(t, reports); count(r.Hits)+count(r.Puts) < 5 || len(r.Notes)+len(r.Damaged) != 0 {
		t.Errorf("first: %d hits, %d misses, %q, %q", count(r.Hits), count(r.Puts), r.Notes, r.Damaged)
	}

	// Another store that is a copy, another project, an empty GOCACHE.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	elsewhere := writeModule(t)
	env, reports = served(t, moved, filepath.Join(bin, "no cache"))
	run(t, goBuild(t, elsewhere, two, env...))
	if r := used(t, reports); count(r.Puts) != 0 || count(r.Hits) < 5 {
		t.Errorf("elsewhere: %d hits, %d misses", count(r.Hits), count(r.Puts))
	}
	for _, name := range []string{one, two} {
		if !bytes.Equal([]byte(fileText(t, plain)), []byte(fileText(t, name))) {
			t.Errorf("%s differs", name)
		}
	}

	writeFiles(t, elsewhere, map[string]string{"lib/lib.go": "package lib\n\nconst Name = \"edited\"\n\nfunc F() {}\n"})
	env, reports = served(t, moved, "")
	run(t, goBuild(t, elsewhere, two, env...))
	if r := used(t, reports); count(r.Puts) != 2 {
		t.Errorf("after an edit of lib: %d hits, %d misses, want lib and main", count(r.Hits), count(r.Puts))
	}
}

// The go command moves what is in its cache to where it is wanted, if it may.
func TestAnObjectThatIsTheOutputStays(t *testing.T) {
	dir, project := t.TempDir(), writeModule(t)
	host := hostCache(t)
	for range 2 {
		env, _ := served(t, dir, host)
		out := filepath.Join(t.TempDir(), "lib.a")
		run(t, goCommand(project, env, "build", "-trimpath", "-buildmode=archive", "-o", out, "./lib"))
		if !strings.HasPrefix(fileText(t, out), string(packageMagic)) {
			t.Error("the output is not a package")
		}
		if err := os.WriteFile(out, []byte("a user writes to an output"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir)
	if r, err := s.Verify(t.Context(), nil); err != nil || !r.OK() || r.Entries == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := s.TakeDamaged(); len(got) != 0 {
		t.Errorf("damaged: %v", got)
	}
}

// Several go commands with one store.
func TestConcurrentBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	dir, host := t.TempDir(), hostCache(t)
	var all sync.WaitGroup
	for range 4 {
		env, _ := served(t, dir, host)
		cmd := goBuild(t, writeModule(t), filepath.Join(t.TempDir(), "m"), env...)
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	all.Wait()
	if r, err := openStore(t, dir).Verify(t.Context(), nil); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

// A server that dies takes the go command with it, and nothing else: the store
// is whole, and its mark stays for the one who looks.
func TestServerDies(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	dir := t.TempDir()
	env, reports := served(t, dir, "")
	cmd := goBuild(t, writeModule(t), filepath.Join(t.TempDir(), "m"), append(env, dieAfter+"=1")...)
	out, err := cmd.CombinedOutput()
	if err == nil { // what the go command says depends on what it asked for
		t.Errorf("it was built\n%s", out)
	}
	if _, lost, err := readReports(reports); err != nil || lost != 1 {
		t.Errorf("%d lost, %v", lost, err)
	}
	env, _ = served(t, dir, hostCache(t))
	run(t, goBuild(t, writeModule(t), filepath.Join(t.TempDir(), "m"), env...))
}

// Results of tests are cached as ever: until the test's inputs change.
func TestCachedTestResults(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	dir, project, host := t.TempDir(), writeModule(t), hostCache(t)
	writeFiles(t, project, map[string]string{
		"lib/lib_test.go": "package lib\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestF(t *testing.T) {\n\tif b, err := os.ReadFile(\"input\"); err != nil || string(b) != os.Getenv(\"WANT\") {\n\t\tt.Fatalf(\"%q, %v\", b, err)\n\t}\n}\n",
		"lib/input":       "a",
	})
	old := time.Now().Add(-time.Hour) // the go command does not trust what is new
	if err := os.Chtimes(filepath.Join(project, "lib", "input"), old, old); err != nil {
		t.Fatal(err)
	}
	test := func(want string) (string, error) {
		env, _ := served(t, dir, host)
		out, err := goCommand(project, append(env, "WANT="+want), "test", "-trimpath", "./lib").CombinedOutput()
		return string(out), err
	}
	if out, err := test("a"); err != nil || strings.Contains(out, "(cached)") {
		t.Errorf("first: %v\n%s", err, out)
	}
	if out, err := test("a"); err != nil || !strings.Contains(out, "(cached)") {
		t.Errorf("again: %v\n%s", err, out)
	}
	if out, err := test("b"); err == nil {
		t.Errorf("another environment: %s", out)
	}
	writeFiles(t, project, map[string]string{"lib/input": "bb"})
	if out, err := test("a"); err == nil {
		t.Errorf("another file: %s", out)
	}
}

func TestCgo(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles C")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("this host has no gcc")
	}
	dir, host := t.TempDir(), hostCache(t)
	project := t.TempDir()
	writeFiles(t, project, map[string]string{
		"go.mod":  "module example.com/c\n\ngo 1.24\n",
		"main.go": "package main\n\n// static int two(void) { return 2; }\nimport \"C\"\n\nfunc main() { println(C.two()) }\n",
	})
	for i := range 2 {
		env, reports := served(t, dir, host)
		out := filepath.Join(t.TempDir(), "c")
		run(t, goBuild(t, project, out, append(env, "CGO_ENABLED=1")...))
		if got := run(t, exec.Command(out)); got != "2\n" {
			t.Errorf("it says %q", got)
		}
		if r := used(t, reports); i == 1 && count(r.Puts) != 0 {
			t.Errorf("again: %d misses", count(r.Puts))
		}
	}
}
