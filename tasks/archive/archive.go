// Package archive holds the stage type archive: tar and zip files whose bytes
// hang on nothing but the content, the names and the source's time.
//
// Entries are sorted by name. Owners are 0 and have no names, times are one
// fixed time in UTC, modes are 0644 or 0755, symbolic links stay links.
// Directories have no entries of their own, except empty ones. Compression is
// done in one thread by the compressors named in go.mod, so that the same
// airbuild writes the same bytes on every host; a test pins them.
package archive

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command of every archive. The version
// changes when the bytes that the tool writes for a spec change.
const (
	toolName    = "archive"
	toolVersion = "1"
)

// epoch stands in where the source's time is not known: the first moment that
// a zip file can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](runTool)}
}

type task struct{}

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "archive",
		Traits: tasks.Traits{Timed: true, Traits: engine.Traits{Shipped: true}},
		Doc:    "Creates a reproducible tar or zip archive.",
		Attrs: []tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files to pack. Outputs of stages are stored under their base name, files of the project under their path relative to the stage's `dir`, directories with everything below them."},
			{Name: "format", Kind: tasks.String, Enum: formatNames(), Default: "tar.gz", Doc: "Archive format; `binary` copies the one file unchanged to the output's name."},
			{Name: "output", Kind: tasks.Output, Default: "the first file's base name if the cell packs another stage's output, else the stage's name with the cell; plus the format's extension", Doc: "File to write."},
			{Name: "wrap_directory", Kind: tasks.String, Doc: "Top-level directory inside the archive."},
			{Name: "strip_prefix", Kind: tasks.String, Doc: "Leading directory to remove from the paths of the project's files."},
			{Name: "flat", Kind: tasks.Bool, Default: "false", Doc: "Stores every listed file or directory under its base name."},
			{Name: "rename", Kind: tasks.StringMap, Doc: "Name inside the archive for each listed path; overrides all other naming except `wrap_directory`."},
			{Name: "mode", Kind: tasks.String, Default: "0755 for executables, 0644 for the rest", Doc: "Octal permissions for every file."},
			{Name: "mtime", Kind: tasks.String, Default: "source.time, or 1980-01-01T00:00:00Z if unknown", Doc: "Modification time of every entry, RFC 3339, whole seconds."},
			{Name: "level", Kind: tasks.Number, Default: "6 for tar.gz, tar.xz and zip, 3 for tar.zst", Doc: "Compression level: 1 to 9 for tar.gz, 0 to 9 for tar.xz and zip (0 stores), 1 to 22 for tar.zst."},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Format  string  `json:"format"`
	Level   int     `json:"level"`
	Time    int64   `json:"time"`           // seconds since 1970, UTC
	Mode    string  `json:"mode,omitempty"` // octal; empty: by executable bit
	Output  string  `json:"output"`         // project-relative
	Entries []entry `json:"entries"`        // sorted by name
}

// An entry is one listed file or directory and its name inside.
type entry struct {
	Path string `json:"path"`
	Name string `json:"name"`
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	s := b.NewStep(engine.InProcess)
	sp := spec{Format: b.StringOr("format", "tar.gz")}
	var diags hcl.Diagnostics
	for _, plan := range []func(*tasks.Block, *spec) hcl.Diagnostics{planEntries, planLevel, planTime, planMode, planBinary} {
		diags = append(diags, plan(b, &sp)...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	tasks.AddPaths(&s, b.Paths("files"))
	sp.Output = b.DistPath(b.StringOr("output", defaultOutput(b)+ending(b, sp.Format)))
	if sp.Format == binary && sp.Output == b.Paths("files")[0].Path {
		return nil, append(diags, b.Error("files", "Copy onto itself", sp.Output+" already exists. Set output, or publish the binary without an archive stage."))
	}
	tasks.SetOutputs(&s, []string{sp.Output}, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// defaultOutput names an archive without its extension. A cell that packs
// what another stage built is named after that; "yq_linux_amd64" says more
// than the key of a cell.
func defaultOutput(b *tasks.Block) string {
	if files := b.Paths("files"); b.Cell != "" && files[0].Ref != nil {
		return strings.TrimSuffix(path.Base(files[0].Path), programEnding(files[0].Path))
	}
	if b.Cell == "" {
		return b.Name
	}
	return b.Name + "_" + strings.NewReplacer("/", "_", ",", "_", " ", "_", "\\", "_", ":", "_").Replace(b.Cell)
}

// ending is what is put behind the name of an archive, or of a program.
func ending(b *tasks.Block, format string) string {
	if format != binary {
		return "." + format
	}
	return programEnding(b.Paths("files")[0].Path)
}

// programEnding is the ending of a program's file name by which a system knows
// it for one.
func programEnding(name string) string {
	if ext := path.Ext(name); ext == ".exe" || ext == ".wasm" {
		return ext
	}
	return ""
}

func planLevel(b *tasks.Block, sp *spec) hcl.Diagnostics {
	f := formats[sp.Format]
	sp.Level = b.Int("level", f.level)
	if !b.Has("level") {
		return nil
	}
	if f.max == 0 {
		return hcl.Diagnostics{b.Error("level", "Nothing to compress", sp.Format+" has no compression level. Remove level, or choose another format.")}
	}
	if sp.Level < f.min || sp.Level > f.max {
		return hcl.Diagnostics{b.Error("level", "Level out of range", fmt.Sprintf("%s takes levels from %d to %d.", sp.Format, f.min, f.max))}
	}
	return nil
}

func planTime(b *tasks.Block, sp *spec) hcl.Diagnostics {
	t := b.Project.Source.Time
	if t.IsZero() {
		t = epoch
	}
	if b.Has("mtime") {
		var err error
		if t, err = time.Parse(time.RFC3339, b.String("mtime")); err != nil {
			return hcl.Diagnostics{b.Error("mtime", "Not a time", `mtime must be RFC 3339, such as "2026-01-31T12:00:00Z".`)}
		}
	}
	if y := t.UTC().Year(); y < 1970 || y > 2105 {
		return hcl.Diagnostics{b.Error("mtime", "Time out of range", "Archives hold the years 1970 to 2105; set mtime to one of those.")}
	}
	sp.Time = t.Unix()
	if sp.Format == "zip" {
		sp.Time = max(sp.Time, epoch.Unix())
	}
	return nil
}

func planMode(b *tasks.Block, sp *spec) hcl.Diagnostics {
	if !b.Has("mode") {
		return nil
	}
	m, err := strconv.ParseUint(b.String("mode"), 8, 16)
	if err != nil || m > 0o777 {
		return hcl.Diagnostics{b.Error("mode", "Not a file mode", `mode must be octal, up to 0777, such as "0644".`)}
	}
	sp.Mode = fmt.Sprintf("%04o", m)
	return nil
}

// planBinary refuses what makes sense in an archive only.
func planBinary(b *tasks.Block, sp *spec) (diags hcl.Diagnostics) {
	if sp.Format != binary {
		return nil
	}
	if len(sp.Entries) > 1 {
		diags = append(diags, b.Error("files", "Several files, and no archive", `format = "binary" is for one file. Use for_each, or another format.`))
	}
	for _, attr := range []string{"wrap_directory", "strip_prefix", "flat", "rename", "mtime"} {
		if b.Has(attr) {
			diags = append(diags, b.Error(attr, "Nothing to name", attr+` is about what is in an archive, and format = "binary" makes none. Remove it; output names the file.`))
		}
	}
	sp.Time = 0 // a file of its own has the time of its making
	return diags
}

func formatNames() []string { return slices.Clone(formatOrder[:]) }
