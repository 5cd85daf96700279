package pipelines

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

//go:embed *.hcl
var embedded embed.FS

// embeddedDir stands before the names of embedded files, so that they cannot
// be mistaken for files of the project in a message.
const embeddedDir = tasks.ReadyMadeDir

// An EmbeddedPipeline is a ready-made pipeline that a file takes with use.
type EmbeddedPipeline struct {
	Name, Description string
	Source            []byte // of its file
	Parameters        []Parameter
}

// A Parameter is a variable of a ready-made pipeline that the pipeline block
// may set.
type Parameter struct {
	Name, Type, Description string
	Default                 string // as written; "" if the parameter must be set
}

// Embedded returns the ready-made pipelines, sorted by name.
func Embedded() []EmbeddedPipeline {
	var out []EmbeddedPipeline
	for _, name := range embeddedNames() {
		module, _ := loadEmbedded(name)
		e := EmbeddedPipeline{Name: name, Source: module.Sources[embeddedFile(name)]}
		if decl := embeddedPipeline(module, name); decl != nil {
			if attr := decl.Body.Attributes["description"]; attr != nil {
				e.Description = literalText(attr.Expr)
			}
		}
		e.Parameters = parameters(module)
		out = append(out, e)
	}
	return out
}

func embeddedNames() []string {
	files, err := fs.Glob(embedded, "*.hcl")
	if err != nil {
		return nil
	}
	names := lists.Map(files, func(f string) string { return strings.TrimSuffix(f, ".hcl") })
	slices.Sort(names)
	return names
}

func embeddedFile(name string) string { return path.Join(embeddedDir, name+".hcl") }

func loadEmbedded(name string) (*dsl.Module, hcl.Diagnostics) {
	return dsl.Load(embeddedFS{}, embeddedFile(name))
}

// embeddedPipeline is the pipeline block that a ready-made pipeline consists
// of: the one that is called like its file.
func embeddedPipeline(module *dsl.Module, name string) *dsl.Pipeline {
	i := slices.IndexFunc(module.Pipelines, func(d *dsl.Pipeline) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return module.Pipelines[i]
}

func literalText(expr hcl.Expression) string {
	v, diags := expr.Value(nil)
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// parameters lists the variables of a module in the order of their
// declaration, the module's own file first.
func parameters(module *dsl.Module) []Parameter {
	vars := make([]*dsl.Variable, 0, len(module.Variables))
	for _, v := range module.Variables {
		vars = append(vars, v)
	}
	slices.SortFunc(vars, func(a, b *dsl.Variable) int {
		if a.Range.Filename != b.Range.Filename {
			if a.Range.Filename == module.Name {
				return -1
			}
			if b.Range.Filename == module.Name {
				return 1
			}
			return strings.Compare(a.Range.Filename, b.Range.Filename)
		}
		return a.Range.Start.Byte - b.Range.Start.Byte
	})
	out := make([]Parameter, len(vars))
	for i, v := range vars {
		out[i] = Parameter{Name: v.Name, Type: typeName(v.Type), Description: v.Description}
		if v.Default != nil {
			r := v.Default.Range()
			out[i].Default = string(r.SliceBytes(module.Sources[r.Filename]))
		}
	}
	return out
}

// typeName writes a type as a variable block does.
func typeName(ty cty.Type) string {
	switch {
	case ty == cty.DynamicPseudoType:
		return "any"
	case ty.IsListType():
		return "list(" + typeName(ty.ElementType()) + ")"
	case ty.IsSetType():
		return "set(" + typeName(ty.ElementType()) + ")"
	case ty.IsMapType():
		return "map(" + typeName(ty.ElementType()) + ")"
	}
	return ty.FriendlyName()
}

// An embeddedFS has the embedded files under embeddedDir.
type embeddedFS struct{}

// Open implements fs.FS.
func (embeddedFS) Open(name string) (fs.File, error) {
	file, ok := strings.CutPrefix(name, embeddedDir+"/")
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return embedded.Open(file)
}
