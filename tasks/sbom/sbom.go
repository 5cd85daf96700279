// Package sbom holds the stage type sbom: bills of materials of what is
// released, in CycloneDX and SPDX form.
//
// What a program is made of is read from the program itself: the go command
// writes its modules into it. Checksums come from there or from go.sum,
// licences from the modules' own files. Those lie in vendor, in a module
// cache or in a carried tree, which no input of a step can name; so an InputDiscoverer
// reads them and hands the result in as a file, whose digest is in the key.
package sbom

import (
	"fmt"
	"io/fs"
	"maps"
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
	toolName    = "sbom"
	toolVersion = "2"
)

// Forms of bills of materials, as users write them.
const (
	cycloneDX = "cyclonedx"
	spdx      = "spdx"
)

// extensions of what is written, by form.
func extension(format string) string {
	if format == spdx {
		return ".spdx.json"
	}
	return ".cdx.json"
}

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](runTool)}
}

type task struct{}

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "sbom",
		Traits: tasks.Traits{Timed: true, Traits: engine.Traits{Bill: true}},
		Doc:    "Writes SBOMs of programs, and of archives, packages and images that contain programs.",
		Attrs: []tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files to describe: Go programs, archives, deb and apk packages, container images. Each SBOM is written next to its file."},
			{Name: "format", Kind: tasks.Strings, Enum: []string{cycloneDX, spdx}, Default: cycloneDX, Doc: "`cyclonedx` writes `FILE.cdx.json` (CycloneDX 1.6), `spdx` `FILE.spdx.json` (SPDX 2.3)."},
			{Name: "modules", Kind: tasks.StageRef, Doc: "The `go_vendor` stage that the programs are built from; it runs first."},
			{Name: "version", Kind: tasks.String, Default: "the version of the program's module, if known", Doc: "Version of the described files."},
			{Name: "supplier", Kind: tasks.String, Doc: "Supplying organization."},
			{Name: "licenses", Kind: tasks.StringMap, Doc: "SPDX license expressions by module, `path` or `path@version`; they override the detected licenses."},
			{Name: "namespace", Kind: tasks.String, Default: "https://spdx.org/spdxdocs", Doc: "Prefix of SPDX document namespaces."},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Files     []file   `json:"files"` // sorted by path
	Time      int64    `json:"time"`  // seconds since 1970, UTC
	Version   string   `json:"version,omitempty"`
	Supplier  string   `json:"supplier,omitempty"`
	Namespace string   `json:"namespace"`
	Sums      []string `json:"sums"`           // files in the form of go.sum, which need not be there
	Licenses  string   `json:"licenses"`       // file with what the InputDiscoverer found
	Said      []pair   `json:"said,omitempty"` // the user's own licences, sorted
}

// A file is what is described, and what is written of it.
type file struct {
	Path      string `json:"path"`
	CycloneDX string `json:"cyclonedx,omitempty"`
	SPDX      string `json:"spdx,omitempty"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	formats := b.Strings("format")
	if len(formats) == 0 {
		formats = []string{cycloneDX}
	}
	s := b.NewStep(engine.InProcess)
	sp := spec{
		Version: b.String("version"), Supplier: b.String("supplier"),
		Namespace: strings.TrimSuffix(b.StringOr("namespace", "https://spdx.org/spdxdocs"), "/"),
	}
	if !b.Project.Source.Time.IsZero() {
		sp.Time = b.Project.Source.Time.Unix()
	}
	files, diags := planFiles(b, formats)
	sp.Files = files
	if !strings.Contains(sp.Namespace, "://") || strings.ContainsAny(sp.Namespace, "# ") {
		diags = append(diags, b.Error("namespace", "Not an address", `namespace is where names of documents begin, such as "https://example.com/sbom".`))
	}
	said := b.Map("licenses")
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if why := checkExpression(said[name]); why != "" {
			diags = append(diags, b.Error("licenses", "Not a licence", fmt.Sprintf("%q: %s", said[name], why)))
		}
		sp.Said = append(sp.Said, pair{name, said[name]})
	}
	if diags.HasErrors() {
		return nil, diags
	}
	var outputs []string
	for _, f := range sp.Files {
		for _, out := range []string{f.CycloneDX, f.SPDX} {
			if out != "" {
				outputs = append(outputs, out)
			}
		}
	}
	tasks.AddPaths(&s, b.Paths("files"))
	b.AddRefs(&s, "modules")
	addModules(&s, b, &sp)
	tasks.SetOutputs(&s, outputs, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// addModules makes checksums inputs, and licences by an InputDiscoverer.
func addModules(s *engine.Step, b *tasks.Block, sp *spec) {
	l := &discoverer{dir: b.Meta.Dir, environ: b.Project.Environ, trees: b.Project.GoModules}
	for _, name := range []string{"go.sum", "go.work.sum"} {
		p := path.Join(b.Meta.Dir, name)
		in := engine.FileInput(p)
		in.Optional = true
		tasks.AddInput(s, in)
		sp.Sums = append(sp.Sums, p)
	}
	for _, stage := range b.Stages("modules") {
		l.vendor = true
		for _, made := range stage.Steps {
			s.After = append(s.After, made.ID)
		}
	}
	// A name that no file of a project has: airbuild's own begin so.
	sp.Licenses = path.Join(b.Meta.Dir, ".airbuild-licenses.json")
	l.output = sp.Licenses
	s.Discoverer = l
}

// planFiles says what becomes of each file.
func planFiles(b *tasks.Block, formats []string) (files []file, diags hcl.Diagnostics) {
	taken := map[string]bool{}
	paths := slices.SortedStableFunc(slices.Values(b.Paths("files")), func(x, y tasks.PathValue) int { return strings.Compare(x.Path, y.Path) })
	for i, p := range paths {
		if i > 0 && paths[i-1].Path == p.Path {
			continue
		}
		f := file{Path: p.Path}
		place := p.Path
		if !strings.HasPrefix(place, b.Project.Dist+"/") {
			place = b.DistPath(path.Base(p.Path))
		}
		if slices.Contains(formats, cycloneDX) {
			f.CycloneDX = place + extension(cycloneDX)
		}
		if slices.Contains(formats, spdx) {
			f.SPDX = place + extension(spdx)
		}
		if taken[place] {
			diags = append(diags, b.Error("files", "Two bills of one name", fmt.Sprintf("%s would be described twice under one name. Use two stages, or rename one.", place)))
		}
		taken[place] = true
		if info, err := fs.Stat(b.Project.Files, p.Path); p.Ref == nil && err == nil && info.IsDir() && !isLayout(b.Project.Files, p.Path) {
			diags = append(diags, b.Error("files", "Directory to describe", fmt.Sprintf("%s is a directory, and no image in OCI layout. Name its files.", p.Path)))
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		diags = append(diags, b.NoFiles("files", "Nothing to describe"))
	}
	return files, diags
}

func isLayout(fsys fs.FS, dir string) bool {
	_, err := fs.Stat(fsys, path.Join(dir, "oci-layout"))
	return err == nil
}

// checkExpression refuses what cannot be an SPDX expression: it is checked by
// its characters, not against the list of licences, which grows.
func checkExpression(text string) string {
	if text == "" {
		return "write an SPDX identifier, such as MIT."
	}
	for _, r := range text {
		if r != ' ' && r != '(' && r != ')' && r != '-' && r != '.' && r != '+' && r != ':' &&
			(r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return fmt.Sprintf("an SPDX expression has no %q; write identifiers joined by AND or OR.", r)
		}
	}
	return ""
}
