package linuxpkg

import (
	"fmt"
	"maps"
	"net/mail"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// epoch stands in where the source's time is not known, as in archives.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func (t task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	diags := planBlocks(b)
	sp, more := planSpec(b)
	diags = append(diags, more...)
	signers, more := planKeys(b, sp.Packages)
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	for _, name := range slices.Sorted(maps.Keys(b.Values)) {
		tasks.AddPaths(&s, b.Values[name].Paths)
		tasks.AddRefs(&s, b.Values[name].Refs)
	}
	outputs := lists.Map(sp.Packages, func(p pkg) string { return p.Output })
	tasks.SetOutputs(&s, outputs, nil)
	if len(signers) > 0 {
		hideKeys(&s, signers)
		s.Discoverer = signers
	}
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

// planBlocks refuses blocks of formats that are not made: their author thinks
// they do something.
func planBlocks(b *tasks.Block) (diags hcl.Diagnostics) {
	made := b.Strings("format")
	if len(made) == 0 {
		return hcl.Diagnostics{b.Error("format", "No format", `format is empty. Name a kind of package, such as "deb".`)}
	}
	for _, block := range []string{"override", "signature"} {
		for _, label := range b.Labels[block] {
			if !slices.Contains(made, label) {
				diags = append(diags, b.Error(firstOf(b, block+"."+label+"."), "Block of another format",
					fmt.Sprintf("%s %q is of no format of this stage: format has %s.%s", block, label, strings.Join(made, ", "), tasks.DidYouMean(label, made))))
			}
		}
	}
	return diags
}

// firstOf is the first attribute that is set in a block, for the range of a
// diagnostic.
func firstOf(b *tasks.Block, prefix string) string {
	for _, name := range slices.Sorted(maps.Keys(b.Values)) {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return ""
}

// A lookup finds the attributes of one kind of package: an override's, or
// those of the stage.
type lookup struct {
	b      *tasks.Block
	format string
}

// attr is the name of the attribute that holds.
func (l lookup) attr(name string) string {
	if own := "override." + l.format + "." + name; l.b.Has(own) {
		return own
	}
	return name
}

func (l lookup) text(name, def string) string { return l.b.StringOr(l.attr(name), def) }
func (l lookup) list(name string) []string    { return l.b.Strings(l.attr(name)) }

func planSpec(b *tasks.Block) (sp spec, diags hcl.Diagnostics) {
	sp.Time, diags = planTime(b)
	v, err := parseVersion(b.String("version"), b.Project.Commit)
	if err != nil {
		diags = append(diags, b.Error("version", "Not a version of a package",
			fmt.Sprintf("%v. Packages are sorted by their versions, so they want numbers, such as 1.2.3 or v1.2.3-rc.1.", err)))
		v.base = "0"
	}
	if b.Has("prerelease") {
		if v.pre = b.String("prerelease"); !isWord(v.pre, ".-") {
			diags = append(diags, b.Error("prerelease", "Not a prerelease", `Want letters, digits and dots, such as "rc.1".`))
		}
	}
	taken := map[string]string{}
	for _, format := range formats {
		if !slices.Contains(b.Strings("format"), format) {
			continue
		}
		p, more := planPackage(b, format, v)
		diags = append(diags, more...)
		if !more.HasErrors() {
			p.Output = planOutput(b, &p)
		}
		if other, dup := taken[p.Output]; dup && p.Output != "" {
			diags = append(diags, b.Error("output", "Two packages of one name", fmt.Sprintf("%s and %s would both be %s.", other, format, p.Output)))
		}
		taken[p.Output] = format
		sp.Packages = append(sp.Packages, p)
	}
	return sp, diags
}

func planTime(b *tasks.Block) (int64, hcl.Diagnostics) {
	t := b.Project.Source.Time
	if t.IsZero() {
		t = epoch
	}
	if b.Has("mtime") {
		var err error
		if t, err = time.Parse(time.RFC3339, b.String("mtime")); err != nil {
			return 0, hcl.Diagnostics{b.Error("mtime", "Not a time", `mtime must be RFC 3339, such as "2026-01-31T12:00:00Z".`)}
		}
	}
	if y := t.UTC().Year(); y < 1970 || y > 2105 {
		return 0, hcl.Diagnostics{b.Error("mtime", "Time out of range", "Packages hold the years 1970 to 2105; set mtime to one of those.")}
	}
	return t.Unix(), nil
}

// planPackage decides all of one package but its file's name.
func planPackage(b *tasks.Block, format string, v version) (pkg, hcl.Diagnostics) {
	get := lookup{b, format}
	p := pkg{
		Format: format, Version: v.in(format),
		Release:    get.text("release", map[string]string{rpm: "1", archlinux: "1", apk: "0"}[format]),
		Name:       get.text("name", defaultName(b)),
		Summary:    strings.TrimSpace(b.StringOr("summary", b.Description)),
		Details:    strings.TrimSpace(b.String("details")),
		Maintainer: b.String("maintainer"), Vendor: b.String("vendor"), Homepage: b.String("homepage"), License: b.String("license"),
		Section: get.text("section", "utils"), Priority: get.text("priority", "optional"),
		Depends: get.list("depends"), PreDepends: get.list("pre_depends"), Recommends: get.list("recommends"), Suggests: get.list("suggests"),
		Conflicts: get.list("conflicts"), Breaks: get.list("breaks"), Replaces: get.list("replaces"), Provides: get.list("provides"),
		Compression: get.text("compression", ""),
		LicenseFile: onePath(b, "license_file"),
	}
	if format == deb {
		p.Lintian = b.Strings("lintian_overrides")
	}
	if format == deb || format == rpm {
		p.Changelog = onePath(b, "changelog")
	}
	var diags hcl.Diagnostics
	for _, plan := range []func(*tasks.Block, lookup, *pkg) hcl.Diagnostics{
		planName, planArch, planTexts, planNumbers, planRelations, planContents, planScripts,
	} {
		diags = append(diags, plan(b, get, &p)...)
	}
	return p, diags
}

func onePath(b *tasks.Block, attr string) string {
	if paths := b.Paths(attr); len(paths) > 0 {
		return paths[0].Path
	}
	return ""
}

// defaultName is the program's, if there is one.
func defaultName(b *tasks.Block) string {
	if paths := b.Paths("binaries"); len(paths) == 1 {
		return path.Base(paths[0].Path)
	}
	return ""
}

func planName(b *tasks.Block, get lookup, p *pkg) hcl.Diagnostics {
	if p.Name == "" {
		return hcl.Diagnostics{b.Error("name", "No name", "Set name: what the package is called.")}
	}
	lower := p.Name == strings.ToLower(p.Name) && !strings.Contains(p.Name, "_")
	if !isWord(p.Name, "+-._") || !isWord(p.Name[:1], "") || p.Format == deb && (!lower || len(p.Name) < 2) {
		return hcl.Diagnostics{b.Error(get.attr("name"), "Not a package's name",
			fmt.Sprintf("%q: %s packages are called by letters (deb: lower case, two or more), digits, dots, + and -, with a letter or digit first.", p.Name, p.Format))}
	}
	return nil
}

// planTexts looks at what becomes lines of the package's own description: a
// line break in one of them would begin another field.
func planTexts(b *tasks.Block, get lookup, p *pkg) (diags hcl.Diagnostics) {
	for _, name := range []string{"summary", "maintainer", "vendor", "homepage", "license", "section", "priority"} {
		if attr := get.attr(name); strings.ContainsFunc(b.String(attr), isControl) {
			diags = append(diags, b.Error(attr, "More than one line", name+" is one line without control characters."))
		}
	}
	if p.Summary == "" || strings.ContainsFunc(p.Summary, isControl) {
		diags = append(diags, b.Error("summary", "No summary", "Say in one line what the package is: summary, or the description of the stage."))
	}
	if m := p.Maintainer; m == "" && p.Format == deb {
		diags = append(diags, b.Error("maintainer", "No maintainer", `A deb names who looks after it: maintainer = "Name <name@example.com>".`))
	} else if _, err := mail.ParseAddress(m); m != "" && err != nil {
		diags = append(diags, b.Error("maintainer", "Not a maintainer", `maintainer must be a name and an address: "Name <name@example.com>".`))
	}
	if p.License == "" && p.Format == rpm {
		diags = append(diags, b.Error("license", "No license", `An rpm says under what licence it is: license = "MIT".`))
	}
	return diags
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func planNumbers(b *tasks.Block, get lookup, p *pkg) (diags hcl.Diagnostics) {
	if r := p.Release; r != "" {
		_, err := strconv.ParseUint(r, 10, 31)
		switch {
		case !isWord(r, "+.~"):
			diags = append(diags, b.Error(get.attr("release"), "Not a release", `release must consist of digits, letters and dots, such as "1".`))
		case err != nil && (p.Format == apk || p.Format == archlinux):
			diags = append(diags, b.Error(get.attr("release"), "Not a release", fmt.Sprintf("The release of an %s package is a number.", p.Format)))
		}
	}
	if !b.Has("epoch") {
		return diags
	}
	n := b.Int("epoch", 0)
	if n < 0 || n > 1<<31-1 {
		return append(diags, b.Error("epoch", "Not an epoch", "epoch is a small number, 0 or more."))
	}
	if p.Format != apk {
		p.Epoch = strconv.Itoa(n)
	}
	return diags
}

// planRelations refuses what would be a line of its own, and empty names.
func planRelations(b *tasks.Block, get lookup, p *pkg) (diags hcl.Diagnostics) {
	for _, name := range []string{"depends", "pre_depends", "recommends", "suggests", "conflicts", "breaks", "replaces", "provides"} {
		for _, r := range get.list(name) {
			if strings.TrimSpace(r) == "" || strings.ContainsFunc(r, isControl) {
				diags = append(diags, b.Error(get.attr(name), "Not a package", fmt.Sprintf("%q is not the name of a package.", r)))
			}
		}
	}
	for _, tag := range p.Lintian {
		if strings.ContainsFunc(tag, isControl) || tag == "" {
			diags = append(diags, b.Error("lintian_overrides", "Not a tag", fmt.Sprintf("%q is not a lintian tag.", tag)))
		}
	}
	return diags
}

// planOutput names the file: as the format does, or as the user says.
func planOutput(b *tasks.Block, p *pkg) string {
	ending := packagers[p.Format].ConventionalExtension()
	if b.Has("output") {
		return b.DistPath(strings.TrimSuffix(b.String("output"), ending) + ending)
	}
	name := packagers[p.Format].ConventionalFileName(p.info(0))
	if p.Variant != "" { // beside the package for every processor
		name = strings.TrimSuffix(name, ending) + "." + p.Variant + ending
	}
	return b.DistPath(name)
}
