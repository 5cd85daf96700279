package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/trace"
	"github.com/airbuild/airbuild/tasks/golang/buildvcs"
)

// The scripts in testdata/script are the specification of the program's
// behaviour. The first word of a script's name is its category. Beside the
// standard commands there are:
//
//	airbuild ARG…            the program under test
//	exits N airbuild ARG…    it ends with exit code N
//	git-init [-notag] [DIR]  make a repository with one commit of all files, the
//	                         tag v1.0.0, and a fixed author and date
//	git-commit [-tag TAG]    commit all changes, a day after the last commit
//	flip [-keep-time] FILE…  change one byte in the middle of each file; FILE may
//	                         be a pattern that matches at least one
//	random FILE SIZE         write bytes that do not compress, the same ones each time
//	go-proxy MODULES PROXY   make a GOPROXY tree of the folders path@version
//	snapshot DIR FILE [WITHOUT…]
//	                         write down names, modes, times and contents below DIR
//	json FILE [-count N] COND…
//	                         FILE ("stdout") holds JSON, one value a line, and one
//	                         of them (or exactly N) meets all conditions: PATH=TEXT,
//	                         PATH~REGEXP; a PATH is made of names, indices and
//	                         "len": outputs.0.path=dist/a
//
// They run as TestScripts/CATEGORY/NAME: the category is the name's first word.
func TestScripts(t *testing.T) {
	warmGoCache(t)
	goenv := goEnv(t, "GOCACHE", "GOMODCACHE", "GOPROXY")
	proxy := "off"
	if strings.HasPrefix(goenv["GOPROXY"], "file:") {
		proxy = goenv["GOPROXY"]
	}
	relays := &relayScripts{}
	carried := carriedTree(t)
	params := testscript.Params{
		RequireUniqueNames: true,
		Condition:          hostCondition,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, ".home")
			if err := os.Mkdir(home, 0o777); err != nil {
				return err
			}
			e.Setenv("HOME", home)
			e.Setenv("USERPROFILE", home)
			e.Setenv("AIRBUILD_CACHE", filepath.Join(e.WorkDir, ".cache"))
			// The host's own caches: compiled packages are the same everywhere.
			e.Setenv("GOCACHE", goenv["GOCACHE"])
			e.Setenv("GOMODCACHE", goenv["GOMODCACHE"])
			e.Setenv("GOPROXY", proxy)
			e.Setenv("GOFLAGS", "-mod=mod")
			e.Setenv("GOTOOLCHAIN", "local")
			for name, value := range carried {
				e.Setenv(name, value)
			}
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			// Above the project there is no other, wherever TMPDIR is.
			e.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(e.WorkDir))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      cmdExits,
			"git-init":   cmdGitInit,
			"git-commit": cmdGitCommit,
			"flip":       cmdFlip,
			"json":       cmdJSON,
			"random":     cmdRandom,
			"go-proxy":   cmdGoProxy,
			"snapshot":   cmdSnapshot,
			// relay_script_test.go describes these
			"relay-start": relays.start,
			"relay-stop":  relays.stop,
			"http":        cmdHTTP,
		},
	}
	for category, files := range scripts(t) {
		t.Run(category, func(t *testing.T) {
			t.Parallel()
			p := params
			p.Files = files
			testscript.Run(t, p)
		})
	}
}

// scripts are the files of testdata/script by category.
func scripts(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "script", "*.txtar"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	by := map[string][]string{}
	for _, f := range files {
		category, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".txtar"), "_")
		by[category] = append(by[category], f)
	}
	return by
}

// hostCondition knows conditions of scripts: "attempts-named", that this host's
// sandbox names who tries to reach the network (it does not where these tests
// run in a sandbox themselves); "processes-traced", that processes can be watched;
// "namespaces", that a process can be another user on another host; "root", that this
// process is the host's root, and not that of a user namespace; "toolchain:go1.2.3",
// that this is the version of the go command.
func hostCondition(name string) (bool, error) {
	switch name {
	case "attempts-named":
		return (&sandbox.Host{}).Support(context.Background()).Named, nil
	case "processes-traced":
		return trace.Supported(context.Background()) == nil, nil
	case "root":
		ids, err := os.ReadFile("/proc/self/uid_map")
		return err == nil && os.Geteuid() == 0 && slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"}), nil
	case "namespaces":
		return (&sandbox.Host{}).Support(context.Background()).Method == sandbox.Namespaces, nil
	}
	if version, ok := strings.CutPrefix(name, "toolchain:"); ok {
		out, err := exec.Command("go", "env", "GOVERSION").Output()
		return strings.TrimSpace(string(out)) == version, err
	}
	return false, fmt.Errorf("there is no condition %q", name)
}

func TestMain(m *testing.M) {
	buildvcs.Main()
	sandbox.Main()
	trace.Main()
	if len(os.Args) > 1 && os.Args[1] == project.CompileCacheArg {
		main() // the go command of a step that a test runs in this process
	}
	testscript.Main(m, map[string]func(){"airbuild": main})
}

// goEnv asks the go command for settings.
func goEnv(t *testing.T, names ...string) map[string]string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"env", "-json"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(out, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

const gitEpoch = 1767225600 // 2026-01-01T00:00:00Z

func git(ts *testscript.TestScript, when int, args ...string) {
	date := fmt.Sprintf("%d +0000", when)
	for _, v := range []string{"GIT_AUTHOR", "GIT_COMMITTER"} {
		ts.Setenv(v+"_NAME", "Test")
		ts.Setenv(v+"_EMAIL", "test@example.com")
		ts.Setenv(v+"_DATE", date)
	}
	ts.Check(ts.Exec("git", args...))
}

func cmdGitInit(ts *testscript.TestScript, neg bool, args []string) {
	tag := true
	if len(args) > 0 && args[0] == "-notag" {
		tag, args = false, args[1:]
	}
	if neg || len(args) > 1 {
		ts.Fatalf("usage: git-init [-notag] [DIR]")
	}
	if len(args) == 1 {
		back := ts.MkAbs(".")
		ts.Check(ts.Chdir(args[0]))
		defer func() { ts.Check(ts.Chdir(back)) }()
	}
	git(ts, gitEpoch, "init", "-q", "-b", "main")
	exclude := filepath.Join(ts.MkAbs("."), ".git", "info", "exclude")
	ts.Check(os.MkdirAll(filepath.Dir(exclude), 0o777))
	ts.Check(os.WriteFile(exclude, []byte("/.home\n/.cache\n/.tmp\n/dist\n"), 0o666))
	git(ts, gitEpoch, "add", "-A")
	git(ts, gitEpoch, "commit", "-q", "--allow-empty", "-m", "first")
	if tag {
		git(ts, gitEpoch, "tag", "v1.0.0")
	}
	ts.Setenv("GIT_LAST", strconv.Itoa(gitEpoch))
}

func cmdGitCommit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 && (len(args) != 2 || args[0] != "-tag") {
		ts.Fatalf("usage: git-commit [-tag TAG]")
	}
	last, err := strconv.Atoi(ts.Getenv("GIT_LAST"))
	ts.Check(err)
	when := last + 24*60*60
	git(ts, when, "add", "-A")
	git(ts, when, "commit", "-q", "--allow-empty", "-m", "next")
	if len(args) == 2 {
		git(ts, when, "tag", args[1])
	}
	ts.Setenv("GIT_LAST", strconv.Itoa(when))
}

func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	keep := len(args) > 0 && args[0] == "-keep-time"
	if keep {
		args = args[1:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: flip [-keep-time] FILE…")
	}
	for _, pattern := range args {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("flip: nothing matches %s", pattern)
		}
		for _, f := range files {
			if fi, err := os.Stat(f); err == nil && fi.Size() == 0 && len(files) > 1 {
				continue // the blob of no bytes has none to change
			}
			ts.Check(flip(f, keep))
		}
	}
}

func flip(name string, keepTime bool) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return fmt.Errorf("flip %s: it is empty", name)
	}
	b[len(b)/2] ^= 0x10
	if err := os.Chmod(name, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return err
	}
	if err := os.Chmod(name, fi.Mode().Perm()); err != nil {
		return err
	}
	if keepTime {
		return os.Chtimes(name, fi.ModTime(), fi.ModTime())
	}
	return nil
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: json FILE [-count N] COND…")
	}
	text, conds, want := ts.ReadFile(args[0]), args[1:], -1
	if conds[0] == "-count" {
		n, err := strconv.Atoi(conds[1])
		ts.Check(err)
		want, conds = n, conds[2:]
	}
	n := 0
	for line := range strings.Lines(text) {
		var v any
		dec := json.NewDecoder(strings.NewReader(line))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			ts.Fatalf("json: %v in line %s", err, line)
		}
		if !slices.ContainsFunc(conds, func(c string) bool { return !meets(ts, v, c) }) {
			n++
		}
	}
	switch {
	case want >= 0 && n != want:
		ts.Fatalf("json: %d values meet %v, want %d", n, conds, want)
	case want < 0 && (n > 0) == neg:
		ts.Fatalf("json: %d values meet %v", n, conds)
	}
}

var condition = regexp.MustCompile(`^([^=~]+)([=~])(?s:(.*))$`)

// meets reports whether v meets a condition, PATH=TEXT or PATH~REGEXP.
func meets(ts *testscript.TestScript, v any, cond string) bool {
	m := condition.FindStringSubmatch(cond)
	if m == nil {
		ts.Fatalf("json: condition %q: want PATH=TEXT or PATH~REGEXP", cond)
	}
	for _, name := range strings.Split(m[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			switch {
			case name == "len":
				v = json.Number(strconv.Itoa(len(x)))
			case err != nil || i < 0 || i >= len(x):
				return false
			default:
				v = x[i]
			}
		default:
			return false
		}
	}
	if v == nil {
		return false
	}
	got := fmt.Sprint(v)
	if m[2] == "~" {
		ok, err := regexp.MatchString(m[3], got)
		ts.Check(err)
		return ok
	}
	return got == m[3]
}
