package oci

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// inImage is a path in the image, clean and without a slash in front.
func inImage(p string) (clean, why string) {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "", fmt.Sprintf("%q is not absolute: begin it with a slash.", p)
	case slices.Contains(strings.Split(p, "/"), "..") || strings.ContainsAny(p, "\x00\\"):
		return "", fmt.Sprintf("%q is not a plain path.", p)
	}
	return strings.TrimPrefix(path.Clean(p), "/"), ""
}

func exists(fsys fs.FS, name string) bool {
	_, err := fs.Stat(fsys, name)
	return err == nil
}

// systemLayer is what programs expect of a system and scratch has not.
func (p *imagePlan) systemLayer() {
	b := p.b
	l := layer{Name: "system"}
	if in, ok := p.onePath("certificates"); ok {
		l.File = append(l.File, file{Path: in.Path, To: "etc/ssl/certs/ca-certificates.crt"})
	}
	if in, ok := p.onePath("timezones"); ok {
		if strings.HasSuffix(in.Path, ".zip") {
			l.File = append(l.File, file{Path: in.Path, To: "usr/share/zoneinfo.zip"})
		} else {
			l.File = append(l.File, file{Path: in.Path, To: "usr/share/zoneinfo", Dir: true})
		}
	}
	dirs := b.Map("directories")
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		d, why := parseDir(name, dirs[name])
		if why != "" {
			p.fail("directories", "Not a directory of an image", "%s", why)
			continue
		}
		l.Dirs = append(l.Dirs, d)
	}
	if len(l.File)+len(l.Dirs) > 0 {
		p.spec.Layers = append(p.spec.Layers, l)
	}
}

func (p *imagePlan) onePath(attr string) (in tasks.PathValue, ok bool) {
	list := p.b.Paths(attr)
	if len(list) != 1 {
		return in, false
	}
	tasks.AddInput(&p.step, list[0].Input())
	return list[0], true
}

// parseDir reads an element of directories: "1777", "0750 65532:65532".
func parseDir(name, text string) (d dir, why string) {
	if d.To, why = inImage(name); why != "" {
		return d, why
	}
	words := strings.Fields(text)
	if d.To == "" || len(words) < 1 || len(words) > 2 {
		return d, fmt.Sprintf("%q = %q: write its mode and, after a blank, its owner: \"0750 65532:65532\".", name, text)
	}
	m, err := strconv.ParseUint(words[0], 8, 16)
	if err != nil || m > 0o7777 {
		return d, fmt.Sprintf("%q = %q: a mode is up to 7777 in octal, such as \"0755\" or \"1777\".", name, text)
	}
	d.Mode = int64(m)
	if len(words) == 2 {
		d.UID, d.GID, why = parseOwner(words[1])
	}
	return d, why
}

// parseOwner reads "65532:65532", or "65532" for a group of the same id.
func parseOwner(text string) (uid, gid int, why string) {
	u, g, two := strings.Cut(text, ":")
	if !two {
		g = u
	}
	a, err1 := strconv.ParseUint(u, 10, 31)
	b, err2 := strconv.ParseUint(g, 10, 31)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Sprintf("%q is not an owner: write user and group as numbers, \"65532:65532\".", text)
	}
	return int(a), int(b), ""
}

// layers plans the layer blocks, in their order.
func (p *imagePlan) layers() {
	b := p.b
	for _, label := range b.Labels["layer"] {
		at := func(attr string) string { return "layer." + label + "." + attr }
		l := layer{Name: label}
		if b.Has(at("mode")) {
			m, err := strconv.ParseUint(b.String(at("mode")), 8, 16)
			if err != nil || m > 0o7777 {
				p.fail(at("mode"), "Not a file mode", `mode must be octal, up to 7777, such as "0644".`)
			}
			l.Mode = fmt.Sprintf("%04o", m)
		}
		if b.Has(at("owner")) {
			var why string
			if l.UID, l.GID, why = parseOwner(b.String(at("owner"))); why != "" {
				p.fail(at("owner"), "Not an owner", "%s", why)
			}
		}
		p.layerFiles(&l, b.Paths(at("files")), b.String(at("to")), at)
		p.spec.Layers = append(p.spec.Layers, l)
	}
}

func (p *imagePlan) layerFiles(l *layer, paths []tasks.PathValue, to string, at func(string) string) {
	clean, why := inImage(to)
	switch {
	case why != "":
		p.fail(at("to"), "Not a path in an image", "%s", why)
		return
	case len(paths) == 0:
		p.diags = append(p.diags, p.b.NoFiles(at("files"), "Empty layer"))
	case len(paths) > 1 && !strings.HasSuffix(to, "/"):
		p.fail(at("to"), "One path for several files", "Put a slash at the end of %q: then it is the directory that holds the %d of them.", to, len(paths))
		return
	}
	from := map[string]string{}
	for _, in := range paths {
		f := file{Path: in.Path, To: clean}
		if strings.HasSuffix(to, "/") {
			f.To = path.Join(clean, path.Base(in.Path))
		}
		if in.Path == "." {
			p.fail(at("files"), "Whole project in a layer", "This would take the output directory and .git too. Name files, or use a pattern.")
			continue
		}
		if first, taken := from[f.To]; taken && first != in.Path {
			p.fail(at("files"), "Two files of one name", "%s and %s would both be /%s. Use two layers, or leave one out.", first, in.Path, f.To)
		}
		from[f.To] = in.Path
		tasks.AddInput(&p.step, in.Input())
		l.File = append(l.File, f)
	}
	slices.SortFunc(l.File, func(a, b file) int { return strings.Compare(a.To, b.To) })
}

// Compiled when they are first used: the program's start is no place for it.
var (
	signalText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(SIG[A-Z0-9+-]+|[0-9]+)$`) })
	portText   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([0-9]{1,5})(?:/(tcp|udp|sctp))?$`) })
)

// config reads what the image's configuration says.
func (p *imagePlan) config() {
	b := p.b
	c := &p.spec.Config
	if b.Has("entrypoint") {
		c.Entrypoint = b.Strings("entrypoint")
	}
	c.Cmd = b.Strings("cmd")
	env := b.Map("environment")
	for name := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			p.fail("environment", "Not the name of a variable", "%q.", name)
		}
	}
	c.Environment = pairs(env)
	if b.Has("timezones") && strings.HasSuffix(b.Paths("timezones")[0].Path, ".zip") {
		if _, set := env["ZONEINFO"]; !set {
			c.Environment = append(c.Environment, pair{"ZONEINFO", "/usr/share/zoneinfo.zip"})
		}
	}
	c.User = b.String("user")
	c.Labels = pairs(b.Map("labels"))
	if b.Has("workdir") {
		clean, why := inImage(b.String("workdir"))
		if why != "" {
			p.fail("workdir", "Not a path in an image", "%s", why)
		}
		c.Workdir = "/" + clean
	}
	for _, v := range b.Strings("volumes") {
		clean, why := inImage(v)
		if why != "" {
			p.fail("volumes", "Not a path in an image", "%s", why)
		}
		c.Volumes = append(c.Volumes, "/"+clean)
	}
	p.ports(c)
	c.StopSignal = b.String("stop_signal")
	if c.StopSignal != "" && !signalText().MatchString(c.StopSignal) {
		p.fail("stop_signal", "Not a signal", `Write its name, such as "SIGTERM", or its number.`)
	}
}

func (p *imagePlan) ports(c *config) {
	for _, text := range p.b.Strings("ports") {
		m := portText().FindStringSubmatch(text)
		if m == nil {
			p.fail("ports", "Not a port", `%q: write "8080", or "53/udp".`, text)
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > 65535 {
			p.fail("ports", "Not a port", "%q: ports are 1 to 65535.", text)
			continue
		}
		proto := cmp.Or(m[2], "tcp")
		c.Ports = append(c.Ports, fmt.Sprintf("%d/%s", n, proto))
	}
	c.Ports = lists.Unique(c.Ports)
}

// fullTag is a name of an image with its tag, as the user writes it: a name
// without registry stays without one.
func fullTag(text string) (full, why string) {
	if strings.Contains(text, "@") {
		return "", "it names a digest, which comes out of the image: leave @ and what follows out."
	}
	t, err := name.NewTag(text, name.WeakValidation)
	if err != nil {
		return "", "write NAME:TAG in lower case, such as \"registry.example/app:v1.0\"."
	}
	if last := text[strings.LastIndex(text, "/")+1:]; !strings.Contains(last, ":") {
		text += ":" + t.TagStr()
	}
	return text, ""
}
