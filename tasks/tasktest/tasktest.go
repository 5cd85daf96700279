// Package tasktest lets the tests of stage types make blocks and run tools
// without the language and without an executor.
package tasktest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// Block returns a stage without attributes in a project with the given files.
// No program can be found in it, and no key.
func Block(typ, name string, files fs.FS) *tasks.Block {
	return &tasks.Block{
		Type: typ, Name: name, StepName: name,
		Meta:   tasks.Meta{Dir: ".", Cache: true},
		Values: map[string]tasks.Value{},
		Range:  hcl.Range{Filename: "Airbuildfile", Start: hcl.InitialPos, End: hcl.InitialPos},
		Project: &tasks.Project{
			Files: files,
			Dist:  "dist",
			FindTool: func(name string) (string, error) {
				return "", fmt.Errorf("%s is in no directory of PATH", name)
			},
			HostOS: "linux", HostArch: "amd64",
			Language: Language{},
			// No variable is set, and the keyring is empty.
			Environ: func(name string) (string, bool) { return os.DevNull + "-keys", name == "AIRBUILD_KEYS" },
		},
	}
}

// A Language is a tasks.Language with the given functions and no limits.
type Language map[string]function.Function

// ParseTemplate implements tasks.Language.
func (Language) ParseTemplate(name string, src []byte) (hclsyntax.Expression, hcl.Diagnostics) {
	return hclsyntax.ParseTemplate(src, name, hcl.InitialPos)
}

// EvaluateTemplate implements tasks.Language.
func (l Language) EvaluateTemplate(expr hcl.Expression, values map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	return expr.Value(&hcl.EvalContext{Variables: values, Functions: l})
}

// Set gives attributes their values: a cty.Value, a string, a bool, an int, a
// []string, a map[string]string, or []tasks.PathValue.
func Set(b *tasks.Block, name string, value any) {
	v := tasks.Value{Range: hcl.Range{Filename: "Airbuildfile", Start: hcl.Pos{Line: 1 + len(b.Values), Column: 3}, End: hcl.Pos{Line: 1 + len(b.Values), Column: 9}}}
	switch value := value.(type) {
	case cty.Value:
		v.Cty = value
	case string:
		v.Cty = cty.StringVal(value)
	case bool:
		v.Cty = cty.BoolVal(value)
	case int:
		v.Cty = cty.NumberIntVal(int64(value))
	case []string:
		v.Cty = stringList(value)
	case map[string]string:
		m := map[string]cty.Value{}
		for k, s := range value {
			m[k] = cty.StringVal(s)
		}
		v.Cty = cty.MapVal(m)
	case []tasks.PathValue:
		var names []string
		for _, p := range value {
			names = append(names, p.Path)
			if p.Ref != nil {
				v.Refs = append(v.Refs, *p.Ref)
			}
		}
		v.Cty, v.Paths = stringList(names), value
	default:
		panic(fmt.Sprintf("tasktest.Set: a %T", value))
	}
	b.Values[name] = v
}

func stringList(ss []string) cty.Value {
	if len(ss) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	return cty.ListVal(lists.Map(ss, cty.StringVal))
}

// Files are paths of the workspace.
func Files(paths ...string) (out []tasks.PathValue) {
	return lists.Map(paths, func(p string) tasks.PathValue {
		return tasks.PathValue{Path: p, Range: hcl.Range{Filename: "Airbuildfile"}}
	})
}

// Made are outputs of another step, which has the id 7.
func Made(paths ...string) []tasks.PathValue {
	out := Files(paths...)
	for i := range out {
		out[i].Ref = &tasks.Ref{Step: 7, Path: out[i].Path}
	}
	return out
}

// Step plans a block that must give one step without complaint.
func Step(t *testing.T, task tasks.Task, b *tasks.Block) engine.Step {
	t.Helper()
	steps, diags := task.Plan(b)
	if len(diags) > 0 || len(steps) != 1 {
		t.Fatalf("Plan = %d steps, %v", len(steps), diags)
	}
	return steps[0]
}

// WantMissing fails unless the block plans and its step then cannot be looked
// up, with an error that mentions words: a program is not there.
func WantMissing(t *testing.T, task tasks.Task, b *tasks.Block, words string) {
	t.Helper()
	s := Step(t, task, b)
	if s.Discoverer == nil {
		t.Fatalf("the step lists nothing; want a mention of %q", words)
	}
	if _, err := s.Discoverer.Discover(t.Context(), nil); err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("looked up: %v, want a mention of %q", err, words)
	}
}

// WantError plans a block that must be refused with the given words.
func WantError(t *testing.T, task tasks.Task, b *tasks.Block, words string) {
	t.Helper()
	_, diags := task.Plan(b)
	all := lists.Map(diags, func(d *hcl.Diagnostic) string { return d.Error() })
	if !strings.Contains(strings.Join(all, "\n"), words) || !diags.HasErrors() {
		t.Fatalf("Plan: %q, want a mention of %q", all, words)
	}
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Filename == "" {
			t.Errorf("diagnostic without a place: %v", d)
		}
	}
}

// WantErrorAt plans a block that must be refused with the given words, at the
// place of the named attribute.
func WantErrorAt(t *testing.T, task tasks.Task, b *tasks.Block, at, words string) {
	t.Helper()
	steps, diags := task.Plan(b)
	i := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool { return strings.Contains(d.Summary+" "+d.Detail, words) })
	switch {
	case len(steps) > 0 || !diags.HasErrors():
		t.Errorf("%s: it is planned", words)
	case i < 0:
		t.Errorf("%s: not reported: %v", words, diags)
	case diags[i].Subject == nil || *diags[i].Subject != b.RangeOf(at):
		t.Errorf("%s: reported at %v, want the place of %s, %v", words, diags[i].Subject, at, b.RangeOf(at))
	}
}

// Run runs a step's tool in a fresh directory over the input root in and
// returns the directory and the log. Processes run with PATH from the test.
func Run(t *testing.T, tools map[string]engine.Tool, s engine.Step, in fs.FS) (dir, log string, err error) {
	t.Helper()
	return RunPrivate(t, tools, s, in, nil)
}

// RunPrivate is Run with what the step's InputDiscoverer found for the tool alone.
func RunPrivate(t *testing.T, tools map[string]engine.Tool, s engine.Step, in fs.FS, private any) (dir, log string, err error) {
	t.Helper()
	name, ok := strings.CutPrefix(s.Command.Arguments[0], "airbuild:")
	if !ok || tools[name] == nil {
		t.Fatalf("no tool %q", s.Command.Arguments[0])
	}
	dir = t.TempDir()
	if s.Mode == engine.Staged && in != nil {
		stage(t, dir, in)
	}
	work := filepath.Join(dir, filepath.FromSlash(s.Command.WorkingDirectory))
	for _, o := range s.Command.OutputPaths {
		mkdir(t, filepath.Dir(filepath.Join(work, filepath.FromSlash(o))))
	}
	mkdir(t, work)
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, e := range s.Command.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	var out bytes.Buffer
	call := &engine.ToolCall{Args: s.Command.Arguments[2:], Env: env, In: in, Dir: dir, WorkDir: work, Private: private, Log: &out}
	call.Run = func(ctx context.Context, p *engine.Process) error { return start(ctx, call, p) }
	err = tools[name].Run(t.Context(), call)
	return dir, out.String(), err
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
}

func stage(t *testing.T, dir string, in fs.FS) {
	t.Helper()
	err := fs.WalkDir(in, ".", func(p string, d fs.DirEntry, err error) error {
		to := filepath.Join(dir, filepath.FromSlash(p))
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(to, 0o777))
		}
		b, err := fs.ReadFile(in, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o666|info.Mode()&0o111)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func start(ctx context.Context, call *engine.ToolCall, p *engine.Process) error {
	c := exec.CommandContext(ctx, p.Path, p.Args...)
	c.Env, c.Dir, c.Stdin, c.Stdout, c.Stderr = p.Env, p.Dir, p.Stdin, p.Stdout, p.Stderr
	if c.Env == nil {
		c.Env = call.Env
	}
	c.Dir = cmp.Or(c.Dir, call.WorkDir)
	c.Stdout = cmp.Or(c.Stdout, call.Log)
	c.Stderr = cmp.Or(c.Stderr, call.Log)
	err := c.Run()
	if c.ProcessState != nil && c.ProcessState.ExitCode() > 0 {
		return &engine.ExitError{Program: path.Base(p.Path), Code: c.ProcessState.ExitCode()}
	}
	return err
}
