package diagnose

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/host/hosttest"
)

var update = flag.Bool("update", false, "rewrite the samples from what the programs say now, and the diagnoses")

// sampleName is the file of the i-th sample of a kind, from 0.
func sampleName(kind string, i int) string {
	if i > 0 {
		kind = fmt.Sprintf("%s-%d", kind, i+1)
	}
	return filepath.Join("testdata", kind+".txt")
}

// eachSample calls f with every provocation and the file of its sample.
func eachSample(t *testing.T, f func(t *testing.T, p provocation, file string)) {
	seen := map[string]int{}
	for _, p := range provocations {
		file := sampleName(p.kind, seen[p.kind])
		seen[p.kind]++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { f(t, p, file) })
	}
}

// Every program that is here is made to fail anew, and what it says is
// classified as what it is. With -update it becomes the sample.
func TestProvoked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the provocations are for Linux")
	}
	gocache := goCache(t)
	eachSample(t, func(t *testing.T, p provocation, file string) {
		if p.captured != "" {
			t.Skipf("only captured: %s", p.captured)
		}
		for need := range strings.FieldsSeq(p.needs) {
			if !has(need) {
				t.Skipf("%s is not here; the captured text is tested", need)
			}
		}
		t.Parallel()
		out := provoke(t, p.script, gocache)
		if *update {
			if err := os.WriteFile(file, []byte(out), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if d := Classify([]byte(out), Context{}); d == nil || d.Kind != p.kind {
			t.Errorf("%+v of\n%s", d, out)
		}
	})
}

func goCache(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// has reports whether the host has a program, or something else by a word.
func has(need string) bool {
	if machine, ok := strings.CutPrefix(need, "uname:"); ok {
		out, err := exec.Command("uname", "-m").Output()
		return err == nil && strings.TrimSpace(string(out)) == machine
	}
	switch need {
	case "devfull":
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return err == nil
	case "shm":
		info, err := os.Stat("/dev/shm")
		return err == nil && info.IsDir()
	case "namespaces":
		return exec.Command("unshare", "-rmn", "true").Run() == nil
	}
	_, err := exec.LookPath(need)
	return err == nil
}

func provoke(t *testing.T, script, gocache string) string {
	t.Helper()
	dir := t.TempDir()
	work := filepath.Join(dir, "project")
	for _, d := range []string{work, filepath.Join(dir, "home"), filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = work
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + hosttest.Home(t, filepath.Join(dir, "home")), "TMPDIR=" + filepath.Join(dir, "tmp"), "LC_ALL=C", "PWD=" + work,
		"GOCACHE=" + gocache, "GOMODCACHE=" + filepath.Join(dir, "home", "mod"), "GOFLAGS=-modcacherw", "GOPROXY=off", "GOTOOLCHAIN=local", "GOENV=off",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + dir, "GIT_TERMINAL_PROMPT=0",
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err == nil {
		t.Errorf("nothing failed:\n%s", out.String())
	}
	text := strings.ReplaceAll(out.String(), work, "/project")
	return strings.ReplaceAll(text, dir, "")
}

// Every kind has a sample, every sample a kind, and each says what it said when
// it was looked over by a person.
func TestSamples(t *testing.T) {
	var report strings.Builder
	used := map[string]bool{"diagnoses.md": true}
	eachSample(t, func(t *testing.T, p provocation, file string) {
		used[filepath.Base(file)] = true
		out, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := Classify(out, Context{})
		if d == nil || d.Kind != p.kind {
			t.Fatalf("%+v of\n%s", d, out)
		}
		if strings.ContainsAny(d.Cause+d.Fix, "[]") || strings.Contains(d.Cause, "  ") || strings.Contains(d.Cause, " . ") || strings.HasSuffix(d.Cause, " .") || strings.Contains(d.Cause, ": :") {
			t.Errorf("clumsy: %s", d.Text())
		}
		how := "provoked by the test"
		if p.captured != "" {
			how = "captured only: " + p.captured
		}
		fmt.Fprintf(&report, "## %s\n\n%s\n\n```text\n%s\n```\n\n%s\n\n", strings.TrimSuffix(filepath.Base(file), ".txt"), how,
			strings.TrimRight(firstLines(string(out)), "\n"), "- "+strings.ReplaceAll(d.Text(), "\n", "\n- "))
	})
	for _, kind := range kinds() {
		if !slices.ContainsFunc(provocations, func(p provocation) bool { return p.kind == kind }) {
			t.Errorf("%s has no sample", kind)
		}
	}
	if n := len(kinds()); n < 40 {
		t.Errorf("only %d kinds", n)
	}
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !used[e.Name()] && !e.IsDir() {
			t.Errorf("testdata/%s belongs to no kind", e.Name())
		}
	}
	const golden = "testdata/diagnoses.md"
	if *update {
		if err := os.WriteFile(golden, []byte(report.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != report.String() {
		t.Errorf("%s is not what is said now (%v); go test ./engine/diagnose -update rewrites it", golden, err)
	}
}

func firstLines(s string) string {
	lines := strings.SplitAfterN(s, "\n", 9)
	return strings.Join(lines[:min(len(lines), 8)], "")
}

// What says nothing of a failure that is known is classified as nothing.
func TestNothing(t *testing.T) {
	for name, text := range map[string]string{
		"empty":          "",
		"go build -v":    "internal/goarch\nruntime\nerrors\nexample.com/app/internal/permission\nexample.com/app\n",
		"go test":        "ok  \texample.com/app\t0.012s\n?   \texample.com/app/cmd\t[no test files]\n",
		"go test -v":     "=== RUN   TestMissing\n    x_test.go:12: open none.txt: no such file or directory, as it should\n--- PASS: TestMissing (0.00s)\nPASS\n",
		"failing test":   "--- FAIL: TestSum (0.00s)\n    sum_test.go:8: got 3, want 4\nFAIL\nFAIL\texample.com/app\t0.004s\nFAIL\n",
		"test of errors": "--- FAIL: TestOpen (0.00s)\n    open_test.go:8: got \"permission denied\", want \"not found\"\nFAIL\n",
		"type error":     "./main.go:5:9: cannot use \"x\" (untyped string constant) as int value in return statement\n",
		"syntax error":   "./main.go:5:1: syntax error: unexpected }, expected expression\n",
		"unused":         "./main.go:3:8: \"os\" imported and not used\n",
		"gcc warning":    "x.c: In function 'main':\nx.c:3:5: warning: unused variable 'y' [-Wunused-variable]\n",
		"git":            "On branch main\nnothing to commit, working tree clean\n",
		"git clone":      "Cloning into 'app'...\nremote: Enumerating objects: 12, done.\nReceiving objects: 100% (12/12), done.\n",
		"tar -v":         "app/\napp/README.md\napp/command not found.txt\napp/No space left on device/\n",
		"make":           "make: Entering directory '/project'\ncc -o app main.c\nmake: Leaving directory '/project'\n",
		"make error":     "make: *** [Makefile:3: all] Error 1\n",
		"help":           "usage: app [-f FILE]\n  -f FILE  the file; if it is not found, nothing happens\n",
		"notes":          "Fixed: too many retries; the linker no longer says that a library is missing.\n",
		"exit":           "exit status 1\n",
		"list of errors": "errors.go: ErrPermission means access was refused\n",
		"http":           "GET /killed 200\nGET /out-of-memory 404\n",
		"found":          "config: found\ncache: found\n",
		"upx":            "   1048576 ->    524288   50.00%   linux/amd64   app\n\nPacked 1 file.\n",
		"curl":           "  % Total    % Received\n100  1256  100  1256\n",
		"docker":         "Successfully built 0123456789ab\nSuccessfully tagged app:latest\n",
		"unicode":        "Fehler: Datei oder Verzeichnis nicht gefunden\n",
		"braces":         "{}[]{name}[{program}]\n",
	} {
		if d := Classify([]byte(text), Context{}); d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// The last of several errors is not always the cause: what says more goes
// first.
func TestMoreSpecificFirst(t *testing.T) {
	text := "go: downloading\nerror obtaining VCS status: exit status 128\n\tUse -buildvcs=false to disable VCS stamping.\nfatal: not a git repository\n"
	if d := Classify([]byte(text), Context{}); d == nil || d.Kind != "go.vcs-status" {
		t.Errorf("%+v", d)
	}
}

func TestOffline(t *testing.T) {
	text := []byte("go: example.com/dep@v1.0.0: module lookup disabled by GOPROXY=off\n")
	online, offline := Classify(text, Context{}), Classify(text, Context{Offline: true})
	if online == nil || offline == nil || online.Fix == offline.Fix || !strings.Contains(offline.Fix, "bundle") || online.Details["module"] != "example.com/dep@v1.0.0" {
		t.Errorf("%+v %+v", online, offline)
	}
}

func TestPermissionTellsOwner(t *testing.T) {
	look := func(name string) (Access, bool) {
		return Access{Path: "/srv/private", Owner: "root", Mode: "drwx------", User: "uid 1000"}, name == "/srv/private/key"
	}
	d := Classify([]byte("open /srv/private/key: permission denied\n"), Context{Look: look})
	if d == nil || !strings.Contains(d.Cause, "belongs to root, mode drwx------") || !strings.Contains(d.Cause, "uid 1000") || !strings.Contains(d.Cause, "/srv/private blocks access") {
		t.Fatalf("%+v", d)
	}
	d = Classify([]byte("open private/key: permission denied\n"), Context{Look: look})
	if d == nil || strings.Contains(d.Cause, "belongs") {
		t.Errorf("%+v", d)
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	a, ok := Look(filepath.Join(dir, "none", "x"))
	if runtime.GOOS == "windows" {
		if ok {
			t.Errorf("%+v", a)
		}
		return
	}
	if !ok || a.Path != dir || a.Owner == "" || a.Owner != a.User || !strings.HasPrefix(a.Mode, "d") {
		t.Errorf("%+v %v", a, ok)
	}
	if _, ok := Look("relative"); ok {
		t.Error("a relative path was looked at")
	}
}

// Only the end counts, and a long text costs no more than a short one.
func TestOnlyTheEnd(t *testing.T) {
	filler := strings.Repeat("compiling something harmless\n", 100_000)
	if d := Classify([]byte("go: cannot find main module\n"+filler), Context{}); d != nil {
		t.Errorf("%+v", d)
	}
	if d := Classify([]byte(filler+"go: cannot find main module, but found x\n"), Context{}); d == nil {
		t.Error("the end was not looked at")
	}
	if d := Classify([]byte("sh: 1: nosuch: not found\n"+strings.Repeat("x\n", 50)), Context{}); d != nil {
		t.Errorf("far above the end: %+v", d)
	}
}

func FuzzClassify(f *testing.F) {
	samples, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(samples) < 40 {
		f.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, name := range samples {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := Classify(text, Context{})
		if d == nil {
			return
		}
		if d.Cause == "" || d.Fix == "" || len(d.Cause)+len(d.Fix) > 8*maxDetail+4096 || strings.Contains(d.Text(), "\n\n") {
			t.Errorf("%+v", d)
		}
		for name, detail := range d.Details {
			if len(detail) > maxDetail+len("…") || strings.Contains(detail, "\n") {
				t.Errorf("detail %s: %q", name, detail)
			}
		}
	})
}

// kinds are the kinds of failures that are known, in the order of the rules.
func kinds() []string {
	var all []string
	for _, r := range rules() {
		if !slices.Contains(all, r.kind) {
			all = append(all, r.kind)
		}
	}
	return all
}
