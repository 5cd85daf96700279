package shell

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// script plans a script: its syntax, the programs it calls, its arguments.
func (p *planner) script() {
	text := strings.ReplaceAll(p.b.String("script"), "\r\n", "\n")
	p.step.Command.Arguments = []string{"airbuild:" + toolName, toolVersion, text}
	for _, out := range p.b.Strings("outputs") {
		p.step.Command.Arguments = append(p.step.Command.Arguments, strings.TrimSuffix(out, "/"))
	}
	parser, ok := p.parsers.Get().(*syntax.Parser)
	if !ok {
		parser = newParser()
	}
	file, err := parser.Parse(strings.NewReader(text), scriptName)
	p.parsers.Put(parser)
	if err != nil {
		p.syntaxError(err)
		return
	}
	for _, c := range findCalls(file) {
		p.call(c)
	}
}

// parse reads a script in the dialect that the interpreter speaks.
func parse(text string) (*syntax.File, error) {
	return newParser().Parse(strings.NewReader(text), scriptName)
}

func newParser() *syntax.Parser { return syntax.NewParser(syntax.Variant(syntax.LangBash)) }

// scriptName stands for the script in messages.
const scriptName = "script"

func (p *planner) syntaxError(err error) {
	line, message := 1, err.Error()
	if e, ok := errors.AsType[syntax.ParseError](err); ok {
		line, message = int(e.Pos.Line()), e.Text
	} else if e, ok := errors.AsType[syntax.LangError](err); ok {
		line = int(e.Pos.Line())
	}
	p.failLine(line, "Script cannot be read", "line %d of the script: %s", line, message)
}

func (p *planner) failLine(line int, summary, format string, args ...any) {
	p.fail("script", summary, format, args...)
	r := scriptLine(p.b, line)
	p.diags[len(p.diags)-1].Subject = &r
}

// call handles one call of the script: a file of the project is an input, a
// program of the host a fact, even that it is absent where the script asks.
func (p *planner) call(c call) {
	if strings.ContainsAny(c.name, `/\`) && !filepath.IsAbs(c.name) {
		file := p.b.DirPath(c.name)
		if info, err := fs.Stat(p.b.Project.Files, file); err == nil && info.Mode().IsRegular() {
			tasks.AddInput(&p.step, engine.FileInput(file))
		}
		return
	}
	prog := p.b.FindProgram(scriptLine(p.b, c.line), c.name)
	switch {
	case prog.Missing != "" && c.optional:
		prog = tasks.Program{Name: c.name}
	case prog.Missing != "":
		prog.Missing += fmt.Sprintf(" (if the script can run without it, check first: command -v %s)", c.name)
	}
	p.programs = p.programs.Add(prog)
}

// A call is a program that stands in a script by its name.
type call struct {
	name     string
	line     int  // of the script, from 1
	optional bool // the script looks whether it is there, or where it is
}

// asking are commands whose arguments are looked for and not run.
var asking = [...]string{"type", "hash", "which"}

// findCalls returns the programs that a script calls by name, each once,
// sorted. What is computed ("$CC", the arguments of env or xargs) is not
// found; the tools attribute is for that.
func findCalls(file *syntax.File) []call {
	f := finder{functions: map[string]bool{}, calls: map[string]call{}}
	syntax.Walk(file, f.declarations)
	syntax.Walk(file, f.visit)
	var out []call
	for _, c := range f.calls {
		c.optional = c.optional || f.ownPath
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b call) int { return cmp.Compare(a.name, b.name) })
	return out
}

type finder struct {
	functions map[string]bool
	calls     map[string]call
	ownPath   bool // the script sets PATH, so that names may come from anywhere
}

func (f *finder) declarations(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.FuncDecl:
		f.functions[n.Name.Value] = true
	case *syntax.Assign:
		f.ownPath = f.ownPath || n.Name != nil && n.Name.Value == "PATH"
	}
	return true
}

func (f *finder) visit(n syntax.Node) bool {
	c, ok := n.(*syntax.CallExpr)
	if !ok {
		return true
	}
	args := c.Args
	for len(args) > 0 {
		name := literal(args[0])
		switch {
		case name == "command" || name == "exec" || name == "builtin":
			args = args[1:]
			for len(args) > 0 && strings.HasPrefix(literal(args[0]), "-") {
				if flag := literal(args[0]); name == "command" && strings.ContainsAny(flag, "vV") {
					f.asked(args[1:])
					return true
				}
				args = args[1:]
			}
			continue
		case slices.Contains(asking[:], name):
			f.asked(args[1:])
		}
		f.add(name, args[0], false)
		break
	}
	return true
}

func (f *finder) asked(words []*syntax.Word) {
	for _, w := range words {
		if name := literal(w); !strings.HasPrefix(name, "-") {
			f.add(name, w, true)
		}
	}
}

func (f *finder) add(name string, w *syntax.Word, optional bool) {
	if name == "" || f.functions[name] || interp.IsBuiltin(name) {
		return
	}
	c, known := f.calls[name]
	if !known {
		c = call{name: name, line: int(w.Pos().Line())}
	}
	c.optional = c.optional || optional
	f.calls[name] = c
}

// literal is the text of a word that needs no expansion, or "".
func literal(w *syntax.Word) string {
	if s := w.Lit(); s != "" {
		return strings.TrimPrefix(s, `\`)
	}
	if len(w.Parts) != 1 {
		return ""
	}
	switch q := w.Parts[0].(type) {
	case *syntax.SglQuoted:
		return q.Value
	case *syntax.DblQuoted:
		if len(q.Parts) == 1 {
			if l, ok := q.Parts[0].(*syntax.Lit); ok {
				return l.Value
			}
		}
	}
	return ""
}

// scriptLine is where a line of the script (from 1) stands in the
// Airbuildfile: exactly for a heredoc without multi-line values, else the
// attribute as a whole.
func scriptLine(b *tasks.Block, line int) hcl.Range {
	r := b.RangeOf("script")
	at := r.Start.Line + line
	if at >= r.End.Line {
		return r
	}
	body, err := fs.ReadFile(b.Project.Files, filepath.ToSlash(r.Filename))
	if err != nil {
		return r
	}
	offset := 0
	for n, text := range strings.SplitAfter(string(body), "\n") {
		if n+1 < at {
			offset += len(text)
			continue
		}
		trimmed := strings.TrimRight(text, "\r\n")
		indent := len(trimmed) - len(strings.TrimLeft(trimmed, " \t"))
		if trimmed == "" {
			return r
		}
		return hcl.Range{
			Filename: r.Filename,
			Start:    hcl.Pos{Line: at, Column: indent + 1, Byte: offset + indent},
			End:      hcl.Pos{Line: at, Column: len([]rune(trimmed)) + 1, Byte: offset + len(trimmed)},
		}
	}
	return r
}
