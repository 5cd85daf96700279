// Package checksum holds the stage type checksum: lists of digests that
// sha256sum -c, sha512sum -c and b3sum -c check.
package checksum

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "checksum"
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
		Type: "checksum",
		Doc:  "Writes checksums of files in the format of `sha256sum -c`.",
		Attrs: []tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files to list; for a directory, every file below it. Names are relative to the checksum file's directory."},
			{Name: "algorithm", Kind: tasks.Strings, Enum: slices.Clone(algorithms[:]), Default: "sha256", Doc: "Hash algorithm; with several, one file per algorithm, with the algorithm in its name (`checksums_sha512.txt`)."},
			{Name: "output", Kind: tasks.Output, Default: "checksums.txt", Doc: "File to write."},
			{Name: "split", Kind: tasks.Bool, Default: "false", Doc: "Writes one file next to each listed file instead, with the algorithm as its extension (`yq.tar.gz.sha256`)."},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Lists []list `json:"lists"`
}

// A list is one checksum file.
type list struct {
	Algorithm string   `json:"algorithm"`
	Output    string   `json:"output"` // project-relative
	Files     []string `json:"files"`  // project-relative, sorted
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	files := b.Paths("files")
	if len(files) == 0 {
		return nil, hcl.Diagnostics{b.NoFiles("files", "Nothing to list")}
	}
	lists, diags := planLists(b, files)
	if diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	var outputs []string
	tasks.AddPaths(&s, files)
	for _, l := range lists {
		outputs = append(outputs, l.Output)
	}
	tasks.SetOutputs(&s, outputs, nil)
	return b.ToolStep(s, toolName, toolVersion, spec{lists}, diags)
}

// planLists decides which checksum files there are.
func planLists(b *tasks.Block, files []tasks.PathValue) (lists []list, diags hcl.Diagnostics) {
	kinds := b.Strings("algorithm")
	if len(kinds) == 0 {
		kinds = []string{"sha256"}
	}
	kinds = slices.Compact(slices.Sorted(slices.Values(kinds)))
	split := b.Bool("split", false)
	if split && b.Has("output") {
		return nil, hcl.Diagnostics{b.Error("output", "Output of split checksums", "With split, every file has its own checksum file, named after it. Remove output, or split.")}
	}
	for _, kind := range kinds {
		if split {
			lists = append(lists, splitLists(b, kind, files)...)
			continue
		}
		l := list{Algorithm: kind, Output: b.DistPath(listName(b.StringOr("output", "checksums.txt"), kind, len(kinds)))}
		for _, p := range files {
			l.Files = append(l.Files, p.Path)
		}
		l.Files = slices.Compact(slices.Sorted(slices.Values(l.Files)))
		lists = append(lists, l)
	}
	return lists, append(diags, checkOutputs(b, lists, files)...)
}

// listName puts the kind of digest before the extension if there are several
// kinds: one file of all would leave the checking programs guessing.
func listName(output, kind string, kinds int) string {
	if kinds == 1 {
		return output
	}
	ext := path.Ext(output)
	return strings.TrimSuffix(output, ext) + "_" + kind + ext
}

// splitLists places a checksum file beside each file in dist, and in dist for
// files of the project: a stage writes nowhere else.
func splitLists(b *tasks.Block, kind string, files []tasks.PathValue) (lists []list) {
	for _, p := range files {
		out := p.Path
		if !strings.HasPrefix(out, b.Project.Dist+"/") {
			out = b.DistPath(path.Base(p.Path))
		}
		l := list{Algorithm: kind, Output: out + "." + kind, Files: []string{p.Path}}
		if !slices.ContainsFunc(lists, func(o list) bool { return o.Output == l.Output && o.Files[0] == p.Path }) {
			lists = append(lists, l)
		}
	}
	return lists
}

// checkOutputs refuses two lists of one name and a list that lists itself.
func checkOutputs(b *tasks.Block, lists []list, files []tasks.PathValue) (diags hcl.Diagnostics) {
	taken := map[string]bool{}
	for _, l := range lists {
		if taken[l.Output] {
			diags = append(diags, b.Error("files", "Two checksum files of one name",
				fmt.Sprintf("%s would be written twice. Rename one of the listed files, or do not split.", l.Output)))
		}
		taken[l.Output] = true
		if slices.ContainsFunc(files, func(p tasks.PathValue) bool { return p.Path == l.Output }) {
			diags = append(diags, b.Error("files", "Checksum file lists itself",
				fmt.Sprintf("%s is both listed and written. Leave it out of files, or choose another output.", l.Output)))
		}
	}
	return diags
}
