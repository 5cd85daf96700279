package pipelines

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
)

// An owner is the cell that makes an output.
type owner struct {
	stage *stage
	cell  *cell
}

// String names the step.
func (o owner) String() string { return StepName(o.stage.decl.Name, o.cell.key) }

func (o owner) handle() handle { return handle{stage: o.stage, cell: o.cell} }

// claim records the outputs of a cell. Two cells that make the same path, or
// one below the other's, would overwrite each other.
func (p *planner) claim(s *stage, c *cell) {
	for _, out := range c.outputs {
		if first, taken := p.outputs[out]; taken {
			p.sameOutput(out, out, owner{s, c}, first)
			continue
		}
		p.outputs[out] = owner{s, c}
	}
}

// checkNesting reports outputs that lie below another cell's, and names that
// are bad.
func (p *planner) checkNesting() {
	paths := make([]string, 0, len(p.outputs))
	for out := range p.outputs {
		paths = append(paths, out)
	}
	slices.Sort(paths)
	for _, out := range paths {
		for dir := path.Dir(out); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if first, taken := p.outputs[dir]; taken && first.cell != p.outputs[out].cell {
				p.sameOutput(out, dir, p.outputs[out], first)
				break
			}
		}
	}
	p.checkNames(paths)
}

func (p *planner) sameOutput(out, other string, a, b owner) {
	an, bn := StepName(a.stage.decl.Name, a.cell.key), StepName(b.stage.decl.Name, b.cell.key)
	at := outputRange(a.stage)
	d := errorAt(at, "Duplicate output", "%s and %s both make %s.", bn, an, out)
	if out != other {
		d = errorAt(at, "Duplicate output", "%s makes %s, which is inside %s of %s.", an, out, other, bn)
	}
	if a.stage == b.stage {
		d.Detail += " Put the values that distinguish the cells into the output's name."
	} else {
		d.Detail += " Give one of them another output."
		d.Extra = dsl.Related{{Range: outputRange(b.stage), Note: "the other stage"}}
	}
	p.report.add(d)
}

// outputRange is where a stage says what it makes, or its header.
func outputRange(s *stage) hcl.Range {
	for _, name := range [...]string{"output", "outputs"} {
		if attr := s.decl.Body.Attributes[name]; attr != nil {
			return attr.Expr.Range()
		}
	}
	return s.decl.Range
}

func (b *bodyReader) suspectPath(full string, e element) {
	b.suspects.add(full, suspicion{e.at, b.stage, aPath})
}

// suspectText notes strings that name a place in dist.
func (b *bodyReader) suspectText(e element) {
	if len(e.refs) == 0 && !e.sensitive && strings.HasPrefix(e.text, b.project.Dist+"/") {
		b.suspects.add(path.Clean(e.text), suspicion{e.at, b.stage, aText})
	}
}

// checkSuspects reports written-out paths that should be references, and
// those that do not exist.
func (p *planner) checkSuspects() {
	for s, paths := range p.suspects.sorted() {
		if s.kind == aPath {
			p.files.LookAt(paths)
		}
		for _, name := range paths {
			p.checkSuspect(suspect{s, name})
		}
	}
}

func (p *planner) checkSuspect(s suspect) {
	if s.kind == aPattern || s.kind == aList {
		p.checkPattern(s)
		return
	}
	if o, ok := projectfs.OwnerOf(p.outputs, s.path); ok && o.stage == s.by && s.kind == aPath {
		p.report.add(errorAt(s.at, "Own output", "%s makes %s itself: what it reads would be what the run before made. Write the output to another place.",
			StepName(o.stage.decl.Name, o.cell.key), s.path))
		return
	}
	if o, ok := p.makerOf(s); ok {
		p.report.add(errorAt(s.at, "Output of another stage", "%s is made by %s: write %s, so that it is there first.",
			s.path, StepName(o.stage.decl.Name, o.cell.key), referenceTo(o, s.path)))
		return
	}
	if s.kind != aPath || p.files.Has(s.path) {
		return
	}
	if !p.files.Fsys.Hides(s.path) {
		p.report.add(errorAt(s.at, "File not found", "%s", p.files.Absent("file or directory", s.path)))
	} else if !p.incomplete && !p.anyBroken {
		p.report.add(errorAt(s.at, "File not found", "No stage makes %q, and files in %s are build outputs, not sources.", s.path, p.project.Dist))
	}
}

// checkPattern reports a pattern that matches nothing, unless a stage that
// comes first makes what it names.
func (p *planner) checkPattern(s suspect) {
	base, _ := pattern.Base(s.path)
	maker, inside := projectfs.OwnerOf(p.outputs, base)
	if inside && maker.stage == s.by {
		p.report.add(errorAt(s.at, "Own output", "%q names what %s makes itself: what it reads would be what the run before made.", s.path, s.by.decl.Name))
		return
	}
	if inside && s.kind == aPattern && slices.Contains(uses(s.by.refs), maker.stage.decl.Name) {
		return
	}
	for _, out := range slices.Sorted(maps.Keys(p.outputs)) {
		o := p.outputs[out]
		if o.stage == s.by || !pattern.Match(s.path, out) {
			continue
		}
		if slices.Contains(uses(s.by.refs), o.stage.decl.Name) {
			return
		}
		maker = o
	}
	if maker.stage != nil {
		p.report.add(errorAt(s.at, "Output of another stage", "%q matches what %s makes: write stage.%s.paths, so that it is there first.",
			s.path, maker.stage.decl.Name, maker.stage.decl.Name))
		return
	}
	needsBroken := slices.ContainsFunc(s.by.refs, func(r reference) bool { return p.byName[r.name] == nil || p.byName[r.name].broken })
	if !p.incomplete && !needsBroken {
		p.report.add(noMatch(s.at, s.path, p.project.Dist))
	}
}

func noMatch(at hcl.Range, text, dist string) *hcl.Diagnostic {
	return errorAt(at, "No file matches", "%q matches no file of the project; %s and .git are never looked into.", text, dist)
}

// makerOf returns the cell of another stage that makes the path or a
// directory that it is in.
func (p *planner) makerOf(s suspect) (owner, bool) {
	for dir := s.path; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if o, ok := p.outputs[dir]; ok && o.stage != s.by {
			return o, true
		}
		if s.kind == aText {
			break
		}
	}
	return owner{}, false
}

// referenceTo is how a user refers to an output.
func referenceTo(o owner, name string) string {
	ref := o.handle().String()
	switch {
	case len(o.cell.outputs) != 1:
		return "one of " + ref + ".paths"
	case o.cell.outputs[0] == name:
		return ref + ".path"
	}
	return `"${` + ref + `.path}` + strings.TrimPrefix(name, o.cell.outputs[0]) + `"`
}

// checkNames reports outputs that some hosts could not hold, on every host: a
// project is checked out and carried to any. paths are all outputs, sorted.
func (p *planner) checkNames(paths []string) {
	spelled := map[string]string{} // by lower case; only of those that are written otherwise
	dirs := map[string]bool{}
	var names []string // outputs, and the directories that they are in
	for _, out := range paths {
		names = append(names, out)
		for dir := path.Dir(out); dir != "." && !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
			names = append(names, dir)
		}
	}
	exists := func(name string) bool { _, made := p.outputs[name]; return made || dirs[name] }
	makerOf := func(name string) owner {
		if o, ok := p.outputs[name]; ok {
			return o
		}
		at, _ := slices.BinarySearch(paths, name+"/")
		return p.outputs[paths[at]] // what is in the directory
	}
	for _, name := range names {
		if why := badName(path.Base(name)); why != "" {
			o := makerOf(name)
			p.report.add(errorAt(outputRange(o.stage), "Invalid output", "%s would make %s, which Windows cannot hold: %s. Give it another name.",
				StepName(o.stage.decl.Name, o.cell.key), name, why))
		}
		lower := strings.ToLower(name)
		if lower == name {
			continue
		}
		other, taken := spelled[lower]
		if !taken && exists(lower) {
			other, taken = lower, true
		}
		spelled[lower] = name
		if !taken {
			continue
		}
		a, b := makerOf(name), makerOf(other)
		d := errorAt(outputRange(a.stage), "Duplicate output",
			"%s makes %s and %s makes %s: the names differ in case only, and are one file on Windows and macOS. Give one of them another name.",
			StepName(b.stage.decl.Name, b.cell.key), other, StepName(a.stage.decl.Name, a.cell.key), name)
		if a.stage != b.stage {
			d.Extra = dsl.Related{{Range: outputRange(b.stage), Note: "the other stage"}}
		}
		p.report.add(d)
	}
}

// devices are names that Windows keeps for devices, with any extension.
var devices = [...]string{"con", "prn", "aux", "nul", "conin$", "conout$"}

// badName says why Windows cannot have a file of this name, or nothing.
func badName(name string) string {
	if i := strings.IndexAny(name, `<>:"|?*\`); i >= 0 {
		return fmt.Sprintf("a name has no %q there", name[i])
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return "a name ends with neither a dot nor a space there"
	}
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToLower(strings.TrimRight(stem, " "))
	port, isPort := strings.CutPrefix(stem, "com")
	if !isPort {
		port, isPort = strings.CutPrefix(stem, "lpt")
	}
	if slices.Contains(devices[:], stem) || isPort && slices.Contains([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³"}, port) {
		return fmt.Sprintf("%q is a device there, with any extension", stem)
	}
	return ""
}
