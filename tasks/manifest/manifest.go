// Package manifest holds the stage type metadata: what a release is made of,
// for programs to read. Nothing in it hangs on the host or the clock.
package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "metadata"
	toolVersion = "1"
)

// Names of the files, in the folder that output names.
const (
	metadataFile  = "metadata.json"
	artifactsFile = "artifacts.json"
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
		Type:   "metadata",
		Traits: tasks.Traits{Timed: true},
		Doc:    "Writes `metadata.json` and `artifacts.json`, which describe the release in machine-readable form.",
		Attrs: []tasks.Attr{
			{Name: "stages", Kind: tasks.StageRefs, Required: true, Doc: "The stages, or cells of them, whose outputs are listed."},
			{Name: "name", Kind: tasks.String, Default: "the stage's name", Doc: "Name of the project."},
			{Name: "version", Kind: tasks.String, Doc: "Version of the project."},
			{Name: "tag", Kind: tasks.String, Doc: "Tag of the source, such as `git.tag`."},
			{Name: "commit", Kind: tasks.String, Doc: "Commit of the source, such as `git.commit`."},
			{Name: "extra", Kind: tasks.StringMap, Doc: "Further values, written to `extra` in `metadata.json`."},
			{Name: "directory", Kind: tasks.Output, Default: ".", Doc: "Directory to write both files to."},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Metadata  string  `json:"metadata"`  // project-relative
	Artifacts string  `json:"artifacts"` // project-relative
	Name      string  `json:"name"`
	Version   string  `json:"version,omitempty"`
	Tag       string  `json:"tag,omitempty"`
	Commit    string  `json:"commit,omitempty"`
	Date      string  `json:"date,omitempty"`
	Extra     []extra `json:"extra,omitempty"` // sorted
	Made      []made  `json:"made"`            // sorted by path
}

// An extra is a value of the user's own.
type extra struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A made is an output as the plan knows it.
type made struct {
	Path    string `json:"path"` // project-relative
	Type    string `json:"type"`
	Stage   string `json:"stage"`
	Cell    string `json:"cell,omitempty"`
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
	Variant string `json:"variant,omitempty"`
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	dir := b.DistPath(b.StringOr("directory", "."))
	sp := spec{
		Metadata: path.Join(dir, metadataFile), Artifacts: path.Join(dir, artifactsFile),
		Name: b.StringOr("name", b.Name), Version: b.String("version"), Tag: b.String("tag"), Commit: b.String("commit"),
	}
	if t := b.Project.Source.Time; !t.IsZero() {
		sp.Date = t.UTC().Format(time.RFC3339)
	}
	values := b.Map("extra")
	for name := range values {
		sp.Extra = append(sp.Extra, extra{name, values[name]})
	}
	slices.SortFunc(sp.Extra, func(a, b extra) int { return strings.Compare(a.Name, b.Name) })
	s := b.NewStep(engine.InProcess)
	diags := planMade(b, &sp, &s)
	for _, attr := range []string{"name", "version", "tag", "commit", "extra", "directory"} {
		tasks.AddRefs(&s, b.Values[attr].Refs)
	}
	tasks.SetOutputs(&s, []string{sp.Metadata, sp.Artifacts}, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// planMade lists the outputs of all stages, each once.
func planMade(b *tasks.Block, sp *spec, s *engine.Step) (diags hcl.Diagnostics) {
	seen := map[string]bool{}
	var ins []engine.Input
	for _, stage := range b.Stages("stages") {
		for _, step := range stage.Steps {
			for _, out := range step.Outputs {
				if seen[out] {
					continue
				}
				seen[out] = true
				m := made{Path: out, Type: kindOf(stage.Type), Stage: stage.Name, Cell: step.Cell}
				if p := step.Platform; p != nil {
					m.OS, m.Arch, m.Variant = p.OS, p.Arch, p.Variant
				}
				sp.Made = append(sp.Made, m)
				ins = append(ins, engine.StepInput(out, step.ID, out))
			}
		}
	}
	if len(sp.Made) == 0 {
		diags = append(diags, b.Error("stages", "Nothing was made", "The stages have no outputs, so the manifest would be empty. Name stages that make files."))
	}
	for _, own := range []string{sp.Metadata, sp.Artifacts} {
		if seen[own] {
			diags = append(diags, b.Error("directory", "Output of another stage", fmt.Sprintf("%s is made by another stage already. Set directory.", own)))
		}
	}
	slices.SortFunc(sp.Made, func(a, b made) int { return strings.Compare(a.Path, b.Path) })
	tasks.AddInput(s, ins...)
	return diags
}

// kindOf says what the outputs of a stage type are, in a word that does not
// change when the type gets another name.
func kindOf(stageType string) string {
	if kind, ok := map[string]string{
		"go_build": "binary", "compress_binary": "binary", "archive": "archive", "package": "linux_package", "checksum": "checksum",
		"sign": "signature", "sbom": "sbom", "provenance": "provenance", "oci_image": "image", "changelog": "changelog",
	}[stageType]; ok {
		return kind
	}
	return "file"
}
