package audit

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/engine/trace"
	"github.com/airbuild/airbuild/internal/lists"
)

// What became of a step.
const (
	Clean      = "clean"
	Findings   = "findings"
	Unaudited  = "unaudited"
	InAirbuild = "in airbuild" // it runs no process
	LeftOut    = "left out"
)

// An Report is what audit found. Its JSON is described in docs/verify.md.
type Report struct {
	Version   int          `json:"version"` // 1
	OK        bool         `json:"ok"`
	Unaudited string       `json:"unaudited,omitempty"` // why nothing was
	Steps     []StepReport `json:"steps"`
	Written   []string     `json:"written,omitempty"` // files that were changed
	Limits    string       `json:"limits"`            // what cannot be seen
}

type StepReport struct {
	Step     string    `json:"step"`
	Type     string    `json:"type"`
	Status   string    `json:"status"`
	Reason   string    `json:"reason,omitempty"`
	Declared int       `json:"declared"` // input files
	Opened   int       `json:"opened"`   // of them
	Findings []Finding `json:"findings"`
	Notes    []string  `json:"notes,omitempty"`

	step *engine.Step
}

// The kinds of findings.
const (
	findUndeclared = "undeclared input"
	findUnused     = "unused input"
	findOutput     = "undeclared output"
	findNetwork    = "network"
)

// An Finding is one thing that a stage should say otherwise.
type Finding struct {
	Kind      string   `json:"kind"`
	Path      string   `json:"path,omitempty"` // in the project
	By        []string `json:"by,omitempty"`   // programs
	Text      string   `json:"text"`
	Edit      string   `json:"edit,omitempty"`
	Corrected bool     `json:"mended"`

	attr        string // of the stage
	add, remove string // an element of it, relative to the stage's dir
}

// examine turns what was seen into findings.
func (u *auditor) examine() {
	u.report.Version, u.report.Steps, u.report.Limits = 1, []StepReport{}, limits
	g := u.Plan.Graph
	for _, id := range u.Steps {
		s := &g.Steps[id]
		if s.Inner && u.Left[id] == "" && u.executor.seen[s.Name] == nil {
			continue
		}
		out := StepReport{Step: s.Name, Type: s.Type, Findings: []Finding{}, step: s}
		if why, ok := u.Left[id]; ok {
			out.Status, out.Reason = LeftOut, why
		} else {
			u.examineStep(&out, u.executor.of(s.Name))
		}
		u.report.Steps = append(u.report.Steps, out)
	}
	u.unusedPatterns()
	u.report.OK = u.report.clean()
}

func (u *auditor) examineStep(v *StepReport, o *observed) {
	v.Declared = len(o.declared)
	switch {
	case !runsProcess(v.step) || o.ran && o.record == nil && u.report.Unaudited == "" && o.failure == "" && v.step.Mode == engine.InProcess:
		v.Status, v.Reason = InAirbuild, "it is done in airbuild's own process, which opens its declared inputs only"
		return
	case u.report.Unaudited != "":
		v.Status, v.Reason = Unaudited, u.report.Unaudited
		return
	case o.failure != "":
		v.Status, v.Reason = Unaudited, "it did not end well: "+o.failure
	case !o.ran:
		v.Status, v.Reason = Unaudited, "it did not run"
		return
	case o.record == nil:
		v.Status, v.Reason = Unaudited, "it started no process"
		if strings.HasPrefix(v.step.Command.Arguments[0], "airbuild:") {
			v.Status, v.Reason = InAirbuild, "it started no process"
		}
	case o.record.Incomplete != "":
		v.Status, v.Reason = Unaudited, o.record.Incomplete
	}
	u.files(v, o)
	u.network(v, o)
	u.scriptVariables(v)
	if v.Status != "" {
		return
	}
	v.Status = Clean
	if len(v.Findings) > 0 {
		v.Status = Findings
	}
}

// accesses are what processes and tools did below the step's view of the
// project, by path in it.
func (o *observed) accesses() map[string]trace.Access {
	out := map[string]trace.Access{}
	rel := func(p string) (string, bool) {
		r, err := filepath.Rel(o.base, p)
		return filepath.ToSlash(r), err == nil && filepath.IsLocal(r) && r != "."
	}
	if o.record != nil {
		for _, a := range o.record.Accesses {
			if p, ok := rel(a.Path); ok {
				out[p] = a
			}
		}
	}
	for name, write := range o.opened {
		p, ok := rel(name)
		if !ok {
			continue
		}
		a := out[p]
		a.Path = name
		a.By = append(a.By, "the script")
		a.Write, a.Read = a.Write || write, a.Read || !write
		out[p] = a
	}
	return out
}

// files finds undeclared inputs and outputs.
func (u *auditor) files(v *StepReport, o *observed) {
	declared := lists.Set(o.declared)
	all := o.accesses()
	chosen := 0
	for _, p := range slices.Sorted(maps.Keys(all)) {
		a := all[p]
		used := a.Read || a.Exec
		if declared[p] {
			if used {
				v.Opened++
			}
			continue
		}
		info, inProject := u.projectFile(p)
		switch {
		case a.Dir || info || makes(v.step, p) || strings.HasPrefix(path.Base(p), ".airbuild-"):
		case used && inProject && u.choosing(v.step, p, a):
			chosen++
		case used && inProject:
			u.undeclared(v, p, a)
		case a.Write && a.Left && !inProject:
			u.undeclaredOutput(v, p, a)
		}
	}
	if chosen > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("the go command read %s to choose what belongs to the packages", human.Count(chosen, "further file")))
	}
	if n := v.Declared - v.Opened; n > 0 && v.step.Traits.Go {
		v.Notes = append(v.Notes, fmt.Sprintf("%d of %s of the computed closure were not opened", n, human.Count(v.Declared, "file")))
	}
}

// projectFile looks a path up in the copy of the project: whether it is a
// directory, and whether it is a file that was there before the step.
func (u *auditor) projectFile(p string) (dir, file bool) {
	info, err := os.Lstat(filepath.Join(u.copied.Root, filepath.FromSlash(p)))
	if err != nil {
		return false, false
	}
	return info.IsDir(), !info.IsDir()
}

// goOwn are files of a module that the go command reads although the closure
// holds only what it uses of them.
var goOwn = []string{"go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt", "modules.txt"}

// choosing reports whether a file was read by the go command alone, which looks
// at every file of a package's folder to choose those that belong to it. The
// closure is asked anew whenever such a file changes.
func (u *auditor) choosing(s *engine.Step, p string, a trace.Access) bool {
	if !s.Traits.Go {
		return false
	}
	if slices.Contains(goOwn, path.Base(p)) || strings.HasSuffix(p, "vendor/modules.txt") {
		return true
	}
	return len(a.By) > 0 && !slices.ContainsFunc(a.By, func(by string) bool { return by != "go" })
}

// fromDir is a path of the project as the stage writes it.
func fromDir(s *engine.Step, p string) string {
	rel, err := filepath.Rel(filepath.FromSlash(s.Command.WorkingDirectory), filepath.FromSlash(p))
	if err != nil {
		return p
	}
	return filepath.ToSlash(rel)
}

func (u *auditor) undeclared(v *StepReport, p string, a trace.Access) {
	if maker := u.maker(p); maker != "" {
		ref := "stage." + maker + ".paths"
		v.Findings = append(v.Findings, Finding{Kind: findUndeclared, Path: p, By: a.By,
			Text: fmt.Sprintf("%s is read and not declared; the stage %s makes it", p, maker),
			Edit: fmt.Sprintf("inputs = [..., %s]", ref)})
		return
	}
	in := pattern.Quote(fromDir(v.step, p))
	v.Findings = append(v.Findings, Finding{Kind: findUndeclared, Path: p, By: a.By,
		Text: fmt.Sprintf("%s is read by %s and not declared", p, byText(a.By)), attr: "inputs", add: in,
		Edit: fmt.Sprintf("inputs = [..., %q]", in)})
}

// maker is the stage that makes a file of the project, or "".
func (u *auditor) maker(p string) string {
	for i := range u.Plan.Graph.Steps {
		if s := &u.Plan.Graph.Steps[i]; makes(s, p) {
			return s.Stage
		}
	}
	return ""
}

func (u *auditor) undeclaredOutput(v *StepReport, p string, a trace.Access) {
	out := fromDir(v.step, p)
	f := Finding{Kind: findOutput, Path: p, By: a.By,
		Text: fmt.Sprintf("%s is made by %s and not declared: it is lost, or the step should remove it", p, byText(a.By))}
	if v.step.Traits.Command {
		f.attr, f.add, f.Edit = "outputs", out, fmt.Sprintf("outputs = [..., %q]", out)
	}
	v.Findings = append(v.Findings, f)
}

func byText(by []string) string {
	if len(by) == 0 {
		return "a program"
	}
	return strings.Join(by, ", ")
}

func (u *auditor) network(v *StepReport, o *observed) {
	for _, a := range o.attempts {
		to := strings.TrimSpace(a.Address + " " + a.Host)
		v.Findings = append(v.Findings, Finding{Kind: findNetwork, By: []string{a.Program},
			Text: fmt.Sprintf("%s tried to reach %s (%s)", cmp.Or(a.Program, "a program"), to, a.Op),
			Edit: "sandbox { network = true }   # or declare what it fetches as inputs: yours to decide, --write leaves it"})
	}
}

// unusedPatterns finds elements of inputs that name only files which no cell of
// the stage opened. Only what was watched to the end counts.
func (u *auditor) unusedPatterns() {
	type use struct {
		at      int // the verdict to tell it in
		used    map[string]bool
		unclear bool
	}
	stages := map[string]*use{}
	for i := range u.report.Steps {
		v := &u.report.Steps[i]
		s := stages[v.step.Stage]
		if s == nil {
			s = &use{at: i, used: map[string]bool{}}
			stages[v.step.Stage] = s
		}
		if v.Status != Clean && v.Status != Findings {
			s.unclear = true
			continue
		}
		for p, a := range u.executor.of(v.Step).accesses() {
			if a.Read || a.Exec || a.Stat && !a.Dir {
				s.used[p] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stages)) {
		if s := stages[name]; !s.unclear && u.report.Steps[s.at].step.Mode == engine.Staged {
			u.unusedOf(&u.report.Steps[s.at], s.used)
		}
	}
}

func (u *auditor) unusedOf(v *StepReport, used map[string]bool) {
	for _, in := range v.step.Inputs {
		if in.Kind != engine.FromGlob {
			continue
		}
		for _, pat := range in.Patterns {
			if strings.HasPrefix(pat, "!") {
				continue
			}
			if !slices.ContainsFunc(u.executor.of(v.Step).declared, func(p string) bool {
				return used[p] && matches(in.Path, pat, p)
			}) {
				v.Findings = append(v.Findings, Finding{Kind: findUnused, Path: path.Join(in.Path, pat),
					Text: fmt.Sprintf("%q is declared, and nothing that it names is opened", pat),
					attr: "inputs", remove: pat, Edit: fmt.Sprintf("inputs without %q", pat)})
				if v.Status == Clean {
					v.Status = Findings
				}
			}
		}
	}
}

// matches reports whether a pattern below base names a file, itself or by a
// directory above it.
func matches(base, pat, file string) bool {
	full := path.Join(base, pat)
	for p := file; p != "." && p != "/"; p = path.Dir(p) {
		if pattern.Match(full, p) {
			return true
		}
	}
	return false
}

// limits is what audit cannot know.
const limits = "which variables of the environment programs read cannot be seen, only those of scripts; a step gets none that it does not declare but PATH, HOME, TMPDIR, LANG and TZ"

// scriptVariables tells which variables a script reads that it was not given.
func (u *auditor) scriptVariables(v *StepReport) {
	if !v.step.Traits.Script {
		return
	}
	argv := v.step.Command.Arguments
	if len(argv) < 3 || argv[0] != "airbuild:sh" {
		return
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(argv[2]), "script")
	if err != nil {
		return
	}
	given := map[string]bool{}
	for _, e := range v.step.Command.Env {
		given[e.Name] = true
	}
	for _, e := range v.step.Secrets {
		given[e.Name] = true
	}
	read := map[string]bool{}
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			if n.Name != nil {
				given[n.Name.Value] = true
			}
		case *syntax.WordIter:
			given[n.Name.Value] = true
		case *syntax.CallExpr: // read NAME…, mapfile NAME, getopts … NAME
			for _, w := range n.Args {
				if len(n.Args) > 1 && slices.Contains([]string{"read", "mapfile", "readarray", "getopts"}, n.Args[0].Lit()) {
					given[w.Lit()] = true
				}
			}
		case *syntax.ParamExp:
			if n.Param != nil && syntax.ValidName(n.Param.Value) {
				read[n.Param.Value] = true
			}
		}
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(read)) {
		switch {
		case given[name]:
		case slices.Contains([]string{"HOME", "TMPDIR", "PATH", "PWD", "IFS", "OPTARG", "OPTIND", "RANDOM", "LINENO"}, name):
			v.Notes = append(v.Notes, fmt.Sprintf("the script reads $%s, which differs from run to run: nothing of it may go into an output", name))
		default:
			v.Notes = append(v.Notes, fmt.Sprintf("the script reads $%s, which it is not given: pass_env = [%q], if the host's value should count", name, name))
		}
	}
}
