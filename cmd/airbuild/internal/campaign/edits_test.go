package campaign

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An edit changes the state of a project, or what stands in its directory, and says
// what it did; "" if the project has nothing for it.
type edit struct {
	name   string
	weight int
	// neutral edits change nothing that a step depends on: no step may run.
	neutral bool
	// alone: with no other edit in the same round.
	alone bool
	do    func(*project) string
}

var edits = []edit{
	{name: "content", weight: 30, do: func(p *project) string { return p.content(p.files, "") }},
	{name: "same size and time", weight: 12, do: func(p *project) string {
		p.keepTime = true
		return p.content(p.files, "")
	}},
	{name: "setting", weight: 14, do: (*project).setting},
	{name: "environment", weight: 4, do: func(p *project) string {
		name, ok := p.pick(slices.Collect(maps.Keys(p.env)))
		if !ok {
			return ""
		}
		p.env[name] = fmt.Sprint(p.rng.IntN(10))
		return name + "=" + p.env[name]
	}},
	{name: "tool", weight: 5, do: func(p *project) string { return p.content(p.kit, "kit/") }},
	{name: "mode", weight: 5, do: func(p *project) string {
		name, ok := p.choose(func(_ string, f file) bool { return f.link == "" && !f.unread })
		if !ok {
			return ""
		}
		f := p.files[name]
		f.exec = !f.exec
		p.files[name] = f
		return fmt.Sprintf("%s executable %v", name, f.exec)
	}},
	{name: "remove", weight: 7, do: func(p *project) string {
		name, ok := p.choose(func(_ string, f file) bool { return f.optional })
		if !ok {
			return ""
		}
		p.gone[name] = p.files[name]
		delete(p.files, name)
		return name
	}},
	{name: "add", weight: 7, do: func(p *project) string {
		name, ok := p.pick(slices.Collect(maps.Keys(p.gone)))
		if _, there := p.files[name]; !ok || there {
			return ""
		}
		p.files[name] = p.gone[name]
		delete(p.gone, name)
		return name
	}},
	{name: "rename", weight: 6, do: func(p *project) string {
		name, ok := p.choose(func(_ string, f file) bool { return f.optional })
		if !ok {
			return ""
		}
		to := path.Join(path.Dir(name), fmt.Sprintf("r%d%s", p.rng.IntN(4), path.Ext(name)))
		if _, there := p.files[to]; there {
			return ""
		}
		p.files[to] = p.files[name]
		delete(p.files, name)
		return name + " to " + to
	}},
	{name: "link", weight: 8, do: func(p *project) string {
		name, ok := p.choose(func(_ string, f file) bool { return len(f.targets) > 0 })
		if !ok {
			return ""
		}
		f := p.files[name]
		f.link = f.targets[p.rng.IntN(len(f.targets))]
		p.files[name] = f
		return name + " to " + f.link
	}},
	// A file becomes a link to a file with other text, and back. Where patterns name
	// the files: a link stays one, and what it leads to must be an input too.
	{name: "file or link", weight: 4, do: func(p *project) string {
		name, ok := p.choose(func(name string, f file) bool {
			folder, _, _ := strings.Cut(name, "/")
			return f.vary != nil && slices.Contains([]string{"pat", "links", "chain", "pkg"}, folder) &&
				(f.link == "" && strings.HasSuffix(name, ".txt") || strings.HasPrefix(f.link, "moved-"))
		})
		if !ok {
			return ""
		}
		f := p.files[name]
		beside := path.Join(path.Dir(name), "moved-"+path.Base(name))
		if f.link != "" {
			f.link = ""
			delete(p.files, beside)
		} else {
			p.files[beside] = file{text: f.vary(p.rng.IntN(10))}
			f.link = path.Base(beside)
		}
		p.files[name] = f
		return fmt.Sprintf("%s link %q", name, f.link)
	}},
	{name: "output", weight: 4, alone: true, do: (*project).damage},

	{name: "touch", weight: 5, neutral: true, do: func(p *project) string {
		name, ok := p.choose(p.stands)
		if !ok {
			return ""
		}
		at := time.Now().Add(-time.Duration(p.rng.IntN(1e6)) * time.Second)
		if err := os.Chtimes(filepath.Join(p.here.dir, name), at, at); err != nil {
			p.t.Fatal(err)
		}
		return name
	}},
	{name: "written again", weight: 3, neutral: true, do: func(p *project) string {
		name, ok := p.choose(p.stands)
		if !ok {
			return ""
		}
		if err := os.Remove(filepath.Join(p.here.dir, name)); err != nil {
			p.t.Fatal(err)
		}
		delete(p.here.written, name)
		return name
	}},
	{name: "comment in the Airbuildfile", weight: 4, neutral: true, do: func(p *project) string {
		p.knobs[commentKnob]++
		return fmt.Sprint(p.knobs[commentKnob])
	}},
	{name: "mode without the executable bit", weight: 2, neutral: true, do: func(p *project) string {
		name, ok := p.choose(func(_ string, f file) bool { return f.link == "" && !f.exec })
		if !ok {
			return ""
		}
		f := p.files[name]
		f.mode = []fs.FileMode{0o600, 0o644, 0o664}[p.rng.IntN(3)]
		p.files[name] = f
		return fmt.Sprintf("%s %o", name, f.mode)
	}},
	{name: "unread file", weight: 5, neutral: true, do: func(p *project) string {
		name := []string{"README.md", "notes/a.txt", "notes/deep/b.go", "notes/Airbuildfile.old", "unread.c"}[p.rng.IntN(5)]
		if _, ok := p.files[name]; ok && p.rng.IntN(3) == 0 {
			delete(p.files, name)
			return name + " removed"
		}
		p.files[name] = file{text: fmt.Sprintf("package ignored // %d\n", p.rng.IntN(1000)), unread: true, exec: p.rng.IntN(4) == 0}
		return name
	}},
	{name: "nothing", weight: 2, neutral: true, do: func(*project) string { return "at all" }},
}

// commentKnob is the setting that stands in a comment of the Airbuildfile.
const commentKnob = "comment"

func (p *project) pick(names []string) (string, bool) {
	if len(names) == 0 {
		return "", false
	}
	slices.Sort(names)
	return names[p.rng.IntN(len(names))], true
}

// choose picks a file of the project for which ok holds.
func (p *project) choose(ok func(name string, f file) bool) (string, bool) {
	var names []string
	for name, f := range p.files {
		if ok(name, f) {
			names = append(names, name)
		}
	}
	return p.pick(names)
}

// stands reports whether a regular file is in the project's directory already.
func (p *project) stands(name string, f file) bool {
	old, ok := p.here.written[name]
	return ok && old.link == "" && f.link == ""
}

// content gives a file another value.
func (p *project) content(files map[string]file, where string) string {
	var names []string
	for name, f := range files {
		if f.vary != nil && f.link == "" {
			names = append(names, name)
		}
	}
	name, ok := p.pick(names)
	if !ok {
		return ""
	}
	f := files[name]
	v := p.rng.IntN(10)
	f.text = f.vary(v)
	files[name] = f
	return fmt.Sprintf("%s%s value %d", where, name, v)
}

// setting turns a knob of a part.
func (p *project) setting() string {
	var names []string
	for _, part := range p.parts {
		for _, k := range part.knobs {
			names = append(names, part.name+"."+k.name)
		}
	}
	name, ok := p.pick(names)
	if !ok {
		return ""
	}
	for _, part := range p.parts {
		for _, k := range part.knobs {
			if part.name+"."+k.name == name {
				p.knobs[name] = p.rng.IntN(k.n)
			}
		}
	}
	return fmt.Sprintf("%s = %d", name, p.knobs[name])
}

// damage removes an output of the project's last run, replaces it by a link to a
// source, or writes over it.
func (p *project) damage() string {
	var outputs []string
	for name, what := range p.last {
		if _, ok := p.here.written[name]; !ok && strings.HasPrefix(what, "file") {
			outputs = append(outputs, name)
		}
	}
	name, ok := p.pick(outputs)
	if !ok || p.failed {
		return ""
	}
	at := filepath.Join(p.here.dir, name)
	how := []string{"removed", "linked", "written over"}[p.rng.IntN(3)]
	err := os.Remove(at)
	switch {
	case err != nil:
	case how == "linked":
		err = os.Symlink(filepath.Join(p.here.dir, "Airbuildfile"), at)
	case how == "written over":
		err = os.WriteFile(at, []byte("damaged"), 0o666)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return name + " " + how
}
