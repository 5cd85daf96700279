package pipelines

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/pipelines/internal/decode"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
	"github.com/hashicorp/hcl/v2"
)

// A suspect is a path that a user wrote out. When all outputs are known it is
// checked whether a stage makes it, and if not, whether it is there.
type suspect struct {
	decode.Suspicion
	path string
}

// A suspectChecker looks at suspects when all outputs are known.
type suspectChecker struct {
	report *diag.Report
	files  *projectfs.ProjectFiles
	dist   string
	owners map[string]owner
	stages map[string]*stage

	incomplete bool // a file could not be read: names may be missing
	broken     bool // a stage was left out
}

// check reports written-out paths that should be references, and those that do
// not exist.
func (c *suspectChecker) check(suspects *decode.Suspects) {
	for s, paths := range suspects.Sorted() {
		if s.Kind == decode.APath {
			c.files.LookAt(paths)
		}
		for _, name := range paths {
			c.checkPath(suspect{s, name})
		}
	}
}

func (c *suspectChecker) checkPath(s suspect) {
	if s.Kind == decode.APattern || s.Kind == decode.AList {
		c.checkPattern(s)
		return
	}
	if o, ok := projectfs.OwnerOf(c.owners, s.path); ok && &o.stage.Stage == s.By && s.Kind == decode.APath {
		c.report.Add(diag.ErrorAt(s.At, "Own output", "%s makes %s itself: what it reads would be what the run before made. Write the output to another place.",
			StepName(o.stage.Decl.Name, o.cell.Key), s.path))
		return
	}
	if o, ok := c.makerOf(s); ok {
		c.report.Add(diag.ErrorAt(s.At, "Output of another stage", "%s is made by %s: write %s, so that it is there first.",
			s.path, StepName(o.stage.Decl.Name, o.cell.Key), referenceTo(o, s.path)))
		return
	}
	if s.Kind != decode.APath || c.files.Has(s.path) {
		return
	}
	if !c.files.Fsys.Hides(s.path) {
		c.report.Add(diag.ErrorAt(s.At, "File not found", "%s", c.files.Absent("file or directory", s.path)))
	} else if !c.incomplete && !c.broken {
		c.report.Add(diag.ErrorAt(s.At, "File not found", "No stage makes %q, and files in %s are build outputs, not sources.", s.path, c.dist))
	}
}

// checkPattern reports a pattern that matches nothing, unless a stage that
// comes first makes what it names.
func (c *suspectChecker) checkPattern(s suspect) {
	base, _ := pattern.Base(s.path)
	maker, inside := projectfs.OwnerOf(c.owners, base)
	if inside && &maker.stage.Stage == s.By {
		c.report.Add(diag.ErrorAt(s.At, "Own output", "%q names what %s makes itself: what it reads would be what the run before made.", s.path, s.By.Decl.Name))
		return
	}
	if inside && s.Kind == decode.APattern && slices.Contains(uses(c.stages[s.By.Decl.Name].refs), maker.stage.Decl.Name) {
		return
	}
	for _, out := range slices.Sorted(maps.Keys(c.owners)) {
		o := c.owners[out]
		if &o.stage.Stage == s.By || !pattern.Match(s.path, out) {
			continue
		}
		if slices.Contains(uses(c.stages[s.By.Decl.Name].refs), o.stage.Decl.Name) {
			return
		}
		maker = o
	}
	if maker.stage != nil {
		c.report.Add(diag.ErrorAt(s.At, "Output of another stage", "%q matches what %s makes: write stage.%s.paths, so that it is there first.",
			s.path, maker.stage.Decl.Name, maker.stage.Decl.Name))
		return
	}
	needsBroken := slices.ContainsFunc(c.stages[s.By.Decl.Name].refs, func(r reference) bool { return c.stages[r.name] == nil || c.stages[r.name].broken })
	if !c.incomplete && !needsBroken {
		c.report.Add(noMatch(s.At, s.path, c.dist))
	}
}

func noMatch(at hcl.Range, text, dist string) *hcl.Diagnostic {
	return diag.ErrorAt(at, "No file matches", "%q matches no file of the project; %s and .git are never looked into.", text, dist)
}

// makerOf returns the cell of another stage that makes the path or a
// directory that it is in.
func (c *suspectChecker) makerOf(s suspect) (owner, bool) {
	for dir := s.path; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if o, ok := c.owners[dir]; ok && &o.stage.Stage != s.By {
			return o, true
		}
		if s.Kind == decode.AText {
			break
		}
	}
	return owner{}, false
}

// referenceTo is how a user refers to an output.
func referenceTo(o owner, name string) string {
	ref := o.handle().String()
	switch {
	case len(o.cell.Outputs) != 1:
		return "one of " + ref + ".paths"
	case o.cell.Outputs[0] == name:
		return ref + ".path"
	}
	return `"${` + ref + `.path}` + strings.TrimPrefix(name, o.cell.Outputs[0]) + `"`
}
