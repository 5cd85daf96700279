package golang

import (
	gobuild "go/build"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// closuresOf returns the closures of planned steps.
func closuresOf(steps []engine.Step) []*closure.Closure {
	var out []*closure.Closure
	for _, s := range steps {
		ls, _ := s.Discoverer.(closure.Discoverers)
		for _, l := range ls {
			if c, ok := l.(*closure.Closure); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// agree lists a closure in both ways and compares all that comes of it.
func (p *project) agree(c *closure.Closure) {
	p.t.Helper()
	tc, err := p.cfg.Toolchain()
	if err != nil {
		p.t.Fatal(err)
	}
	record := func(ask bool) *closure.Record {
		p.cfg.AlwaysAsk = ask
		defer func() { p.cfg.AlwaysAsk = false }()
		r, err := c.Resolve(p.t.Context(), tc, p.workspace())
		if err != nil {
			p.t.Fatal(err)
		}
		return r
	}
	want, got := record(true), record(false)
	if !strings.HasPrefix(got.Note, "listed by airbuild: ") {
		p.t.Errorf("not by the loader: %s", got.Note)
	}
	if !strings.HasPrefix(want.Note, "listed by go list (asked to): ") {
		p.t.Errorf("not by go list: %s", want.Note)
	}
	got.Note, want.Note = "", ""
	// What go list names as ignored does not say why: the loader knows which
	// files' content counts.
	want.Files = slices.DeleteFunc(want.Files, func(f closure.FileStamp) bool {
		return !slices.Contains(got.Files, f) && excludedByName(p.t, c, f.P)
	})
	if !reflect.DeepEqual(got, want) {
		p.t.Errorf("%v:\ngot  %+v\nwant %+v", c.Patterns, got, want)
	}
}

// excludedByName reports whether go/build leaves a file out by its name, having
// given it a content that is for any target.
func excludedByName(t testing.TB, c *closure.Closure, file string) bool {
	ctx := gobuild.Default
	ctx.BuildTags = nil
	for _, v := range c.Env {
		switch v.Name {
		case "GOOS":
			ctx.GOOS = v.Value
		case "GOARCH":
			ctx.GOARCH = v.Value
		}
	}
	for _, f := range c.Flags {
		if tags, ok := strings.CutPrefix(f, "-tags="); ok {
			ctx.BuildTags = strings.Split(tags, ",")
		}
	}
	ctx.OpenFile = func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("package p\n")), nil
	}
	ok, err := ctx.MatchFile(path.Dir(file), path.Base(file))
	if err != nil {
		t.Fatal(err)
	}
	return !ok
}

// Both ways of listing agree about every sample, for every stage type.
func TestLoaderAgreesOnSamples(t *testing.T) {
	if testing.Short() {
		t.Skip("lists many projects with the go command")
	}
	mods, err := filepath.Glob("../../testdata/samples/*/go.mod")
	if err != nil || len(mods) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	works, err := filepath.Glob("../../testdata/samples/*/go.work")
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range append(mods, works...) {
		dir := filepath.Dir(mod)
		if filepath.Base(dir) == "private" {
			continue // its module is in no module cache until a run has filled one
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p := newProject(t, readTree(t, dir))
			at := "."
			if filepath.Base(mod) == "go.work" {
				at = "app"
			}
			p.agreeAll(at)
		})
	}
	t.Run("fixture", func(t *testing.T) { newProject(t, fixedSample(nil)).agreeAll(".") })
	// What the toolchain sets by itself only it can say.
	t.Run("tags of the toolchain", func(t *testing.T) {
		newProject(t, fixedSample(map[string]string{
			"internal/greet/v6.go":   "//go:build amd64.v2 || arm.6\n\npackage greet\n",
			"internal/greet/v1.go":   "//go:build amd64.v1 || arm.7\n\npackage greet\n",
			"internal/greet/regs.go": "//go:build goexperiment.regabiargs\n\npackage greet\n",
			"internal/greet/none.go": "//go:build goexperiment.unheardof\n\npackage greet\n",
		})).agreeAll(".")
	})
}

// agreeAll plans all stage types that have closures, in a directory.
func (p *project) agreeAll(dir string) {
	p.t.Helper()
	for _, name := range []string{"linux/amd64", "windows/arm64", "linux/arm/v6"} {
		target, err := gocmd.ParsePlatform(name)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, typ := range []string{"go_build", "go_test", "go_vet"} {
			b := p.block(typ, "packages", []string{"./..."}, "tags", []string{"extra", "loud"})
			b.Meta.Dir = dir
			b.Platform = &target
			var steps []engine.Step
			switch typ {
			case "go_build":
				steps = p.plan(&build{p.cfg}, b)
			case "go_test":
				if name != "linux/amd64" {
					continue
				}
				steps = p.plan(&test{p.cfg}, b)
			case "go_vet":
				steps = p.plan(&vet{p.cfg}, b)
			}
			closures := closuresOf(steps)
			if len(closures) == 0 {
				p.t.Fatalf("%s has no closure", typ)
			}
			for _, c := range closures {
				p.agree(c)
			}
		}
	}
}

// readTree reads all files below a directory.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		files[path.Clean(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What the loader does not know is asked of the go command, and the note says
// why.
func TestLoaderFallsBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		env   string
		want  string
	}{
		{"environment", nil, "GODEBUG", "listed by go list (GODEBUG is set): "},
		{"module", map[string]string{"go.mod": sample()["go.mod"] + "\nexclude example.com/lib v1.2.3\n"}, "", ""},
		{"ignored directories", map[string]string{"go.mod": strings.Replace(sample()["go.mod"], "go 1.26", "go 1.26\n\nignore ./docs", 1)}, "", "listed by go list (go.mod ignores directories): "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, fixedSample(tt.files))
			b := p.block("go_vet", "packages", []string{"./..."})
			if tt.env != "" {
				b.Meta.Env = map[string]string{tt.env: "panicnil=1"}
			}
			c := closuresOf(p.plan(&vet{p.cfg}, b))[0]
			l, err := c.Discover(t.Context(), p.workspace())
			if tt.want == "" {
				if err == nil {
					t.Errorf("the go command's message is lost: %v", l.Notes)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(l.Notes[0], tt.want) {
				t.Errorf("got %q, want %q", l.Notes[0], tt.want)
			}
		})
	}
}
