package golang

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// A project is a module on disk with a store of its own.
type project struct {
	t     testing.TB
	root  string
	state string
	cas   string
	cfg   *gocmd.Config
}

// newProject writes files ("path": text) into a fresh directory.
func newProject(t testing.TB, files map[string]string) *project {
	t.Helper()
	dir := t.TempDir()
	p := &project{t: t, root: filepath.Join(dir, "pröject one"), state: filepath.Join(dir, "state"), cas: filepath.Join(dir, "cas")}
	p.write(files)
	tc, err := gocmd.FindToolchain("", os.LookupEnv, exec.LookPath)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		switch name {
		case "GOPROXY":
			return "off", true // tests touch no network
		case "GOFLAGS":
			return "", false
		}
		return os.LookupEnv(name)
	}
	p.cfg = &gocmd.Config{Toolchain: func() (*gocmd.Toolchain, error) { return tc, nil }, LookupEnv: env, Root: p.root}
	return p
}

func (p *project) write(files map[string]string) {
	p.t.Helper()
	for name, text := range files {
		if err := writeNew(filepath.Join(p.root, filepath.FromSlash(name)), []byte(text)); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *project) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, filepath.FromSlash(name)))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// block is a stage of the project; attrs are name, value pairs.
func (p *project) block(typ string, attrs ...any) *tasks.Block {
	b := tasktest.Block(typ, strings.TrimPrefix(typ, "go_"), os.DirFS(p.root))
	b.Project.Root = p.root
	b.Project.FindTool = exec.LookPath
	b.Project.HostOS, b.Project.HostArch = runtime.GOOS, runtime.GOARCH
	for i := 0; i < len(attrs); i += 2 {
		tasktest.Set(b, attrs[i].(string), attrs[i+1])
	}
	return b
}

func (p *project) workspace() *tree.Workspace {
	p.t.Helper()
	w, err := tree.Preload(p.state).Open(p.root, "dist")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { w.Close() })
	return w
}

// run plans and runs one stage, and returns the status of its last step and
// the logs of all.
func (p *project) run(task tasks.Task, b *tasks.Block) (engine.Status, string) {
	p.t.Helper()
	return p.runSteps(p.plan(task, b))
}

func (p *project) plan(task tasks.Task, b *tasks.Block) []engine.Step {
	p.t.Helper()
	steps, diags := task.Plan(b)
	if diags.HasErrors() {
		p.t.Fatal(diags)
	}
	return steps
}

func (p *project) runSteps(steps []engine.Step) (engine.Status, string) {
	p.t.Helper()
	var g engine.Graph
	var id engine.StepID
	for _, s := range steps {
		var err error
		if id, err = g.Add(s); err != nil {
			p.t.Fatal(err)
		}
	}
	st, err := store.Open(p.cas)
	if err != nil {
		p.t.Fatal(err)
	}
	scratch, err := local.OpenScratch(filepath.Join(p.state, "scratch"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer scratch.Close()
	w := p.workspace()
	ex := &local.Executor{
		Store: st, Workspace: w, Scratch: scratch, Environ: os.Environ(),
		Tools: Tools(p.cfg), Launchers: map[string]engine.Launcher{"go": closure.NewLauncher(p.cfg)},
	}
	var last engine.Status
	var log strings.Builder
	_, err = engine.Run(context.Background(), &g, []engine.StepID{id, 0}, engine.Options{
		Tracked: func(paths []string) map[string]bool { return map[string]bool{paths[0]: true} }, // steps of one test are of several files
		Store:   st, Executor: ex, Workspace: w,
		OnEvent: func(e engine.Event) {
			if e.Kind == engine.StepFinished {
				log.Write(e.Log)
				if e.Err != nil {
					log.WriteString(e.Err.Error())
				}
				if e.ID == id {
					last = e.Status
				}
			}
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return last, log.String()
}

// listed returns the paths of a step's inputs that its InputDiscoverer finds, without
// airbuild's own texts, and the text of the modules.
func (p *project) listed(s *engine.Step) (paths []string, modules string) {
	p.t.Helper()
	l, err := s.Discoverer.Discover(context.Background(), p.workspace())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, in := range l.Inputs {
		switch in.Path {
		case closure.ModulesPath:
			modules = string(in.Text)
		case closure.ImportsPath:
		default:
			paths = append(paths, in.Path)
		}
	}
	slices.Sort(paths)
	return paths, modules
}

// sample is a module with everything that makes closures hard: files by
// platform and tag, embeds, tests, a replacement, another main.
func sample() map[string]string {
	return map[string]string{
		"go.mod":                       "module example.com/sample\n\ngo 1.26\n\nrequire example.com/lib v1.2.3\n\nreplace example.com/lib => ./third/lib\n",
		"README.md":                    "hello\n",
		"cmd/app/main.go":              "package main\n\nimport (\n\t\"fmt\"\n\t\"example.com/sample/internal/greet\"\n)\n\nvar version = \"none\"\n\nfunc main() { fmt.Println(greet.Text(), version) }\n",
		"cmd/other/main.go":            "package main\n\nfunc main() { println(\"other\") }\n",
		"internal/greet/greet.go":      "package greet\n\nimport (\n\t_ \"embed\"\n\t\"example.com/lib\"\n)\n\n//go:embed static/*.txt\nvar _ string\n",
		"internal/greet/os_windows.go": "package greet\n\nconst system = \"windows\"\n",
		"internal/greet/os_other.go":   "//go:build !windows\n\npackage greet\n\nconst system = \"other\"\n",
		"internal/greet/extra.go":      "//go:build extra\n\npackage greet\n\nimport _ \"example.com/sample/internal/more\"\n",
		"internal/greet/greet_test.go": "package greet\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestText(t *testing.T) {\n\tb, err := os.ReadFile(\"testdata/want\")\n\tif err != nil || Text() != string(b) {\n\t\tt.Fatal(Text(), err)\n\t}\n}\n",
		"internal/greet/testdata/want": "hello, lib",
		"internal/greet/static/a.txt":  "hello",
		"internal/greet/static/b.md":   "not embedded",
		"internal/greet/notes.txt":     "beside the tests",
		"internal/more/more.go":        "package more\n",
		"third/lib/go.mod":             "module example.com/lib\n\ngo 1.26\n",
		"third/lib/lib.go":             "package lib\n\nconst Name = \"lib\"\n",
	}
}

// fixedSample is sample with the embedding package as it compiles.
func fixedSample(more map[string]string) map[string]string {
	s := sample()
	s["internal/greet/greet.go"] = "package greet\n\nimport (\n\t\"embed\"\n\n\t\"example.com/lib\"\n)\n\n//go:embed static/*.txt\nvar files embed.FS\n\nfunc Text() string {\n\tb, _ := files.ReadFile(\"static/a.txt\")\n\t_ = system\n\treturn string(b) + \", \" + lib.Name\n}\n"
	maps.Copy(s, more)
	return s
}

func platform(t *testing.T, s string) *tasks.Platform {
	t.Helper()
	p, err := gocmd.ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}
