// Package provenance holds the stage type provenance: statements of how files
// were made, in the form of in-toto with SLSA's predicate, signed or not.
//
// A statement is an output like all others: it hangs on the files, the
// Airbuildfile, the variables, the commit and the keys of the steps that the
// files come from, and on nothing of the host or the clock. So two hosts that
// build the same make the same statement, and it is cached. Who wants the host
// in it adds its fingerprint as a file.
package provenance

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/sign"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "provenance"
	toolVersion = "1"
)

// Tasks returns the stage types of this package.
func Tasks(keys *sign.Config) []tasks.Task { return []tasks.Task{task{keys}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
// The Config is that of Tasks.
func Tools(keys *sign.Config) map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](tool{keys}.run)}
}

type task struct{ keys *sign.Config }

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "provenance",
		Traits: tasks.Traits{Recipe: true},
		Doc:    "Writes and signs a provenance statement for files (in-toto, SLSA provenance v1).",
		Attrs: append([]tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files that the statement covers; for an image in an OCI layout directory, its digests."},
			{Name: "builder", Kind: tasks.String, Default: defaultBuilder, Doc: "URI of the builder that verifiers trust, one per site or CI system."},
			{Name: "source", Kind: tasks.String, Doc: "URI of the source repository: `https://example.com/app.git`."},
			{Name: "host", Kind: tasks.Path, Doc: "Fingerprint of the host (`airbuild host fingerprint`), recorded by its SHA-256. Another fingerprint gives another statement."},
			{Name: "output", Kind: tasks.Output, Default: "the stage's name with the cell, then .intoto.jsonl, or .intoto.json if it is not signed", Doc: "File to write."},
		}, sign.KeyAttrs()...),
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Files   []string     `json:"files"` // sorted
	Output  string       `json:"output"`
	Signed  bool         `json:"signed,omitempty"`
	Builder string       `json:"builder"`
	Source  string       `json:"source,omitempty"`
	Commit  string       `json:"commit,omitempty"`
	Dirty   bool         `json:"dirty,omitempty"`
	Recipe  []recipeFile `json:"recipe"` // the Airbuildfile first
	Vars    []variable   `json:"variables,omitempty"`
	Host    string       `json:"host,omitempty"` // file
	Sums    []string     `json:"sums"`           // files in the form of go.sum, which need not be there
	Actions string       `json:"actions"`        // file with what the InputDiscoverer found
}

type recipeFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"` // JSON
}

func (t task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	s := b.NewStep(engine.InProcess)
	var diags hcl.Diagnostics
	sp := spec{
		Signed:  b.Has("key") || b.Has("key_file") || b.Has("key_env") || b.Has("public_key"),
		Builder: b.StringOr("builder", defaultBuilder), Source: b.String("source"),
	}
	for _, attr := range []string{"builder", "source"} {
		if b.Has(attr) && !isURI(b.String(attr)) {
			diags = append(diags, b.Error(attr, "Not a URI", fmt.Sprintf("%s is a URI, such as \"https://example.com/ci\".", attr)))
		}
	}
	diags = append(diags, t.planFiles(b, &s, &sp)...)
	ending := ".intoto.json"
	if sp.Signed {
		ending += "l"
	}
	sp.Output = b.DistPath(b.StringOr("output", cellName(b)+ending))
	b.AddRefs(&s)
	if r := b.Project.Recipe; r != nil {
		sp.Commit, sp.Dirty = r.Commit, r.Dirty
		for _, f := range r.Files {
			sp.Recipe = append(sp.Recipe, recipeFile{f.Name, f.SHA256})
		}
		for _, v := range r.Variables {
			sp.Vars = append(sp.Vars, variable{v.Name, v.Value})
		}
	}
	sp.Actions = path.Join(b.Meta.Dir, ".airbuild-actions.json")
	l := &discoverer{output: sp.Actions}
	if sp.Commit != "" && !sp.Dirty {
		l.uncommitted = uncommittedOf(b.Project)
	}
	if sp.Signed {
		var more hcl.Diagnostics
		l.key, more = t.keys.PlanKey(b, &s)
		diags = append(diags, more...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	s.Discoverer = l
	tasks.SetOutputs(&s, []string{sp.Output}, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// planFiles makes what is stated, and what it is looked up in, inputs.
func (task) planFiles(b *tasks.Block, s *engine.Step, sp *spec) (diags hcl.Diagnostics) {
	names := map[string]string{}
	for _, p := range b.Paths("files") {
		if slices.Contains(sp.Files, p.Path) {
			continue
		}
		if first, taken := names[path.Base(p.Path)]; taken {
			diags = append(diags, b.Error("files", "Two files of one name", fmt.Sprintf("%s and %s would both be %s in the statement. Use two stages, or rename one.", first, p.Path, path.Base(p.Path))))
		}
		names[path.Base(p.Path)] = p.Path
		if info, err := fs.Stat(b.Project.Files, p.Path); p.Ref == nil && err == nil && info.IsDir() {
			diags = append(diags, b.Error("files", "Directory to state", fmt.Sprintf("%s is a directory of the project. Name its files.", p.Path)))
		}
		sp.Files = append(sp.Files, p.Path)
	}
	slices.Sort(sp.Files)
	if len(sp.Files) == 0 {
		diags = append(diags, b.NoFiles("files", "No files to attest"))
	}
	tasks.AddPaths(s, b.Paths("files"))
	for _, h := range b.Paths("host") {
		sp.Host = h.Path
		tasks.AddInput(s, h.Input())
	}
	for _, name := range []string{"go.sum", "go.work.sum"} {
		in := engine.FileInput(path.Join(b.Meta.Dir, name))
		in.Optional = true
		tasks.AddInput(s, in)
		sp.Sums = append(sp.Sums, in.Path)
	}
	return diags
}

func isURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	return ok && scheme != "" && rest != "" && !strings.ContainsAny(s, " \t\n\"<>") && strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// cellName is a stage's name with its cell, as part of a file name.
func cellName(b *tasks.Block) string {
	if b.Cell == "" {
		return b.Name
	}
	return b.Name + "_" + strings.NewReplacer("/", "_", ",", "_", " ", "_", "\\", "_", ":", "_").Replace(b.Cell)
}

// A made is a step that the files come from.
type made struct {
	Step   string `json:"step"`
	Type   string `json:"type"`
	Action string `json:"action"` // SHA-256
}

// A discoverer hands in the keys of the steps that this one needs.
type discoverer struct {
	output string
	key    engine.InputDiscoverer // nil if the statement is not signed
	// uncommitted is nil where the statement says so already, or names no commit.
	uncommitted *uncommitted
}

// KeyNames implements tasks.KeyNamer.
func (l *discoverer) KeyNames() []string {
	if n, ok := l.key.(tasks.KeyNamer); ok {
		return n.KeyNames()
	}
	return nil
}

// Lacking implements tasks.SecretUser.
func (l *discoverer) Lacking() string {
	if u, ok := l.key.(tasks.SecretUser); ok {
		return u.Lacking()
	}
	return ""
}

// Discover implements engine.InputDiscoverer.
func (l *discoverer) Discover(ctx context.Context, files engine.Files) (out engine.Discovery, err error) {
	if l.key != nil {
		if out, err = l.key.Discover(ctx, files); err != nil {
			return out, err
		}
	}
	if l.uncommitted != nil {
		names, err := l.uncommitted.among(ctx, files)
		if err != nil {
			return out, fmt.Errorf("find files that are in no commit: %w", err)
		}
		if len(names) > 0 {
			out.Inputs = append(out.Inputs, engine.TextInput(uncommittedName(l.output), []byte(strings.Join(names, "\n")+"\n")))
			out.Notes = append(out.Notes, fmt.Sprintf("dirty: %d files that were read are in no commit, %s among them", len(names), names[0]))
		}
	}
	list := []made{}
	if m, ok := files.(engine.Producers); ok {
		producers, err := m.Producers()
		if err != nil {
			return out, err
		}
		for _, x := range producers {
			list = append(list, made{x.Name, x.Type, fmt.Sprintf("%x", x.Key.Hash)})
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return out, err
	}
	out.Inputs = append(out.Inputs, engine.TextInput(l.output, append(text, '\n')))
	return out, nil
}
