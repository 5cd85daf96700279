package golang

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// test is the stage type go_test.
type test struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*test) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_test",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Compiles: true}},
		Doc:    "Runs the tests of packages; a passed run is cached until the tests' sources, the files in and below their package directories, go.mod or go.sum change.",
		Attrs: []tasks.Attr{
			{Name: "packages", Kind: tasks.Strings, Default: "[\"./...\"]", Doc: "The packages to test."},
			tagsAttr(),
			{Name: "race", Kind: tasks.Bool, Default: "false", Doc: "Enables the race detector, which requires cgo on all systems except macOS."},
			{Name: "cover", Kind: tasks.Output, Doc: "The coverage profile to write."},
			{Name: "coverpkg", Kind: tasks.Strings, Default: "the tested packages", Doc: "The packages whose coverage is measured."},
			{Name: "short", Kind: tasks.Bool, Default: "false", Doc: "Runs the tests with -short."},
			{Name: "run", Kind: tasks.String, Doc: "A regular expression: only matching tests run."},
			{Name: "skip", Kind: tasks.String, Doc: "A regular expression: matching tests are skipped."},
			{Name: "test_timeout", Kind: tasks.Duration, Default: "10m, as in Go", Doc: "Time limit for the tests of one package; `timeout` limits the whole stage."},
			{Name: "count", Kind: tasks.Number, Default: "1", Doc: "How many times each test runs."},
			{Name: "args", Kind: tasks.Strings, Doc: "Arguments for the test programs, passed after -args."},
			cgoAttr(), modulesAttr(), modAttr(),
		},
		Blocks: []tasks.Nested{cgoBlock()},
	}
}

// Plan implements tasks.Task.
func (t *test) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	c, diags := planPackages(t.cfg, b, "./...")
	if diags.HasErrors() {
		return nil, diags
	}
	s := &c.step
	argv := append([]string{"go", "test", "-json"}, c.flags...)
	argv = append(argv, "-buildvcs=false")
	argv = append(argv, testFlags(b)...)
	var outputs []string
	if b.Has("cover") {
		out := outPath(b, b.DistPath(b.String("cover")))
		mode := "set"
		if b.Bool("race", false) {
			mode = "atomic"
		}
		argv = append(argv, "-covermode="+mode, "-coverprofile="+out)
		if ps := b.Strings("coverpkg"); len(ps) > 0 {
			argv = append(argv, "-coverpkg="+strings.Join(ps, ","))
		}
		outputs = append(outputs, out)
	}
	argv = append(argv, c.patterns...)
	if args := b.Strings("args"); len(args) > 0 {
		argv = append(append(argv, "-args"), args...)
	}
	s.Command.Arguments = argv
	s.LogFormat = "go-test-json"
	s.Hermetic = b.Meta.SandboxMode != "workspace" && !c.module.Outside
	tasks.SetOutputs(s, outputs, nil)
	addRefs(s, b, "cover", "modules")
	c.closure.Test, c.closure.Data, c.closure.Vetted = true, true, true
	// Packages that are measured but neither tested nor imported count too.
	c.closure.Patterns = append(c.closure.Patterns, measured(b)...)
	closure.AddDiscoverer(s, c.closure)
	return []engine.Step{*s}, diags
}

// measured are the packages of coverpkg that are paths of the module.
func measured(b *tasks.Block) []string {
	if !b.Has("cover") {
		return nil
	}
	return b.Strings("coverpkg")
}

// testFlags are the flags of go test that say how tests run.
func testFlags(b *tasks.Block) []string {
	var flags []string
	if b.Bool("short", false) {
		flags = append(flags, "-short")
	}
	for _, name := range []string{"run", "skip"} {
		if b.Has(name) {
			flags = append(flags, "-"+name+"="+b.String(name))
		}
	}
	if d := b.Duration("test_timeout"); d > 0 {
		flags = append(flags, "-timeout="+d.String())
	}
	// With a count the go command does not answer from its own test cache, which
	// knows the files that a test opened by size and time only, and not those
	// that the test's child processes opened.
	return append(flags, "-count="+strconv.Itoa(b.Int("count", 1)))
}
