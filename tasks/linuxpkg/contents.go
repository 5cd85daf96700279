package linuxpkg

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/tasks"
)

// Types of content, as users write them.
const (
	typeFile      = "file"
	typeConfig    = "config"
	typeNoReplace = "config_noreplace"
	typeMissingOK = "config_missingok"
	typeDir       = "dir"
	typeSymlink   = "symlink"
	typeDoc       = "doc"
	typeLicense   = "license"
	typeGhost     = "ghost"
)

var contentTypes = [...]string{typeFile, typeConfig, typeNoReplace, typeMissingOK, typeDir, typeSymlink, typeDoc, typeLicense, typeGhost}

// planContents lists what is installed and refuses two things at one place.
func planContents(b *tasks.Block, get lookup, p *pkg) (diags hcl.Diagnostics) {
	bindir, ok := installPath(b.StringOr("bindir", "/usr/bin"))
	if !ok {
		diags = append(diags, b.Error("bindir", "Not a place to install to", `bindir is an absolute path, such as "/usr/bin".`))
	}
	for _, bin := range b.Paths("binaries") {
		p.Contents = append(p.Contents, content{Src: bin.Path, Dst: path.Join(bindir, path.Base(bin.Path)), Mode: "0755"})
	}
	for _, label := range b.Labels["contents"] {
		prefix := "contents." + label + "."
		if only := b.Strings(prefix + "formats"); len(only) > 0 && !slices.Contains(only, p.Format) {
			continue
		}
		c, more := planContent(b, label, prefix)
		diags = append(diags, more...)
		p.Contents = append(p.Contents, c...)
	}
	p.Contents = slices.DeleteFunc(p.Contents, func(c content) bool { return c.Type == typeGhost && p.Format != rpm })
	slices.SortStableFunc(p.Contents, func(a, b content) int { return strings.Compare(a.Dst, b.Dst) })
	for i, c := range p.Contents {
		if i > 0 && c.Dst == p.Contents[i-1].Dst {
			diags = append(diags, b.Error("", "Two things at one place", fmt.Sprintf("%s would be installed twice. Leave one out, or install it elsewhere.", c.Dst)))
		}
	}
	return diags
}

// installPath cleans an absolute path of a package; false if it is none.
func installPath(p string) (string, bool) {
	clean := path.Clean(p)
	ok := strings.HasPrefix(p, "/") && clean != "/" && !strings.Contains(p+"/", "/../") && !strings.ContainsFunc(p, isControl)
	return clean, ok
}

// planContent reads one block.
func planContent(b *tasks.Block, label, prefix string) (list []content, diags hcl.Diagnostics) {
	fail := func(attr, summary, format string, args ...any) {
		if !b.Has(attr) {
			attr = firstOf(b, prefix)
		}
		diags = append(diags, b.Error(attr, summary, fmt.Sprintf(format, args...)))
	}
	raw := b.StringOr(prefix+"dst", label)
	dst, ok := installPath(raw)
	if !ok {
		fail(prefix+"dst", "Not a place to install to", "%q is not an absolute path. Write contents \"/etc/app.conf\" { … }, or set dst.", raw)
	}
	c := content{Dst: dst, Type: b.String(prefix + "type"), Target: b.String(prefix + "target"), Owner: b.String(prefix + "owner"), Group: b.String(prefix + "group")}
	if c.Type == typeFile {
		c.Type = ""
	}
	for _, attr := range []string{prefix + "owner", prefix + "group"} {
		if b.Has(attr) && !isWord(b.String(attr), "_-.") {
			fail(attr, "Not a name", "%q is not a user or group name.", b.String(attr))
		}
	}
	if b.Has(prefix + "mode") {
		m, err := strconv.ParseUint(b.String(prefix+"mode"), 8, 16)
		if err != nil || m > 0o7777 || m == 0 {
			fail(prefix+"mode", "Not a file mode", `mode must be octal, up to 7777, such as "0640".`)
		}
		c.Mode = fmt.Sprintf("%04o", m)
	}
	sources := b.Paths(prefix + "src")
	switch needs := c.Type != typeDir && c.Type != typeSymlink && c.Type != typeGhost; {
	case c.Type == typeSymlink && (c.Target == "" || strings.ContainsFunc(c.Target, isControl)):
		fail(prefix+"type", "Link to nowhere", "Say with target what the link points to.")
	case c.Type != typeSymlink && c.Target != "":
		fail(prefix+"target", "Target of no link", `target is for links. Add type = "symlink", or name a file with src.`)
	case !needs && len(sources) > 0:
		fail(prefix+"src", "Source of nothing", "A %s has no source. Remove src, or the type.", c.Type)
	case !needs:
		return []content{c}, diags
	case len(sources) == 0:
		diags = append(diags, b.NoFiles(prefix+"src", "Nothing to install"))
	case len(sources) > 1 && !strings.HasSuffix(raw, "/"):
		fail(prefix+"src", "Several files at one place", "src has %d files. End the destination with a slash to put them into it as a directory.", len(sources))
	}
	for _, src := range sources {
		one := c
		one.Src = src.Path
		if strings.HasSuffix(raw, "/") {
			one.Dst = path.Join(dst, path.Base(src.Path))
		}
		list = append(list, one)
	}
	return list, diags
}
