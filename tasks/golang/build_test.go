package golang

import (
	"bytes"
	"crypto/sha256"
	"debug/macho"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

func envOf(s engine.Step) map[string]string {
	env := map[string]string{}
	for _, v := range s.Command.Env {
		env[v.Name] = v.Value
	}
	return env
}

func TestBuildCommand(t *testing.T) {
	p := newProject(t, fixedSample(map[string]string{"tool/v2/main.go": "package main\n\nfunc main() {}\n"}))
	for _, tt := range []struct {
		name     string
		platform string
		attrs    []any
		argv     string // joined by |, without go build
		outputs  string
	}{
		{"default", "linux/amd64", []any{"package", "./cmd/app"},
			"-mod=readonly|-buildvcs=false|-trimpath|-pgo=auto|-o|dist/app_linux_amd64|--|./cmd/app", "dist/app_linux_amd64"},
		{"windows variant", "windows/amd64/v3", []any{"package", "./tool/v2"},
			"-mod=readonly|-buildvcs=false|-trimpath|-pgo=auto|-o|dist/tool_windows_amd64_v3.exe|--|./tool/v2", "dist/tool_windows_amd64_v3.exe"},
		{"all", "linux/amd64", []any{"package", "./cmd/app", "output", "bin/x", "tags", []string{"b", "a", "b"}, "race", true, "cgo", true,
			"ldflags", []string{"-extldflags=-static", "-linkmode external"}, "gcflags", []string{"all=-l", "-m"}, "asmflags", []string{"-D X"},
			"stamp", map[string]string{"main.version": "v1 \"beta\"", "main.b": "2"}, "buildmode", "pie", "pgo", "cpu.pprof", "mod", "mod", "size.strip", true},
			"-mod=mod|-tags=a,b|-race|-buildvcs=false|-trimpath|-pgo=cpu.pprof|-buildmode=pie|-gcflags=all=-l|-gcflags=-m|-asmflags=-D X|" +
				"-ldflags=-s -w -buildid= -X main.b=2 -X 'main.version=v1 \"beta\"' -extldflags=-static -linkmode external|-o|dist/bin/x|--|./cmd/app", "dist/bin/x"},
		{"directory for one", "linux/amd64", []any{"package", "./cmd/app", "output", "bin/"},
			"-mod=readonly|-buildvcs=false|-trimpath|-pgo=auto|-o|dist/bin/app|--|./cmd/app", "dist/bin/app"},
		{"several", "linux/amd64", []any{"packages", []string{"./cmd/..."}, "output", "bin"},
			"-mod=readonly|-buildvcs=false|-trimpath|-pgo=auto|-o|dist/bin/|--|./cmd/...", "dist/bin"},
		{"library", "linux/amd64", []any{"package", "./cmd/app", "buildmode", "c-shared", "cgo", true, "output", "libapp.so"},
			"-mod=readonly|-buildvcs=false|-trimpath|-pgo=auto|-buildmode=c-shared|-o|dist/libapp.so|--|./cmd/app", "dist/libapp.h dist/libapp.so"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := p.block("go_build", tt.attrs...)
			b.Project.HostOS, b.Project.HostArch = "linux", "amd64"
			b.Project.FindTool = func(name string) (string, error) { return "/usr/bin/" + name, nil }
			b.Platform = platform(t, tt.platform)
			s := p.plan(&build{p.cfg}, b)[0]
			if got := strings.Join(s.Command.Arguments[2:], "|"); got != tt.argv {
				t.Errorf("argv:\n got %s\nwant %s", got, tt.argv)
			}
			if got := strings.Join(s.Command.OutputPaths, " "); got != tt.outputs {
				t.Errorf("outputs: got %s, want %s", got, tt.outputs)
			}
			if s.Mode != engine.Workspace || s.Network || s.NoCache {
				t.Errorf("mode %v, network %v, no cache %v", s.Mode, s.Network, s.NoCache)
			}
			for _, a := range append(s.Command.Arguments, s.Command.OutputPaths...) {
				if strings.Contains(a, p.root) {
					t.Errorf("%q holds the project's path", a)
				}
			}
		})
	}
}

func TestBuildEnvironment(t *testing.T) {
	p := newProject(t, fixedSample(map[string]string{"sub/go.mod": "module example.com/sub\n\ngo 1.26\n", "sub/main.go": "package main\n\nfunc main() {}\n"}))
	b := p.block("go_build")
	b.Platform = platform(t, "linux/arm/v6")
	b.Meta.Dir = "sub"
	b.Meta.Env = map[string]string{"GOARM": "5"}
	s := p.plan(&build{p.cfg}, b)[0]
	want := map[string]string{"GOOS": "linux", "GOARCH": "arm", "GOARM": "5", "CGO_ENABLED": "0", "GOWORK": "off"}
	got := envOf(s)
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s = %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	if s.Command.WorkingDirectory != "sub" || s.Command.OutputPaths[0] != "../dist/sub_linux_arm_v6" {
		t.Errorf("in %s: %v", s.Command.WorkingDirectory, s.Command.OutputPaths)
	}
}

func TestCgo(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	cell := func(on string, attrs ...any) *tasks.Block {
		b := p.block("go_build", append([]any{"package", "./cmd/app"}, attrs...)...)
		b.Project.HostOS, b.Project.HostArch = "linux", "amd64"
		b.Platform = platform(t, on)
		b.Project.FindTool = func(name string) (string, error) {
			if strings.HasPrefix(name, "missing") {
				return "", exec.ErrNotFound
			}
			return "/usr/bin/" + name, nil
		}
		for k := range b.Values {
			if l, ok := strings.CutPrefix(k, "cgo."); ok {
				b.Labels = map[string][]string{"cgo": {l[:strings.LastIndex(l, ".")]}}
			}
		}
		return b
	}
	for _, tt := range []struct {
		name string
		b    *tasks.Block
		want map[string]string
	}{
		{"off", cell("linux/amd64"), map[string]string{"CGO_ENABLED": "0", "CC": ""}},
		{"host", cell("linux/amd64", "cgo", true), map[string]string{"CGO_ENABLED": "1", "CC": "gcc", "CXX": "g++", "CGO_CFLAGS": "-O2 -g"}},
		{"block", cell("linux/arm64", "cgo.linux/arm64.cc", "aarch64-linux-gnu-gcc", "cgo.linux/arm64.cflags", []string{"-O1", "-DX=a b"}),
			map[string]string{"CGO_ENABLED": "1", "CC": "aarch64-linux-gnu-gcc", "CXX": "aarch64-linux-gnu-g++", "CGO_CFLAGS": "-O1 '-DX=a b'"}},
		{"block by port", cell("linux/arm/v7", "cgo.linux/arm.cc", "zig cc -target arm-linux-musl"),
			map[string]string{"CC": "zig cc -target arm-linux-musl", "CXX": "zig c++ -target arm-linux-musl"}},
		{"block for others", cell("linux/amd64", "cgo.linux/arm64.cc", "x"), map[string]string{"CGO_ENABLED": "0"}},
		{"lto", cell("linux/amd64", "cgo", true, "size.lto", true), map[string]string{
			"CGO_CFLAGS": "-Os -flto -ffunction-sections -fdata-sections", "CGO_LDFLAGS": "-Os -flto -Wl,--gc-sections"}},
		{"race", cell("linux/amd64", "race", true), map[string]string{"CGO_ENABLED": "1"}},
	} {
		got := envOf(p.plan(&build{p.cfg}, tt.b)[0])
		for k, v := range tt.want {
			if got[k] != v {
				t.Errorf("%s: %s = %q, want %q", tt.name, k, got[k], v)
			}
		}
	}
	for _, tt := range []struct {
		b    *tasks.Block
		want string
	}{
		{cell("linux/arm64", "cgo", true), `cgo "linux/arm64" { cc = "aarch64-linux-gnu-gcc" }`},
		{cell("linux/amd64", "cgo.linux/amd46.cc", "gcc"), `did you mean "linux/amd64"?`},
	} {
		tasktest.WantError(t, &build{p.cfg}, tt.b, tt.want)
	}
	tasktest.WantMissing(t, &build{p.cfg}, cell("windows/amd64", "cgo.windows/amd64.cc", "missing-gcc"), "or name another C compiler for windows/amd64")
}

func TestBuildMistakes(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	for _, tt := range []struct {
		platform string
		attrs    []any
		want     string
	}{
		{"linux/amd64", []any{"package", "./cmd/ap"}, `Did you mean "./cmd/app"?`},
		{"linux/amd64", []any{"package", "cmd/app"}, `Did you mean "./cmd/app"?`},
		{"linux/amd64", []any{"package", "./cmd/..."}, "Use packages"},
		{"linux/amd64", []any{"package", "/abs"}, "absolute"},
		{"linux/amd64", []any{"package", "../up"}, "outside the project"},
		{"linux/amd64", []any{"package", "-x"}, "is not a package"},
		{"linux/amd64", []any{"package", "./cmd/app", "packages", []string{"./cmd/..."}}, "Both package and packages"},
		{"linux/amd64", []any{"package", "./cmd/app", "universal", true}, "Not a macOS platform"},
		{"linux/amd64", []any{"package", "./cmd/app", "buildmode", "c-shared"}, "Needs cgo"},
		{"darwin/universal", []any{"packages", []string{"./cmd/..."}}, "one by one"},
		{"linux/amd64", []any{"package", "./cmd/app", "stamp", map[string]string{"main.v": "a'\" b"}}, "Cannot be quoted"},
	} {
		b := p.block("go_build", tt.attrs...)
		b.Platform = platform(t, tt.platform)
		tasktest.WantError(t, &build{p.cfg}, b, tt.want)
	}
	empty := newProject(t, map[string]string{"x": ""})
	tasktest.WantError(t, &build{empty.cfg}, empty.block("go_build"), "go mod init")
}

func TestModulesOfAStage(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	with := func(typ, out string) *tasks.Block {
		b := p.block("go_build", "package", "./cmd/app")
		b.Values["modules"] = tasks.Value{Range: b.Range, Stages: []tasks.StageValue{{Name: "m", Type: typ, Steps: []tasks.StepOutputs{{ID: 7, Outputs: []string{out}}}}}}
		return b
	}
	s := p.plan(&build{p.cfg}, with("go_vendor", "vendor"))[0]
	if !slices.Contains(s.Command.Arguments, "-mod=vendor") || !slices.Equal(s.After, []engine.StepID{7}) {
		t.Errorf("vendor: %v after %v", s.Command.Arguments, s.After)
	}
	s = p.plan(&build{p.cfg}, with("go_download", "dist/modules"))[0]
	prog, err := closure.NewLauncher(p.cfg).Launch(t.Context(), &s, engine.Share{CPU: 3})
	if err != nil {
		t.Fatal(err)
	}
	proxies := slices.DeleteFunc(slices.Clone(prog.Env), func(e string) bool { return !strings.HasPrefix(e, "GOPROXY=") })
	if got := proxies[len(proxies)-1]; !strings.HasPrefix(got, "GOPROXY=file:///") || !strings.HasSuffix(got, "pr%C3%B6ject%20one/dist/modules") {
		t.Errorf("GOPROXY: %q", got)
	}
	for _, want := range []string{"GOTOOLCHAIN=local", "GOENV=off", "GOFLAGS=-p=3", "GOMAXPROCS=3"} {
		if !slices.Contains(prog.Env, want) {
			t.Errorf("%s is not in %v", want, prog.Env)
		}
	}
	tasktest.WantError(t, &build{p.cfg}, with("go_vendor", "sub/vendor"), "another module")
	tasktest.WantError(t, &build{p.cfg}, with("archive", "dist/x.zip"), "Not a stage with modules")
}

func TestTrimpathOff(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	steps, diags := (&build{p.cfg}).Plan(p.block("go_build", "package", "./cmd/app", "size.trimpath", false))
	if len(diags) != 1 || diags[0].Severity != hcl.DiagWarning || !steps[0].NoCache {
		t.Errorf("got %v, no cache %v", diags, steps[0].NoCache)
	}
}

// The same source in two directories gives the same key and the same bytes;
// the second build takes what the first one made.
func TestBuildIsCachedAndDeterministic(t *testing.T) {
	build1 := newProject(t, fixedSample(nil))
	build2 := newProject(t, fixedSample(nil))
	var sums [2][sha256.Size]byte
	for i, p := range []*project{build1, build2} {
		b := p.block("go_build", "package", "./cmd/app", "output", "app", "stamp", map[string]string{"main.version": "v1"}, "size.strip", true)
		if st, log := p.run(&build{p.cfg}, b); st != engine.Done {
			t.Fatalf("%v\n%s", st, log)
		}
		sums[i] = sha256.Sum256([]byte(p.read("dist/app")))
	}
	if sums[0] != sums[1] {
		t.Error("two directories, two binaries")
	}
	out, err := exec.Command(filepath.Join(build1.root, "dist", "app")).Output()
	if err != nil || string(out) != "hello, lib v1\n" {
		t.Errorf("%q, %v", out, err)
	}
	build2.cas = build1.cas
	build2.write(map[string]string{"README.md": "edited"})
	b := build2.block("go_build", "package", "./cmd/app", "output", "app", "stamp", map[string]string{"main.version": "v1"}, "size.strip", true)
	if st, log := build2.run(&build{build2.cfg}, b); st != engine.Hit {
		t.Errorf("second place: %v\n%s", st, log)
	}
	build2.write(map[string]string{"internal/greet/os_windows.go": "package greet\n\nconst system = \"win\"\n"})
	if st, _ := build2.run(&build{build2.cfg}, b); st != engine.Hit {
		t.Errorf("a Windows file: %v", st)
	}
	build2.write(map[string]string{"internal/greet/static/a.txt": "good bye"})
	if st, _ := build2.run(&build{build2.cfg}, b); st != engine.Done {
		t.Errorf("an embedded file: %v", st)
	}
}

func TestBuildPackages(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	b := p.block("go_build", "packages", []string{"./cmd/..."}, "output", "bin")
	if st, log := p.run(&build{p.cfg}, b); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	for _, name := range []string{"app", "other"} {
		if _, err := os.Stat(filepath.Join(p.root, "dist", "bin", name+gocmd.Exe(runtime.GOOS, runtime.GOARCH))); err != nil {
			t.Error(err)
		}
	}
}

func TestNotes(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.mod":  "module example.com/n\n\ngo 1.26\n",
		"main.go": "package main\n\nimport (\n\t\"os\"\n\t\"reflect\"\n)\n\nfunc call(v any) { reflect.ValueOf(v).MethodByName(os.Args[0]).Call(nil) }\n\nfunc main() { call(os.Stdout) }\n",
	})
	st, log := p.run(&build{p.cfg}, p.block("go_build", "size.notes", true, "size.strip", true))
	if st != engine.Done || !strings.Contains(log, "dead code: these functions") || !strings.Contains(log, "\n  main.call\n") || strings.Contains(log, " -> ") {
		t.Errorf("%v\n%s", st, log)
	}
}

func TestUniversal(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for two platforms")
	}
	p := newProject(t, map[string]string{"go.mod": "module example.com/u\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { println(1) }\n"})
	b := p.block("go_build")
	b.Platform = platform(t, "darwin/universal")
	if st, log := p.run(&build{p.cfg}, b); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	if _, err := os.Stat(filepath.Join(p.root, "dist", "u_darwin_universal.amd64")); err == nil {
		t.Error("an inner output appeared")
	}
	fat := []byte(p.read("dist/u_darwin_universal"))
	f, err := macho.NewFatFile(bytes.NewReader(fat))
	if err != nil {
		t.Fatal(err)
	}
	var parts [][]byte
	for i, want := range []struct {
		cpu   macho.Cpu
		align uint32
	}{{macho.CpuAmd64, 12}, {macho.CpuArm64, 14}} {
		a := f.Arches[i]
		if a.Cpu != want.cpu || a.Align != want.align || a.Offset%(1<<a.Align) != 0 {
			t.Errorf("arch %d: %+v", i, a.FatArchHeader)
		}
		parts = append(parts, fat[a.Offset:a.Offset+a.Size])
	}
	slices.Reverse(parts)
	again, err := joinMachO(parts)
	if err != nil || !bytes.Equal(again, fat) {
		t.Errorf("joined again in another order: %v, other bytes", err)
	}
	if _, err := joinMachO([][]byte{parts[0], parts[0]}); err == nil {
		t.Error("two of one architecture were joined")
	}
	if _, err := joinMachO([][]byte{[]byte("no Mach-O")}); err == nil {
		t.Error("nonsense was joined")
	}
}

func TestKeysAreFreeOfTheHost(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	for typ, task := range taskMap(p.cfg) {
		if typ == "go_generate" {
			continue // has no defaults
		}
		b := p.block(typ, "package", "./cmd/app")
		if typ != "go_build" {
			delete(b.Values, "package")
		}
		for _, s := range p.plan(task, b) {
			bytes := string(s.Command.Marshal())
			for _, bad := range []string{p.root, os.Getenv("HOME"), os.TempDir()} {
				if bad != "" && strings.Contains(bytes, bad) {
					t.Errorf("%s: the command holds %s", typ, bad)
				}
			}
			if action.Of(s.Command.Marshal()).IsZero() {
				t.Errorf("%s: no command", typ)
			}
		}
	}
}

func taskMap(cfg *gocmd.Config) map[string]tasks.Task {
	out := map[string]tasks.Task{}
	for _, t := range Tasks(cfg) {
		out[t.Schema().Type] = t
	}
	return out
}

// C code is compiled with what the stage says, and link-time optimization
// makes a program that still runs.
func TestCgoBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles C")
	}
	if _, err := exec.LookPath(defaultCC(runtime.GOOS)); err != nil {
		t.Skip("no C compiler on this host")
	}
	p := newProject(t, map[string]string{
		"go.mod":  "module example.com/c\n\ngo 1.26\n",
		"main.go": "package main\n\n// int twice(int);\nimport \"C\"\n\nfunc main() { println(C.twice(21)) }\n",
		"c.c":     "int twice(int n) { return 2 * n; }\nint unused(int n) { return n; }\n",
	})
	for _, lto := range []bool{false, true} {
		b := p.block("go_build", "cgo", true, "output", "c", "size.lto", lto, "size.strip", true)
		if st, log := p.run(&build{p.cfg}, b); st != engine.Done {
			t.Fatalf("lto %v: %v\n%s", lto, st, log)
		}
		if out, err := exec.Command(filepath.Join(p.root, "dist", "c")).CombinedOutput(); err != nil || string(out) != "42\n" {
			t.Errorf("lto %v: %q, %v", lto, out, err)
		}
	}
	p.write(map[string]string{"c.c": "int twice(int n) { return n + n; }\n"})
	if st, _ := p.run(&build{p.cfg}, p.block("go_build", "cgo", true, "output", "c", "size.lto", true, "size.strip", true)); st != engine.Done {
		t.Errorf("a C file was edited: %v", st)
	}
}
