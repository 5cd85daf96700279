package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

func TestRunThenHit(t *testing.T) {
	b := newBench(t)
	a := b.step("a", engine.FileInput("in.txt"))
	b.step("b", b.from(a))
	sum := b.run()
	b.want("done a first run here", "done b first run here")
	if !sum.OK() || sum.Ran != 2 || sum.Hits != 0 {
		t.Errorf("summary %+v", sum)
	}
	first := b.read("dist/b")

	sum = b.run()
	b.want("hit a", "hit b")
	if sum.Hits != 2 || sum.Ran != 0 || len(b.exec.ran) != 0 || sum.Saved != 4*time.Second {
		t.Errorf("summary %+v, executed %v", sum, b.exec.ran)
	}

	if err := os.RemoveAll(filepath.Join(b.root, "dist")); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.want("hit a", "hit b")
	if got := b.read("dist/b"); got != first {
		t.Errorf("restored %q, want %q", got, first)
	}
}

func TestEditReachesDependents(t *testing.T) {
	b := newBench(t)
	b.write("other.txt", "x")
	a := b.step("a", engine.FileInput("in.txt"))
	b.step("b", b.from(a))
	b.step("c", engine.FileInput("other.txt"))
	b.run()
	b.write("in.txt", "two")
	b.run()
	slices.Sort(b.log)
	b.want("done a in.txt changed", "done b dist/a changed", "hit c")
}

func TestEarlyCutOff(t *testing.T) {
	b := newBench(t)
	a := b.step("a", engine.FileInput("in.txt"))
	b.step("b", b.from(a))
	b.exec.do["a"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		return b.exec.outputs(ctx, p, "the same")
	}
	b.run()
	b.write("in.txt", "two")
	b.run()
	b.want("done a in.txt changed", "hit b")
}

func failing(code int32) func(context.Context, *engine.Prepared) (*action.Result, error) {
	return func(_ context.Context, p *engine.Prepared) (*action.Result, error) {
		fmt.Fprintln(p.Log, "boom")
		return &action.Result{ExitCode: code}, nil
	}
}

func TestFailFast(t *testing.T) {
	b := newBench(t)
	a := b.step("a")
	b.step("b", b.from(a))
	slow := b.step("slow")
	b.step("c", b.from(slow))
	started := make(chan struct{})
	b.exec.do["a"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		<-started
		return failing(7)(ctx, p)
	}
	b.exec.do["slow"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	sum := b.run()
	b.want("failed a first run here", "skipped b needs a, which failed", "cancelled slow", "cancelled c")
	if sum.OK() || sum.Failed != 1 || sum.Skipped != 1 || sum.Cancelled != 2 {
		t.Errorf("summary %+v", sum)
	}
	var exit *engine.ExitError
	if f := sum.Failures[0]; !errors.As(f.Err, &exit) || exit.Code != 7 || string(f.Log) != "boom\n" {
		t.Errorf("failure %+v", f)
	}
	// A failure is never cached.
	b.exec.do["a"], b.exec.do["slow"] = failing(7), nil
	b.run()
	if !slices.Contains(b.exec.ran, "a") {
		t.Errorf("the failed step did not run again: %v", b.exec.ran)
	}
}

func TestKeepGoing(t *testing.T) {
	b := newBench(t)
	b.opts.KeepGoing = true
	a := b.step("a")
	b.step("b", b.from(a))
	b.step("c")
	b.exec.do["a"] = failing(1)
	sum := b.run()
	slices.Sort(b.log)
	b.want("done c first run here", "failed a first run here", "skipped b needs a, which failed")
	if sum.Ran != 1 {
		t.Errorf("summary %+v", sum)
	}
}

func TestInterrupt(t *testing.T) {
	b := newBench(t)
	a := b.step("a")
	b.step("b", b.from(a))
	ctx, cancel := context.WithCancel(context.Background())
	b.exec.do["a"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	sum := b.runContext(ctx)
	b.want("cancelled a", "cancelled b")
	if !sum.Interrupted || sum.OK() || len(b.store.results) != 0 {
		t.Errorf("summary %+v, %d results", sum, len(b.store.results))
	}
}

func TestPanicIsAFailure(t *testing.T) {
	b := newBench(t)
	b.step("a")
	b.exec.do["a"] = func(context.Context, *engine.Prepared) (*action.Result, error) { panic("ouch") }
	sum := b.run()
	if sum.Failed != 1 || !strings.Contains(sum.Failures[0].Err.Error(), "ouch") {
		t.Errorf("summary %+v", sum)
	}
}

func TestRetryAndTimeout(t *testing.T) {
	b := newBench(t)
	b.add(engine.Step{Name: "flaky", Retries: 2, Command: action.Command{Arguments: []string{"x"}}})
	b.add(engine.Step{Name: "slow", Timeout: 10 * time.Millisecond, Command: action.Command{Arguments: []string{"y"}}})
	b.opts.KeepGoing = true
	tries, retries := 0, 0
	b.exec.do["flaky"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		if tries++; tries < 3 {
			return &action.Result{ExitCode: 1}, nil
		}
		return &action.Result{}, nil
	}
	b.exec.do["slow"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b.opts.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepRetry {
			retries++
		}
	}
	sum := b.run()
	if tries != 3 || retries != 2 || sum.Ran != 1 {
		t.Errorf("%d tries, %d retries told, summary %+v", tries, retries, sum)
	}
	if sum.Failed != 1 || sum.Failures[0].Err.Error() != "timed out after 10ms" {
		t.Errorf("failures %+v", sum.Failures)
	}
}

func TestMissingBlobIsAMiss(t *testing.T) {
	b := newBench(t)
	b.step("a", engine.FileInput("in.txt"))
	b.run()
	for d, c := range b.store.blobs {
		if strings.HasPrefix(string(c), `["make"`) {
			delete(b.store.blobs, d)
		}
	}
	b.run()
	b.want("done a blobs missing or damaged in the store: 1")
}

func TestForeignResultIsAMiss(t *testing.T) {
	for _, p := range []string{"../outside", "dist/other", "/etc/x"} {
		b := newBench(t)
		b.step("a", engine.FileInput("in.txt"))
		b.run()
		for _, res := range b.store.results {
			res.OutputFiles[0].Path = p
		}
		if sum := b.run(); sum.Ran != 1 || !strings.Contains(b.log[0], "does not declare") {
			t.Errorf("%s: %v", p, b.log)
		}
	}
}

// An entry that lacks a declared output, or records a failure, is not a hit.
func TestIncompleteResultIsAMiss(t *testing.T) {
	for name, spoil := range map[string]func(*action.Result){
		"no outputs": func(r *action.Result) { r.OutputFiles = nil },
		"failed":     func(r *action.Result) { r.ExitCode = 1 },
	} {
		b := newBench(t)
		b.step("a")
		b.run()
		for _, r := range b.store.results {
			spoil(r)
		}
		b.run()
		if len(b.exec.ran) != 1 {
			t.Errorf("%s: %v", name, b.log)
		}
	}
}

func TestLostExplanationIsRepaired(t *testing.T) {
	b := newBench(t)
	b.step("a", engine.FileInput("in.txt"))
	b.run()
	want := len(b.store.blobs)
	for d, c := range b.store.blobs {
		if !strings.HasPrefix(string(c), `["make"`) {
			delete(b.store.blobs, d)
		}
	}
	b.run()
	b.want("hit a")
	if len(b.store.blobs) != want {
		t.Errorf("%d blobs, want %d", len(b.store.blobs), want)
	}
}

func TestBlobsBeforeEntry(t *testing.T) {
	b := newBench(t)
	b.step("a", engine.FileInput("in.txt"))
	b.run()
	if n := slices.Index(b.store.puts, "result"); n != len(b.store.puts)-1 {
		t.Errorf("order of writes: %v", b.store.puts)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	b := newBench(t)
	a := b.step("a", engine.FileInput("in.txt"))
	b.step("b", b.from(a))
	b.opts.DryRun = true
	sum := b.run()
	b.want("would-run a first run here", "would-run b needs a, which would run")
	if sum.WouldRun != 2 || len(b.exec.ran) != 0 || len(b.store.blobs) != 0 {
		t.Errorf("summary %+v, ran %v, %d blobs", sum, b.exec.ran, len(b.store.blobs))
	}
	b.opts.DryRun = false
	b.run()
	os.RemoveAll(filepath.Join(b.root, "dist"))
	b.opts.DryRun = true
	b.run()
	b.want("hit a", "hit b")
	if got := b.read("dist/a"); !strings.HasPrefix(got, "<") {
		t.Errorf("a dry run restored %q", got)
	}
}

func TestRunAfterDryRunRestores(t *testing.T) {
	b := newBench(t)
	a := b.step("a", engine.FileInput("in.txt"))
	b.run()
	if err := os.RemoveAll(filepath.Join(b.root, "dist")); err != nil {
		t.Fatal(err)
	}
	o, done := b.options()
	defer done()
	for _, dry := range []bool{true, false} {
		o.DryRun = dry
		if _, err := engine.Run(context.Background(), &b.graph, []engine.StepID{a}, o); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.read("dist/a"); strings.HasPrefix(got, "<") {
		t.Error("the dry run's pretence outlived it: nothing was restored")
	}
}

func TestForce(t *testing.T) {
	b := newBench(t)
	b.step("a")
	b.run()
	b.opts.Force = true
	b.run()
	b.want("done a forced")
}

func TestForceSteps(t *testing.T) {
	b := newBench(t)
	a := b.step("a")
	c := b.step("c", b.from(a))
	b.run()
	b.opts.ForceSteps = map[engine.StepID]bool{c: true}
	b.run()
	b.want("hit a", "done c forced")
}

func TestStaleOutputsGo(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "release"
	b.step("old")
	b.step("both")
	b.run()
	b.write("dist/mine.txt", "the user's")
	b.graph = engine.Graph{}
	b.step("new")
	b.step("both")
	sum := b.run()
	if got, want := strings.Join(sum.Removed, " "), "dist/old"; got != want {
		t.Errorf("removed %q, want %q", got, want)
	}
	for name, there := range map[string]bool{"old": false, "new": true, "both": true, "mine.txt": true} {
		_, err := os.Stat(filepath.Join(b.root, "dist", name))
		if (err == nil) != there {
			t.Errorf("dist/%s: %v, want there: %v", name, err, there)
		}
	}
}

func TestFailedStepLeavesNoOldOutput(t *testing.T) {
	b := newBench(t)
	a := b.step("a", engine.FileInput("in.txt"))
	b.step("b", b.from(a))
	b.run()
	b.write("in.txt", "two")
	b.exec.do["a"] = failing(1)
	b.run()
	for _, name := range []string{"dist/a", "dist/b"} {
		if got := b.read(name); !strings.HasPrefix(got, "<") {
			t.Errorf("%s is still there: %q", name, got)
		}
	}
}

func TestOnlyChangedOutputsAreWritten(t *testing.T) {
	b := newBench(t)
	b.step("a")
	written := 0
	b.opts.OnEvent = func(e engine.Event) {
		for _, o := range e.Outputs {
			if o.Written {
				written++
			}
		}
	}
	b.run()
	b.run()
	if written != 1 {
		t.Errorf("wrote %d outputs, want 1", written)
	}
	b.write("dist/a", "scribbled on")
	b.run()
	if written != 2 {
		t.Errorf("wrote %d outputs, want 2", written)
	}
}

func TestInputChangedMeanwhileIsNotKept(t *testing.T) {
	b := newBench(t)
	id := b.step("a", engine.FileInput("in.txt"))
	b.graph.Steps[id].Mode = engine.Workspace
	b.exec.do["a"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		b.write("in.txt", "written while a runs")
		return b.exec.outputs(ctx, p, "of two states")
	}
	b.run()
	if len(b.store.results) != 0 {
		t.Error("a result of changing inputs was kept")
	}
}

// A Workspace step reads what other steps put into the project.
func TestOutputChangedMeanwhileIsNotKept(t *testing.T) {
	b := newBench(t)
	a := b.step("a")
	id := b.step("b", engine.StepInput("dist/a", a, "dist/a"))
	b.graph.Steps[id].Mode = engine.Workspace
	b.exec.do["b"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		b.write("dist/a", "written while b runs")
		return b.exec.outputs(ctx, p, "of another a")
	}
	b.run()
	if len(b.store.results) != 1 {
		t.Errorf("%d results are kept, want that of a only", len(b.store.results))
	}
}

// A step that changes a file of the project, such as go.mod, may do so while
// another runs that read it before.
func TestInputRestoredMeanwhileIsNotKept(t *testing.T) {
	b := newBench(t)
	fix := b.add(engine.Step{Name: "fix", Inputs: []engine.Input{engine.FileInput("in.txt")},
		Command: action.Command{Arguments: []string{"fix"}, OutputPaths: []string{"in.txt"}, OutputFiles: []string{"in.txt"}}})
	id := b.step("a", engine.FileInput("in.txt"))
	b.graph.Steps[id].Mode = engine.Workspace
	running, fixed := make(chan struct{}), make(chan struct{})
	b.exec.do["fix"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		<-running
		return b.exec.outputs(ctx, p, "fixed")
	}
	b.exec.do["a"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		close(running)
		<-fixed
		return b.exec.outputs(ctx, p, "of the fixed file")
	}
	b.opts.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepFinished && e.ID == fix {
			close(fixed)
		}
	}
	b.run()
	if len(b.store.results) != 1 {
		t.Errorf("%d results are kept, want that of fix only", len(b.store.results))
	}
}

// A command in the workspace reads through links, so their targets' content is
// in the key, wherever they are declared.
func TestLinkTargetIsInTheKey(t *testing.T) {
	b := newBench(t)
	b.write("shared/real", "one")
	if err := errors.Join(os.Symlink("shared/real", filepath.Join(b.root, "hop")), os.Symlink("hop", filepath.Join(b.root, "link"))); err != nil {
		t.Fatal(err)
	}
	id := b.step("a", engine.FileInput("link"), engine.FileInput("hop"))
	b.graph.Steps[id].Mode = engine.Workspace
	b.run()
	b.run()
	b.want("hit a")
	b.write("shared/real", "two")
	b.run()
	b.want("done a shared/real changed")
}

// Absence is allowed, of each pattern for itself; other errors are not.
func TestOptionalGlob(t *testing.T) {
	b := newBench(t)
	in := engine.GlobInput(".", "in.txt", "none/**")
	in.Optional = true
	b.step("a", in)
	b.run()
	b.write("in.txt", "two")
	b.run()
	b.want("done a in.txt changed")
	b.graph.Steps[0].Inputs[0].Patterns = []string{"["}
	if sum := b.run(); sum.Failed != 1 {
		t.Errorf("a malformed pattern was passed over: %v", b.log)
	}
}

// growing is an InputDiscoverer that finds one more input each time it is asked.
type growing struct{ n int }

func (g *growing) Discover(context.Context, engine.Files) (engine.Discovery, error) {
	var l engine.Discovery
	for i := range g.n {
		l.Inputs = append(l.Inputs, engine.TextInput(fmt.Sprint("pkg/", i, ".go"), nil))
	}
	g.n++
	return l, nil
}

func TestInputAddedMeanwhileIsNotKept(t *testing.T) {
	b := newBench(t)
	id := b.step("a")
	b.graph.Steps[id].Mode, b.graph.Steps[id].Discoverer = engine.Workspace, &growing{n: 1}
	if sum := b.run(); sum.Ran != 1 || len(b.store.results) != 0 {
		t.Errorf("a result of inputs that grew was kept: %+v", sum)
	}
}

func TestOutputThroughLinkOutOfProject(t *testing.T) {
	b := newBench(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(b.root, "gen")); err != nil {
		t.Fatal(err)
	}
	b.add(engine.Step{Name: "a", Command: action.Command{Arguments: []string{"x"}, OutputPaths: []string{"gen/a"}, OutputFiles: []string{"gen/a"}}})
	sum := b.run()
	if sum.Failed != 1 || !strings.Contains(sum.Failures[0].Err.Error(), "is a symbolic link") {
		t.Errorf("failures %+v", sum.Failures)
	}
	if list, _ := os.ReadDir(outside); len(list) != 0 {
		t.Errorf("written outside: %v", list)
	}
}

func TestLongestFirst(t *testing.T) {
	b := newBench(t)
	b.opts.Jobs = 1
	root := b.step("root", engine.FileInput("in.txt"))
	for _, name := range []string{"a", "b", "c"} {
		b.step(name, b.from(root))
	}
	b.graph.Steps[2].Estimate = 20 * time.Second // b
	b.graph.Steps[3].Estimate = time.Minute      // c
	b.run()
	b.want("done root first run here", "done c first run here", "done b first run here", "done a first run here")

	// What a step took last counts more than what was thought.
	history := b.read(".state/history")
	for name, ms := range map[string]int{"a": 300_000, "b": 60_000, "c": 1_000} {
		line := regexp.MustCompile(`("step":"` + name + `",.*"ms":)\d+`)
		if !line.MatchString(history) {
			t.Fatalf("no line of %s in:\n%s", name, history)
		}
		history = line.ReplaceAllString(history, fmt.Sprintf("${1}%d", ms))
	}
	b.write(".state/history", history)
	b.write("in.txt", "two")
	b.run()
	b.want("done root in.txt changed", "done a dist/root changed", "done b dist/root changed", "done c dist/root changed")
}

func TestJobsBound(t *testing.T) {
	b := newBench(t)
	b.opts.Jobs = 3
	for i := range 12 {
		name := fmt.Sprint("s", i)
		b.step(name)
		b.exec.do[name] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
			time.Sleep(time.Millisecond)
			return b.exec.outputs(ctx, p, name)
		}
	}
	b.run()
	if b.exec.most > 3 || b.exec.most < 2 {
		t.Errorf("%d steps at once, want up to 3", b.exec.most)
	}
}

func TestKeysHoldNoPlace(t *testing.T) {
	keys := map[action.Digest]bool{}
	for range 2 {
		b := newBench(t)
		b.step("a", engine.FileInput("in.txt"))
		b.opts.OnEvent = func(e engine.Event) {
			if e.Kind == engine.StepFinished {
				keys[e.Key] = true
			}
		}
		b.run()
	}
	if len(keys) != 1 {
		t.Errorf("%d keys for the same work in two directories", len(keys))
	}
}

func TestSecretsAreNotInKeys(t *testing.T) {
	b := newBench(t)
	id := b.step("a")
	b.graph.Steps[id].Secrets = []action.EnvVar{{Name: "TOKEN", Value: "hunter2"}}
	b.run()
	b.graph.Steps[id].Secrets[0].Value = "hunter3"
	b.run()
	if len(b.exec.ran) != 1 {
		t.Error("another secret, the same key")
	}
	for _, c := range b.store.blobs {
		if strings.Contains(string(c), "hunter") {
			t.Errorf("the store holds the secret: %q", c)
		}
	}
}

func TestExplain(t *testing.T) {
	b := newBench(t)
	id := b.step("a", engine.FileInput("in.txt"))
	b.run()
	b.write("in.txt", "two")
	o, done := b.options()
	defer done()
	e, err := engine.Explain(context.Background(), &b.graph, id, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Status != engine.WouldRun || e.Previous == nil || len(e.Changes) != 1 || e.Changes[0].Name != "in.txt" {
		t.Errorf("explanation %+v", e)
	}
	if !slices.ContainsFunc(e.Lines, func(l action.Line) bool { return l.Kind == action.KindArg && l.Value == "make" }) {
		t.Errorf("lines %+v", e.Lines)
	}
}

func TestGraphRefusesForwardEdges(t *testing.T) {
	var g engine.Graph
	if _, err := g.Add(engine.Step{Name: "a", After: []engine.StepID{1}}); err == nil {
		t.Error("a step may need one that is not there yet")
	}
	if _, err := g.Add(engine.Step{Name: "a"}); err != nil {
		t.Error(err)
	}
	if _, err := g.Add(engine.Step{Name: "a"}); err == nil {
		t.Error("two steps of one name")
	}
}

func TestGroupsDoNotCompete(t *testing.T) {
	b := newBench(t)
	for i, group := range []string{"linux", "linux", "darwin", "darwin"} {
		name := fmt.Sprint(group, i)
		b.graph.Steps[b.step(name)].Group = group
		b.exec.do[name] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
			time.Sleep(20 * time.Millisecond)
			return b.exec.outputs(ctx, p, name)
		}
	}
	running := map[string]int{}
	b.opts.OnEvent = func(e engine.Event) {
		switch {
		case e.Kind == engine.StepStarted:
			if running[e.Step.Group]++; running[e.Step.Group] > 1 && len(running) < 2 {
				t.Errorf("two of %s at once while another group waits", e.Step.Group)
			}
		case e.Kind == engine.StepFinished:
			if running[e.Step.Group]--; running[e.Step.Group] == 0 {
				delete(running, e.Step.Group)
			}
		}
	}
	if sum := b.run(); sum.Ran != 4 {
		t.Errorf("summary %+v", sum)
	}
}

func TestSummarize(t *testing.T) {
	in := action.Change{Kind: action.KindInput, Name: "a.go"}
	mods := action.Change{Kind: action.KindInput, Name: ".airbuild/modules"}
	arg := action.Change{Kind: action.KindArg, Name: "3"}
	fact := action.Change{Kind: action.KindFact, Name: "go", Old: "go1.26.7", New: "go1.26.8"}
	spec := action.Change{Kind: action.KindArg, Name: "2", Old: `{"a":1,"time":1,"x":[1]}`, New: `{"a":1,"time":2,"x":[1]}`}
	more := action.Change{Kind: action.KindArg, Name: "2", Old: `{"a":1,"b":1}`, New: `{"b":2,"c":1}`}
	flag := action.Change{Kind: action.KindArg, Name: "6", Old: "-ldflags=-X main.v=1", New: "-ldflags=-X main.v=2"}
	plain := action.Change{Kind: action.KindArg, Name: "6", Old: "{not JSON", New: "--"}
	for want, changes := range map[string][]action.Change{
		"a.go changed":                           {in},
		"a.go and command line changed":          {arg, arg, in},
		"a.go and modules changed; 1 more":       {arg, in, mods},
		"command line (time) changed":            {spec},
		"command line (a, b, …) changed":         {more},
		"command line (-ldflags, time) changed":  {flag, spec, spec},
		"command line changed":                   {plain},
		"go (go1.26.7 → go1.26.8) changed":       {fact},
		"nothing changed":                        nil,
		"go (none → go1.26.8) changed":           {{Kind: action.KindFact, Name: "go", New: "go1.26.8", Added: true}},
		"env GOOS and working directory changed": {{Kind: action.KindEnv, Name: "GOOS"}, {Kind: action.KindDir}},
	} {
		if got := engine.Summarize(changes); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
