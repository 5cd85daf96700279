package gocache

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

func TestSaltsKeepEntriesApart(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	one, two := Salt{1}, Salt{2}
	ask := func(salts ...Salt) *client { return serve(t, &Server{Store: st, Dir: dir, Salts: salts}) }
	pkg := string(packageMagic)

	c := ask(one, two)
	c.put(testID(1), pkg+"1")
	c.put(testID(2), "go index v2\n")
	if r := c.close(); !r.Apart[testID(1)] || r.Apart[testID(2)] {
		t.Errorf("apart: %v", r.Apart)
	}
	for _, tt := range []struct {
		name  string
		salts []Salt
		found bool
	}{
		{"without a salt", nil, false},
		{"another", []Salt{two}, false},
		{"the same", []Salt{one}, true},
		{"of a part", []Salt{two, one}, true},
	} {
		c := ask(tt.salts...)
		if r := c.get(testID(1)); r.Miss == tt.found {
			t.Errorf("%s: %+v", tt.name, r)
		}
		if r := c.get(testID(2)); r.Miss {
			t.Errorf("%s: an index is not found", tt.name)
		}
		c.close()
	}

	// What is there for everyone is found by everyone.
	c = ask()
	c.put(testID(3), pkg+"3")
	c.close()
	c = ask(one)
	if r := c.get(testID(3)); r.Miss {
		t.Error("an entry without a salt is not found")
	}
	if r := c.close(); r.Apart[testID(3)] {
		t.Error("it has a salt")
	}
}

func TestFormatSalts(t *testing.T) {
	for _, want := range [][]Salt{nil, {{}}, {{1}, {2, 3}}} {
		got, err := ParseSalts(FormatSalts(want))
		if err != nil || len(got) != len(want) {
			t.Errorf("%v: %v, %v", want, got, err)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%v: %v", want, got)
			}
		}
	}
	for _, bad := range []string{"x", strings.Repeat("0", 64) + ",", strings.Repeat("0", 63)} {
		if got, err := ParseSalts(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestNewSalts(t *testing.T) {
	if s := newSalts(nil); s != nil || s.list() != nil {
		t.Errorf("%+v", s)
	}
	a, b := engine.Unseen{Part: "a", Digest: action.Of([]byte("1"))}, engine.Unseen{Part: "b", Digest: action.Of([]byte("1"))}
	s := newSalts([]engine.Unseen{a, b})
	if salt, ok := s.of("a"); !ok || salt == (Salt{}) || salt == s.parts["b"] || salt == s.step {
		t.Errorf("of a: %v, %v", salt, ok)
	}
	if salt, ok := s.of("a [a.test]"); !ok || salt != s.parts["a"] {
		t.Errorf("of a for a test: %v, %v", salt, ok)
	}
	if salt, ok := s.of("c"); !ok || salt != (Salt{}) {
		t.Errorf("of another: %v, %v", salt, ok)
	}
	if again := newSalts([]engine.Unseen{a, b}); again.step != s.step {
		t.Error("two of the same differ")
	}
	// What is not known is never the same.
	unknown := []engine.Unseen{a, {Part: "b"}}
	s = newSalts(unknown)
	if _, ok := s.of("b"); ok || newSalts(unknown).step == s.step || len(s.list()) != 2 {
		t.Errorf("an unknown part is shared: %+v", s)
	}
}

// buildExecutor runs go build in a directory, with what a Launcher adds.
type buildExecutor struct {
	launcher engine.Launcher
	dir, out string
	env      []string
}

func (e *buildExecutor) Launch(context.Context, *engine.Step, engine.Share) (string, []string, error) {
	return "go", e.env, nil
}

func (e *buildExecutor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	_, env, err := e.launcher.Launch(ctx, p.Step, p.Share)
	if err != nil {
		return nil, err
	}
	cmd := goCommand(e.dir, env, "build", "-trimpath", "-buildvcs=false", "-o", e.out, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(string(out))
	}
	return &action.Result{}, nil
}

// asmModule is a program whose assembly includes a header of another directory.
func asmModule(t *testing.T) string {
	if runtime.GOARCH != "amd64" {
		t.Skip("the assembly is for amd64")
	}
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"go.mod":      "module example.com/m\n\ngo 1.24\n",
		"main.go":     "package main\n\nimport \"example.com/m/k\"\n\nfunc main() { println(k.F()) }\n",
		"k/k.go":      "package k\n\nfunc F() int\n",
		"k/k_amd64.s": "#include \"../inc/v.h\"\n\nTEXT ·F(SB), 4, $0-8\n\tMOVQ $VAL, ret+0(FP)\n\tRET\n",
	})
	return dir
}

// The go command does not see that the header changes. Served or not, whatever
// the user's own GOCACHE has, the program is that of the header as it is; the
// next one with the same header is a hit; and what does not include it is
// compiled once.
func TestUnseenFiles(t *testing.T) {
	dir, ambient := asmModule(t), hostCache(t)
	for _, off := range []bool{false, true} {
		st := openStore(t, t.TempDir())
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := &Cache{Store: st, Dir: st.Dir(), Command: []string{self, "serve", "-store", st.Dir()}, Off: off,
			TempDir: func() (string, error) { return os.MkdirTemp(t.TempDir(), "") }}
		e := &buildExecutor{dir: dir, out: filepath.Join(t.TempDir(), "m"), env: []string{"GOCACHE=" + ambient}}
		e.launcher = c.Launcher(e)
		builds := []struct {
			header  string
			compile int // packages, if the compile cache is on
		}{{"1", -1}, {"2", 2}, {"1", 0}}
		if off {
			builds = builds[:1] // it compiles all of Go's own packages
		}
		for i, tt := range builds {
			text := "#define VAL " + tt.header + "\n"
			// By hand, so that the user's GOCACHE has an object of some header.
			writeFiles(t, dir, map[string]string{"inc/v.h": "#define VAL 7\n"})
			run(t, goBuild(t, dir, e.out, "GOCACHE="+ambient))
			writeFiles(t, dir, map[string]string{"inc/v.h": text})
			p := &engine.Prepared{Step: &engine.Step{}, Key: action.Of([]byte(text)),
				Unseen: []engine.Unseen{{Part: "example.com/m/k", Digest: action.Of([]byte(text))}}}
			p.Step.Command.Env = []action.EnvVar{{Name: "CGO_ENABLED", Value: "0"}}
			if _, err := c.Executor(e).Execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got := run(t, exec.Command(e.out)); got != tt.header+"\n" {
				t.Errorf("off %t, build %d: it says %q, want %s", off, i, got, tt.header)
			}
			if !off && tt.compile >= 0 && p.Compiled.Misses != tt.compile {
				t.Errorf("build %d: %d packages compiled, want %d", i, p.Compiled.Misses, tt.compile)
			}
			if len(p.Compiled.Notes) > 0 {
				t.Errorf("build %d: %q", i, p.Compiled.Notes)
			}
			if u, err := Touched(t.Context(), st, p.Key); !off && (err != nil || !u.Known || u.Lost > 0 || len(u.Entries) == 0) {
				t.Errorf("build %d: touched %+v, %v", i, u, err)
			}
		}
	}
}

func TestGoOnly(t *testing.T) {
	member := func(name, body string) string {
		head := name + strings.Repeat(" ", 48-len(name))
		size := strconv.Itoa(len(body))
		head += size + strings.Repeat(" ", 10-len(size)) + "`\n"
		if len(body)%2 == 1 {
			body += "\n"
		}
		return head + body
	}
	def, obj := member("__.PKGDEF", "abc"), member("_go_.o", "defg")
	for _, tt := range []struct {
		text string
		want bool
	}{
		{string(packageMagic) + def + obj, true},
		{string(packageMagic) + def, false},
		{string(packageMagic) + def + obj + member("k_amd64.o", "x"), false},
		{string(packageMagic) + def + member("_x001.o", "x"), false},
		{string(packageMagic) + def + obj + "rest", false},
		{string(packageMagic), false},
		{def + obj, false},
		{"", false},
	} {
		name := filepath.Join(t.TempDir(), "a")
		if err := os.WriteFile(name, []byte(tt.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := goOnly(name); got != tt.want {
			t.Errorf("%q: %t", tt.text, got)
		}
	}
}
