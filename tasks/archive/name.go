package archive

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// A naming decides what listed paths are called inside the archive.
type naming struct {
	dir      string            // the stage's
	strip    string            // clean, without a slash at its end
	wrap     string            // clean
	flat     bool              //
	rename   map[string]string // from clean paths
	renamed  map[string]bool   // keys that were used
	stripped bool              // strip took something off
}

// planEntries names every listed path and refuses two of one name.
func planEntries(b *tasks.Block, sp *spec) hcl.Diagnostics {
	n, diags := readNaming(b)
	if len(b.Paths("files")) == 0 {
		return append(diags, b.NoFiles("files", "Nothing to pack"))
	}
	from := map[string]string{}
	for _, p := range b.Paths("files") {
		if p.Path == "." {
			diags = append(diags, at(p.Range, "Whole project as one directory",
				`This would pack the output directory and .git too. Use a pattern such as "**/*.md", or name the directories.`))
			continue
		}
		name := n.name(p)
		switch first, taken := from[name]; {
		case taken && first != p.Path:
			diags = append(diags, at(p.Range, "Two files of one name",
				fmt.Sprintf("%s and %s would both be %q in the archive. Use rename, or leave one out.", first, p.Path, name)))
		case !taken:
			from[name] = p.Path
			sp.Entries = append(sp.Entries, entry{Path: p.Path, Name: name})
		}
	}
	slices.SortFunc(sp.Entries, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })
	return append(diags, n.unused(b)...)
}

func readNaming(b *tasks.Block) (*naming, hcl.Diagnostics) {
	n := &naming{dir: b.Meta.Dir, flat: b.Bool("flat", false), rename: map[string]string{}, renamed: map[string]bool{}}
	var diags hcl.Diagnostics
	local := func(attr, value string) string {
		if value == "" || !filepath.IsLocal(filepath.FromSlash(value)) || strings.Contains(value, `\`) || path.Clean(value) == "." {
			diags = append(diags, b.Error(attr, "Not a name inside an archive",
				fmt.Sprintf("%q is not a relative path with slashes that stays inside.", value)))
			return ""
		}
		return path.Clean(value)
	}
	if b.Has("strip_prefix") {
		n.strip = local("strip_prefix", b.String("strip_prefix"))
	}
	if b.Has("wrap_directory") {
		n.wrap = local("wrap_directory", b.String("wrap_directory"))
	}
	rename := b.Map("rename")
	for _, from := range slices.Sorted(maps.Keys(rename)) {
		n.rename[path.Clean(from)] = local("rename", rename[from])
	}
	return n, diags
}

// name is what p is called inside. A path in rename may be written relative
// to the project or to the stage's dir.
func (n *naming) name(p tasks.PathValue) string {
	inDir := relative(n.dir, p.Path)
	for _, key := range []string{p.Path, inDir} {
		if to, ok := n.rename[key]; ok {
			n.renamed[key] = true
			return path.Join(n.wrap, to)
		}
	}
	if p.Ref != nil || n.flat {
		return path.Join(n.wrap, path.Base(p.Path))
	}
	if rest, ok := strings.CutPrefix(inDir, n.strip+"/"); ok && n.strip != "" {
		n.stripped = true
		inDir = rest
	}
	return path.Join(n.wrap, inDir)
}

// unused reports naming rules that met no file: they are mistakes more often
// than not.
func (n *naming) unused(b *tasks.Block) (diags hcl.Diagnostics) {
	packed := lists.Map(b.Paths("files"), func(p tasks.PathValue) string { return relative(n.dir, p.Path) })
	for _, key := range slices.Sorted(maps.Keys(n.rename)) {
		if !n.renamed[key] {
			diags = append(diags, b.Error("rename", "Rename of a file that is not packed",
				fmt.Sprintf("%q is not among the files of this archive.%s", key, tasks.DidYouMean(key, packed))))
		}
	}
	if n.strip != "" && !n.stripped && !n.flat {
		diags = append(diags, b.Error("strip_prefix", "Prefix of no file",
			fmt.Sprintf("None of the project's files in this archive is in %q.", n.strip)))
	}
	return diags
}

// relative is p below dir, or p itself if it lies elsewhere.
func relative(dir, p string) string {
	if rest, ok := strings.CutPrefix(p, dir+"/"); ok {
		return rest
	}
	return p
}

func at(r hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &r}
}
