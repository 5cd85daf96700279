// Package approval holds the stage type approval: a gate that opens when
// enough people have signed what is to pass it.
//
// The step is looked at in every run, because an approval can expire and the
// clock is in no key. What it writes, the record, is the same bytes for the
// same approvals, so that what comes after it may be cached.
package approval

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "approval"
	toolVersion = "1"
)

// Type is the stage type's name.
const Type = "approval"

// Tasks returns the stage types of this package.
func Tasks(cfg *Config) []tasks.Task { return []tasks.Task{task{cfg}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
// The Config is that of Tasks.
func Tools(cfg *Config) map[string]engine.Tool { return map[string]engine.Tool{toolName: tool{cfg}} }

type task struct{ cfg *Config }

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type: Type,
		Doc:  "Holds the pipeline until enough people have signed off.",
		Attrs: []tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files to approve, by content; for a directory, every file below it. Any change requires new approvals."},
			{Name: "approvers", Kind: tasks.Strings, Required: true, Doc: "Accepted keys: public keys (`RWQ…`), public key files in the project (`keys/alice.pub`), or names in the keyring (`airbuild key trust`)."},
			{Name: "threshold", Kind: tasks.Number, Default: "1", Doc: "Number of approvals required."},
			{Name: "file", Kind: tasks.String, Default: "approvals/NAME/", Doc: "Location of the approvals, relative to the stage's `dir`: a directory if it ends in `/`, otherwise a file with one approval per line. It may be missing."},
			{Name: "project", Kind: tasks.String, Default: "the module path in go.mod", Doc: "Name of the project. Approvals of another project do not count."},
			{Name: "output", Kind: tasks.Output, Default: "NAME.approval.json", Doc: "The record of the approvals. Its content changes only with the approvals."},
		},
	}
}

// A Gate is what an approval stage wants, in the order of its JSON.
type Gate struct {
	Step        string   `json:"step"`
	Project     string   `json:"project"`
	Stage       string   `json:"stage"` // with the cell: "gate[eu]"
	Environment string   `json:"environment,omitempty"`
	Files       []string `json:"files"`     // project-relative
	Approvers   []string `json:"approvers"` // as the file has them
	Threshold   int      `json:"threshold"`
	File        string   `json:"file"`          // project-relative
	Dir         bool     `json:"dir,omitempty"` // File is a directory
	Output      string   `json:"output"`
}

func (t task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	g := Gate{
		Step: b.StepName, Stage: b.StepName, Environment: t.cfg.Environment,
		Approvers: b.Strings("approvers"), Threshold: b.Int("threshold", 1),
		Output: b.DistPath(b.StringOr("output", fileName(b.StepName)+".approval.json")),
	}
	for _, p := range b.Paths("files") {
		g.Files = append(g.Files, p.Path)
	}
	g.Files = lists.Unique(g.Files)
	diags := g.place(b)
	diags = append(diags, g.name(b)...)
	approvers, more := planApprovers(b, g.Threshold)
	diags = append(diags, more...)
	if len(g.Files) == 0 {
		diags = append(diags, b.NoFiles("files", "Nothing to approve"))
	}
	if slices.Contains(g.Files, g.Output) {
		diags = append(diags, b.Error("output", "Record is approved", "The record is made from the approvals: leave it out of files."))
	}
	if diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	s.NoCache = true
	tasks.AddPaths(&s, b.Paths("files"))
	b.Follow(&s, "files")
	in := engine.FileInput(g.File)
	if g.Dir {
		in = engine.GlobInput(g.File, "*.json")
	}
	in.Optional = true
	s.Inputs = append(s.Inputs, in)
	s.Discoverer = &discoverer{g, approvers}
	tasks.SetOutputs(&s, []string{g.Output}, nil)
	return b.ToolStep(s, toolName, toolVersion, g, diags)
}

// place decides where the approvals are.
func (g *Gate) place(b *tasks.Block) hcl.Diagnostics {
	text := b.StringOr("file", "approvals/"+fileName(b.StepName)+"/")
	g.Dir = strings.HasSuffix(text, "/")
	g.File = b.DirPath(text)
	if path.IsAbs(text) || strings.ContainsAny(text, "\\*?[{") || !filepath.IsLocal(filepath.FromSlash(g.File)) || g.File == "." {
		return hcl.Diagnostics{b.Error("file", "Invalid path", fmt.Sprintf("%q is not the path of a file or directory in the project.", text))}
	}
	if g.File == b.Project.Dist || strings.HasPrefix(g.File, b.Project.Dist+"/") {
		return hcl.Diagnostics{b.Error("file", "Approvals among outputs", b.Project.Dist+" is for what stages make. Keep approvals elsewhere, for example in approvals/.")}
	}
	return nil
}

// name decides what the project is called.
func (g *Gate) name(b *tasks.Block) hcl.Diagnostics {
	g.Project = b.String("project")
	if !b.Has("project") {
		text, err := fs.ReadFile(b.Project.Files, "go.mod")
		if err == nil {
			g.Project = modfile.ModulePath(text)
		}
		if g.Project == "" {
			return hcl.Diagnostics{b.Error("project", "Project without a name", "There is no module path in go.mod: say project = \"…\", so that approvals of other projects do not count.")}
		}
	}
	if strings.TrimSpace(g.Project) == "" {
		return hcl.Diagnostics{b.Error("project", "Project without a name", "project is empty.")}
	}
	return nil
}

// fileName is a step's name as part of a file's.
func fileName(step string) string {
	return strings.TrimRight(strings.NewReplacer("[", "-", "]", "", "/", "-", ",", "-", `\`, "-", ":", "-", " ", "-").Replace(step), "-")
}

// An approver is somebody whose approval counts.
type approver struct {
	text string         // as the file has it
	ring string         // the keyring's directory; empty if there is none, and the key is given
	key  sign.PublicKey // zero for a name
	at   string         // "Airbuildfile:12"
}

// planApprovers reads who counts. Names are looked up when the step is: a host
// that only builds other stages need not know the keys.
func planApprovers(b *tasks.Block, threshold int) (all []approver, diags hcl.Diagnostics) {
	fail := func(attr, summary, format string, args ...any) {
		diags = append(diags, b.Error(attr, summary, fmt.Sprintf(format, args...)))
	}
	at := b.RangeOf("approvers")
	for _, text := range b.Strings("approvers") {
		a := approver{text: text, at: fmt.Sprintf("%s:%d", at.Filename, at.Start.Line)}
		key, err := sign.ParsePublicKey([]byte(text))
		switch {
		case err == nil:
			a.key = key
		case strings.HasSuffix(text, ".pub"):
			content, err := fs.ReadFile(b.Project.Files, b.DirPath(text))
			if err != nil {
				fail("approvers", "No public key", "There is no file %q in the project.", text)
				continue
			}
			if a.key, err = sign.ParsePublicKey(content); err != nil {
				fail("approvers", "No public key", "%s: %v.", text, err)
				continue
			}
		case sign.CheckKeyName(text) != nil:
			fail("approvers", "Not an approver", "%q is not a public key (RWQ…), a public key file (….pub) or a name from airbuild key list.", text)
			continue
		default:
			if a.ring, err = sign.KeyringDir(b.Project.Environ); err != nil {
				fail("approvers", "No keyring", "%v.", err)
				continue
			}
		}
		if a.ring == "" { // of a key that is given it may know what it is trusted for
			a.ring, _ = sign.KeyringDir(b.Project.Environ)
		}
		if slices.ContainsFunc(all, func(o approver) bool {
			return o.text == text || !a.key.IsZero() && a.key.SameKey(o.key)
		}) {
			fail("approvers", "Approver listed twice", "%q is already listed: one person counts once.", text)
			continue
		}
		all = append(all, a)
	}
	switch n := len(b.Strings("approvers")); {
	case n == 0:
		fail("approvers", "Nobody may approve", "approvers is empty: list public keys or names.")
	case threshold < 1:
		fail("threshold", "Invalid threshold", "%d would let everything pass: want 1 or more.", threshold)
	case threshold > n:
		fail("threshold", "Invalid threshold", "%d approvals are wanted, and there are %d approvers: nothing could ever pass.", threshold, n)
	}
	return all, diags
}
