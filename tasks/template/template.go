// Package template holds the stage type template: a file rendered from the
// language's own template syntax, one for each environment.
//
// Rendering happens when the stage is planned, so that a wrong name is found
// before anything runs and the key holds the rendered text, not the template:
// a template that renders to the same text rebuilds nothing.
package template

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "template"
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
		Type: "template",
		Doc:  "Renders a file, such as a site's configuration, from a template.",
		Attrs: []tasks.Attr{
			{Name: "source", Kind: tasks.Path, Doc: "Template file of the project, in the syntax of quoted strings: `${name}`, `%{ if … }`, `%{ for … }`, with all functions. Either this or `text`."},
			{Name: "text", Kind: tasks.String, Doc: "The text to write; `${…}` is evaluated in the Airbuildfile."},
			{Name: "vars", Kind: tasks.Any, Default: "{}", Doc: "Object with the template's values; no other values are available in it. Unused values are an error."},
			{Name: "allow_unused", Kind: tasks.Bool, Default: "false", Doc: "Allows unused values in `vars`, for values shared by several templates."},
			{Name: "output", Kind: tasks.Output, InDir: true, Default: "`source` without the extension .tmpl, .tpl or .tftpl", Doc: "File to write."},
			{Name: "executable", Kind: tasks.Bool, Default: "false", Doc: "Makes the file executable."},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Output     string `json:"output"` // project-relative; the rendered text is the input of the same path
	Executable bool   `json:"executable,omitempty"`
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	text, diags := text(b)
	output, d := output(b)
	if diags = append(diags, d...); diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	b.Follow(&s) // the text holds paths, not what lies there
	b.Mask(&s)
	sp := spec{Output: output, Executable: b.Bool("executable", false)}
	in := engine.TextInput(sp.Output, []byte(text))
	in.Executable = sp.Executable
	s.Inputs = append(s.Inputs, in)
	tasks.SetOutputs(&s, []string{sp.Output}, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// text returns what the file will hold.
func text(b *tasks.Block) (string, hcl.Diagnostics) {
	switch hasSource, hasText := b.Has("source"), b.Has("text"); {
	case hasSource && hasText:
		return "", hcl.Diagnostics{b.Error("text", "Both source and text", "A template has one of the two: remove the other.")}
	case hasText && b.Has("vars"):
		return "", hcl.Diagnostics{b.Error("vars", "Values for a text", "text is written as it is; its ${…} are the Airbuildfile's own. Move the text to a file and name it as source, or remove vars.")}
	case hasText:
		return b.String("text"), nil
	case !hasSource:
		return "", hcl.Diagnostics{b.Error("source", "Nothing to render", "Name the template with source = \"…\", or give the file's text with text.")}
	}
	src := b.Paths("source")[0]
	if src.Ref != nil {
		return "", hcl.Diagnostics{b.Error("source", "Template is made by another stage",
			fmt.Sprintf("%s does not exist before the run, and templates are rendered when the run is planned. Keep the template in the project; for files made by stages use an exec stage.", src.Path))}
	}
	body, err := fs.ReadFile(b.Project.Files, src.Path)
	if err != nil {
		return "", hcl.Diagnostics{b.Error("source", "Template cannot be read", fmt.Sprintf("%v. The path is relative to the stage's dir.", err))}
	}
	return render(b, src.Path, body)
}

// extensions are those that a template's name loses by default.
var extensions = [...]string{".tmpl", ".tpl", ".tftpl"}

// output is the project-relative path of the rendered file.
func output(b *tasks.Block) (string, hcl.Diagnostics) {
	if b.Has("output") {
		return checkOutput(b, b.DirPath(b.String("output")))
	}
	if src := b.Paths("source"); len(src) > 0 {
		if ext := path.Ext(src[0].Path); slices.Contains(extensions[:], ext) && path.Base(src[0].Path) != ext {
			return checkOutput(b, strings.TrimSuffix(src[0].Path, ext))
		}
	}
	return "", hcl.Diagnostics{b.Error("output", "No output", "Say with output = \"…\" which file to write. It has a default only where source ends in "+strings.Join(extensions[:], ", ")+".")}
}

// checkOutput keeps a template from writing over itself.
func checkOutput(b *tasks.Block, output string) (string, hcl.Diagnostics) {
	if strings.HasSuffix(b.String("output"), "/") {
		return "", hcl.Diagnostics{b.Error("output", "Output is a directory", "A template writes one file: add its name.")}
	}
	if src := b.Paths("source"); len(src) > 0 && src[0].Path == output {
		return "", hcl.Diagnostics{b.Error("output", "Output is the template itself", fmt.Sprintf("%s would be written over. Choose another name.", output))}
	}
	return output, nil
}

// runTool writes the rendered text, which is its input, to the output.
func runTool(_ context.Context, call *engine.ToolCall, sp *spec) error {
	body, err := fs.ReadFile(call.In, sp.Output)
	if err != nil {
		return fmt.Errorf("read rendered text: %w", err)
	}
	mode := fs.FileMode(0o666)
	if sp.Executable {
		mode = 0o777
	}
	name := filepath.Join(call.Dir, filepath.FromSlash(sp.Output))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, body, mode)
}
