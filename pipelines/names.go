package pipelines

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/dsl"
)

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
