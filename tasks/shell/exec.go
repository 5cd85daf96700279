// Package shell holds the stage type exec: any command, or a script that runs
// in the portable shell which airbuild brings along.
//
// The programs that a step runs are part of its key by content, not by place:
// see tasks.Programs. The libraries that they load are not.
package shell

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// rootVar tells a command whose dir is not the project's root the way there.
// It is a relative path, the same on every host.
const rootVar = "AIRBUILD_ROOT"

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{&task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tool{backslashes: filepath.Separator == '\\'}}
}

// A task plans scripts with parsers that it has used before: each has a buffer
// of its own, which ten thousand cells need not make.
type task struct{ parsers sync.Pool }

func (*task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "exec",
		Traits: tasks.Traits{Traits: engine.Traits{Command: true, Script: true}},
		Doc:    "Runs a command or a shell script with only its declared inputs.",
		Attrs: []tasks.Attr{
			{Name: "command", Kind: tasks.Strings, Doc: "Program and arguments, run without a shell. A program name with a slash is a file of the project, relative to `dir`. Either this or `script`."},
			{Name: "script", Kind: tasks.String, Doc: "Shell script (POSIX and most of Bash), interpreted by airbuild itself, so it behaves the same on every system. It stops at the first failing command, also in pipes, and at unset variables. `$1`, `$2` … are the outputs. Write `$${` for a `${` of the shell."},
			{Name: "outputs", Kind: tasks.Outputs, InDir: true, Doc: "Files that the command writes; a path that ends in `/` is a directory. Without outputs the stage is a check, and its success is cached."},
			{Name: "tools", Kind: tasks.Strings, Doc: "Additional programs that run, so that the step runs again when one changes. The program of `command` and those that a script calls by name are detected."},
		},
	}
}

func (t *task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	p := planner{b: b, parsers: &t.parsers, step: b.NewStep(engine.Staged)}
	if b.Meta.SandboxMode == "workspace" {
		p.step.Mode = engine.Workspace
	}
	p.step.Command.WorkingDirectory = b.WorkingDirectory()
	p.outputs()
	p.what()
	for _, name := range b.Strings("tools") {
		p.program("tools", name)
	}
	if b.Meta.Dir != "." {
		up := strings.Repeat("../", strings.Count(b.Meta.Dir, "/")+1)
		tasks.SetEnv(&p.step, rootVar, strings.TrimSuffix(up, "/"))
	}
	if p.diags.HasErrors() {
		return nil, p.diags
	}
	if len(p.programs) > 0 {
		p.step.Discoverer = p.programs
	}
	return []engine.Step{p.step}, p.diags
}

// A planner collects one step and what is wrong with it.
type planner struct {
	b        *tasks.Block
	parsers  *sync.Pool // of *syntax.Parser
	step     engine.Step
	programs tasks.Programs
	diags    hcl.Diagnostics
}

func (p *planner) fail(attr, summary, format string, args ...any) {
	p.diags = append(p.diags, p.b.Error(attr, summary, fmt.Sprintf(format, args...)))
}

// what plans the command or the script: one of them.
func (p *planner) what() {
	for _, attr := range [...]string{"command", "script"} {
		v := p.b.Values[attr]
		if v.Sensitive {
			p.fail(attr, "Sensitive value in a command", "Commands are stored and shown. Hand the value over in the environment: env = { NAME = … }.")
		}
		tasks.AddRefs(&p.step, v.Refs)
	}
	switch command, script := p.b.Has("command"), p.b.Has("script"); {
	case command && script:
		p.fail("script", "Both command and script", "An exec stage has one of the two: remove the other.")
	case command:
		p.command()
	case script:
		p.script()
	default:
		p.fail("command", "Nothing to run", `Say what to run with command = ["program", "argument"] or script = "…".`)
	}
}

func (p *planner) outputs() {
	var files, dirs []string
	for _, out := range p.b.Strings("outputs") {
		clean := path.Clean(out)
		if slices.Contains(files, clean) || slices.Contains(dirs, clean) {
			p.fail("outputs", "Output listed twice", "%q is already listed: remove one.", clean)
		}
		if strings.HasSuffix(out, "/") {
			dirs = append(dirs, clean)
		} else {
			files = append(files, clean)
		}
	}
	tasks.SetOutputs(&p.step, files, dirs)
}

func (p *planner) command() {
	argv := p.b.Strings("command")
	if len(argv) == 0 || argv[0] == "" {
		p.fail("command", "Nothing to run", "command is empty: its first element is the program.")
		return
	}
	argv[0] = filepath.ToSlash(argv[0])
	if strings.HasPrefix(argv[0], "airbuild:") {
		p.fail("command", "Not a program", "%q is a part of airbuild that other stage types run.", argv[0])
		return
	}
	program := argv[0]
	for i, arg := range argv {
		if p.isMade(arg) {
			argv[i] = p.fromDir(arg)
		}
	}
	p.step.Command.Arguments = argv
	switch {
	case p.isMade(program): // an input already
	case strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]):
		p.projectFile(argv[0])
	default:
		p.program("command", argv[0])
	}
}

// isMade reports whether an argument is just the path of another stage's
// output.
func (p *planner) isMade(arg string) bool {
	return slices.ContainsFunc(p.b.Values["command"].Refs, func(r tasks.Ref) bool { return r.Path != "" && r.Path == arg })
}

// fromDir is a project-relative path as seen from the stage's dir, with a
// slash in it, so that it is not taken for a program on PATH.
func (p *planner) fromDir(file string) string {
	rel, err := filepath.Rel(filepath.FromSlash(p.b.Meta.Dir), filepath.FromSlash(file))
	if err != nil {
		return file
	}
	if rel = filepath.ToSlash(rel); !strings.HasPrefix(rel, "../") {
		rel = "./" + rel
	}
	return rel
}

// projectFile makes the program an input.
func (p *planner) projectFile(name string) {
	file := p.b.DirPath(name)
	if !filepath.IsLocal(filepath.FromSlash(file)) {
		p.fail("command", "Program outside the project", "%s leaves the project. Use a program on PATH, or copy it into the project.", name)
		return
	}
	info, err := fs.Stat(p.b.Project.Files, file)
	switch {
	case err != nil:
		p.fail("command", "Program not found", "There is no file %s in the project. A program without a slash is looked for on PATH.", file)
	case info.IsDir():
		p.fail("command", "Program not found", "%s is a directory.", file)
	default:
		tasks.AddInput(&p.step, engine.FileInput(file))
	}
}

// program makes a program of the host a fact of the step.
func (p *planner) program(attr, name string) {
	p.programs = p.programs.Add(p.b.FindProgram(p.b.RangeOf(attr), name))
}
