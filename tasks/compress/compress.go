// Package compress holds the stage type compress_binary: a program made
// smaller by upx, or by a program that is called like it.
package compress

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// packer is called differently for the same spec.
const (
	toolName    = "compress"
	toolVersion = "1"
)

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](runTool)}
}

type task struct{}

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "compress_binary",
		Traits: tasks.Traits{Traits: engine.Traits{Shipped: true}},
		Doc:    "Compresses a binary with upx, which must be installed.",
		Attrs: []tasks.Attr{
			{Name: "file", Kind: tasks.Path, Required: true, Doc: "Binary to compress; use `for_each` for several."},
			{Name: "tool", Kind: tasks.String, Default: "upx", Doc: "Program to use: a name on PATH, or an absolute path. It is run as `tool ARGS -o OUTPUT FILE`; its content is part of the cache key."},
			{Name: "args", Kind: tasks.Strings, Default: "[\"--best\", \"-q\"]", Doc: "Arguments before the file names."},
			{Name: "output", Kind: tasks.Output, Default: "the file's base name with _ and the tool's name, before .exe", Doc: "File to write."},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Program string   `json:"program"`
	Args    []string `json:"args"`
	File    string   `json:"file"`   // project-relative
	Output  string   `json:"output"` // project-relative
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	file := b.Paths("file")[0]
	name := b.StringOr("tool", "upx")
	program := b.FindProgram(b.RangeOf("tool"), name)
	var diags hcl.Diagnostics
	sp := spec{Program: name, Args: []string{"--best", "-q"}, File: file.Path}
	if b.Has("args") {
		sp.Args = append([]string{}, b.Strings("args")...)
	}
	sp.Output = b.DistPath(b.StringOr("output", defaultOutput(file.Path, name)))
	if sp.Output == file.Path {
		diags = append(diags, b.Error("output", "Output is the file itself", fmt.Sprintf("%s would be written over. Choose another name.", sp.Output)))
	}
	if b.Values["args"].Sensitive {
		diags = append(diags, b.Error("args", "Sensitive value in a command", "Commands are stored and shown."))
	}
	if diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.Staged)
	tasks.AddInput(&s, file.Input())
	tasks.AddRefs(&s, b.Values["args"].Refs)
	s.Discoverer = tasks.Programs{program}
	tasks.SetOutputs(&s, []string{sp.Output}, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// defaultOutput is "yq_upx.exe" for "dist/yq.exe".
func defaultOutput(file, program string) string {
	base := path.Base(file)
	stem := strings.TrimSuffix(base, ".exe")
	program = strings.TrimSuffix(path.Base(filepath.ToSlash(program)), ".exe")
	return stem + "_" + program + strings.TrimPrefix(base, stem)
}

// runTool calls the packer and tells what it gained.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	in := filepath.Join(call.Dir, filepath.FromSlash(sp.File))
	out := filepath.Join(call.Dir, filepath.FromSlash(sp.Output))
	argv := append(append([]string{}, sp.Args...), "-o", relative(call.Dir, out), relative(call.Dir, in))
	if err := call.Run(ctx, &engine.Process{Path: sp.Program, Args: argv, Dir: call.Dir}); err != nil {
		return err
	}
	before, err := os.Stat(in)
	if err != nil {
		return fmt.Errorf("compress %s: %w", sp.File, err)
	}
	after, err := os.Stat(out)
	if err != nil {
		return &engine.ExitError{Program: sp.Program, Code: 1, Err: fmt.Errorf("it ended well and made no %s", sp.Output)}
	}
	if err := os.Chmod(out, after.Mode().Perm()|before.Mode().Perm()&fs.FileMode(0o111)); err != nil {
		return fmt.Errorf("compress %s: %w", sp.File, err)
	}
	_, err = fmt.Fprintf(call.Log, "%s: %d bytes, was %d (%s)\n", sp.Output, after.Size(), before.Size(), change(before.Size(), after.Size()))
	return err
}

// relative keeps the place of the scratch directory out of what the packer
// sees and may write down.
func relative(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil {
		return rel
	}
	return file
}

// change is the growth in per cent, "-62.5 %".
func change(before, after int64) string {
	if before == 0 {
		return "was empty"
	}
	return fmt.Sprintf("%+.1f %%", 100*float64(after-before)/float64(before))
}
