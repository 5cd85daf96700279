package pipelines

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
)

// An owner is the cell that makes an output.
type owner struct {
	stage *stage
	cell  *eval.Cell
}

// String names the step.
func (o owner) String() string { return StepName(o.stage.Decl.Name, o.cell.Key) }

func (o owner) handle() eval.Handle { return eval.Handle{Stage: &o.stage.Stage, Cell: o.cell} }

// outputs are who makes what, as far as the file is planned, and what was said
// of it before all was known.
type outputs struct {
	report *diag.Report

	owners map[string]owner // by project-relative path
	before map[string]owner // of the planning before; nil during the first
	asked  map[string]bool  // what makes was asked, and last said; under asking
	met    map[string]bool  // files that a pattern named, and whether they were said to be made; under asking
	asking sync.Mutex
}

// reset forgets all but the planning before.
func (o *outputs) reset() {
	o.owners, o.asked, o.met = map[string]owner{}, map[string]bool{}, map[string]bool{}
}

// claim records the outputs of a cell. Two cells that make the same path, or
// one below the other's, would overwrite each other.
func (o *outputs) claim(s *stage, c *eval.Cell) {
	for _, out := range c.Outputs {
		if first, taken := o.owners[out]; taken {
			o.sameOutput(out, out, owner{s, c}, first)
			continue
		}
		o.owners[out] = owner{s, c}
	}
}

// checkNesting reports outputs that lie below another cell's, and names that
// are bad.
func (o *outputs) checkNesting() {
	paths := make([]string, 0, len(o.owners))
	for out := range o.owners {
		paths = append(paths, out)
	}
	slices.Sort(paths)
	for _, out := range paths {
		for dir := path.Dir(out); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if first, taken := o.owners[dir]; taken && first.cell != o.owners[out].cell {
				o.sameOutput(out, dir, o.owners[out], first)
				break
			}
		}
	}
	o.checkNames(paths)
}

func (o *outputs) sameOutput(out, other string, a, b owner) {
	an, bn := StepName(a.stage.Decl.Name, a.cell.Key), StepName(b.stage.Decl.Name, b.cell.Key)
	at := outputRange(a.stage)
	d := diag.ErrorAt(at, "Duplicate output", "%s and %s both make %s.", bn, an, out)
	if out != other {
		d = diag.ErrorAt(at, "Duplicate output", "%s makes %s, which is inside %s of %s.", an, out, other, bn)
	}
	if a.stage == b.stage {
		d.Detail += " Put the values that distinguish the cells into the output's name."
	} else {
		d.Detail += " Give one of them another output."
		d.Extra = dsl.Related{{Range: outputRange(b.stage), Note: "the other stage"}}
	}
	o.report.Add(d)
}

// outputRange is where a stage says what it makes, or its header.
func outputRange(s *stage) hcl.Range {
	for _, name := range [...]string{"output", "outputs"} {
		if attr := s.Decl.Body.Attributes[name]; attr != nil {
			return attr.Expr.Range()
		}
	}
	return s.Decl.Range
}

// makes is Project.Makes: what is known so far. The outputs are not written
// to while tasks that may ask plan.
func (o *outputs) makes(name string) bool {
	return o.said(name, o.asked)
}

// said looks a path up, and notes what it says.
func (o *outputs) said(name string, answers map[string]bool) bool {
	o.asking.Lock()
	defer o.asking.Unlock()
	_, made := projectfs.OwnerOf(o.before, name)
	if !made {
		_, made = projectfs.OwnerOf(o.owners, name)
	}
	answers[name] = made
	return made
}

// source reports whether a file that is there is a source: no stage makes it.
func (o *outputs) source(name string) bool {
	return !o.said(name, o.met)
}

// guessedWrong reports whether makes said no to a path that is made.
func (o *outputs) guessedWrong() bool {
	for name, said := range o.asked {
		if _, made := projectfs.OwnerOf(o.owners, name); made != said {
			return true
		}
	}
	for name, said := range o.met {
		if _, made := projectfs.OwnerOf(o.owners, name); made != said {
			return true
		}
	}
	return false
}

// checkNames reports outputs that some hosts could not hold, on every host: a
// project is checked out and carried to any. paths are all outputs, sorted.
func (o *outputs) checkNames(paths []string) {
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
	exists := func(name string) bool { _, made := o.owners[name]; return made || dirs[name] }
	makerOf := func(name string) owner {
		if found, ok := o.owners[name]; ok {
			return found
		}
		at, _ := slices.BinarySearch(paths, name+"/")
		return o.owners[paths[at]] // what is in the directory
	}
	for _, name := range names {
		if why := badName(path.Base(name)); why != "" {
			maker := makerOf(name)
			o.report.Add(diag.ErrorAt(outputRange(maker.stage), "Invalid output", "%s would make %s, which Windows cannot hold: %s. Give it another name.",
				StepName(maker.stage.Decl.Name, maker.cell.Key), name, why))
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
		d := diag.ErrorAt(outputRange(a.stage), "Duplicate output",
			"%s makes %s and %s makes %s: the names differ in case only, and are one file on Windows and macOS. Give one of them another name.",
			StepName(b.stage.Decl.Name, b.cell.Key), other, StepName(a.stage.Decl.Name, a.cell.Key), name)
		if a.stage != b.stage {
			d.Extra = dsl.Related{{Range: outputRange(b.stage), Note: "the other stage"}}
		}
		o.report.Add(d)
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
