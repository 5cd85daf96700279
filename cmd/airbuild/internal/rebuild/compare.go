package rebuild

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bytediff"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/tasks"
)

// What became of a step.
const (
	Same    = "same"
	Differs = "differs"  // it made the difference
	Follows = "follows"  // what it needs differs
	LeftOut = "left out" // not built again
	Failed  = "failed"   // the second build of it
	Absent  = "absent"   // nothing to compare it with
)

// A Report is what verify found. Its JSON is described in docs/verify.md.
type Report struct {
	Version   int          `json:"version"` // 1
	OK        bool         `json:"ok"`
	Against   string       `json:"against"` // "recorded results", a directory, or a bundle's digest
	First     []string     `json:"made_first"`
	Steps     []StepReport `json:"steps"`
	Varied    []Condition  `json:"varied"`
	Constant  []Condition  `json:"not_varied"`
	Same      int          `json:"same"` // files
	Differing int          `json:"differing"`
	Missing   int          `json:"missing"` // carried files that no step makes
	Failed    int          `json:"failed"`  // steps
	Unknown   []string     `json:"unknown_files,omitempty"`

	// Path is what was named to compare with; "": recorded results.
	Path string `json:"-"`
	// Source is what git says of the project; nil: nothing.
	Source *source.Info `json:"-"`
}

// A StepReport is what became of one step.
type StepReport struct {
	Step    string         `json:"step"`
	Status  string         `json:"status"`
	Reason  string         `json:"reason,omitempty"`
	Outputs []OutputReport `json:"outputs,omitempty"`

	id engine.StepID
}

// An OutputReport is a file that was compared.
type OutputReport struct {
	Path        string       `json:"path"`
	Same        bool         `json:"same"`
	Old         string       `json:"old,omitempty"` // SHA-256
	New         string       `json:"new,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
}

type Difference struct {
	Where  []string `json:"where"`
	What   string   `json:"what"`
	Old    string   `json:"old,omitempty"`
	New    string   `json:"new,omitempty"`
	Offset *int64   `json:"offset,omitempty"`
	Cause  string   `json:"cause,omitempty"`
}

// compare holds every step's outputs against what is to be the same.
func (v *Rebuild) compare(ctx context.Context) error {
	r := &v.report
	r.Version, r.Varied, r.Constant, r.First = 1, v.conditions.varied, v.conditions.constant, append([]string{}, v.Made...)
	r.Path, r.Source = v.o.Against, v.conditions.Source
	r.Against = "recorded results"
	if v.expected != nil {
		r.Against = cmp.Or(v.against, v.o.Against)
	}
	bad := map[engine.StepID]bool{}
	for _, id := range v.Steps {
		s, err := v.compareStep(ctx, id, bad)
		if err != nil {
			return fmt.Errorf("compare %s: %w", v.Plan.Graph.Steps[id].Name, err)
		}
		s.id, s.Step = id, v.Plan.Graph.Steps[id].Name
		bad[id] = s.Status == Differs || s.Status == Follows || s.Status == Failed
		if s.Status == Failed {
			r.Failed++
		}
		for _, o := range s.Outputs {
			if o.Same {
				r.Same++
			} else {
				r.Differing++
			}
		}
		r.Steps = append(r.Steps, s)
	}
	for _, p := range slices.Sorted(maps.Keys(v.expected)) {
		if !v.expected[p].used {
			r.Unknown = append(r.Unknown, p)
		}
	}
	r.OK = r.Failed == 0 && r.Differing == 0 && r.Missing == 0 && r.Same > 0
	return nil
}

func (v *Rebuild) compareStep(ctx context.Context, id engine.StepID, bad map[engine.StepID]bool) (StepReport, error) {
	step := &v.Plan.Graph.Steps[id]
	if why, ok := v.Left[id]; ok {
		return StepReport{Status: LeftOut, Reason: why}, v.passOver(ctx, id)
	}
	made, ok := v.results[step.Name]
	follows := v.follows(id, bad)
	switch {
	case !ok || made.key.Hash == [32]byte{} || made.status != engine.Done.String() && made.status != engine.Hit.String():
		if unsigned := v.unsigned(id); follows != "" && unsigned != "" {
			return StepReport{Status: Follows, Reason: "it needs " + unsigned + ", which cannot sign here what " + follows + " made"}, nil
		}
		out := StepReport{Status: Failed, Reason: engine.Masked(cmp.Or(made.err, made.status, "it was not run"), step)}
		if follows != "" {
			out.Reason += " (after " + follows + ")"
		}
		return out, nil
	}
	key, err := v.again.Find(ctx, made.key.Hash)
	if err != nil {
		return StepReport{}, err
	}
	is, err := outputsOf(ctx, v.again, key)
	if err != nil {
		return StepReport{}, err
	}
	if v.expected != nil {
		return v.compareExpected(ctx, step, is, follows)
	}
	was, err := outputsOf(ctx, v.Store, v.Keys[id])
	if err != nil {
		return StepReport{}, err
	}
	out := StepReport{Status: Same}
	same := true
	for _, p := range union(was, is) {
		o, err := v.compareOutput(ctx, step, p, v.fromStore(was, p), is)
		if err != nil {
			return out, err
		}
		same = same && o.Same
		out.Outputs = append(out.Outputs, o)
	}
	if !same {
		v.blame(ctx, &out, id, key, follows)
	}
	return out, nil
}

// blame says whether the step made the difference or follows another.
func (v *Rebuild) blame(ctx context.Context, out *StepReport, id engine.StepID, key action.Digest, follows string) {
	switch {
	case v.Keys[id].Hash == key.Hash:
		out.Status, out.Reason = Differs, "its inputs are the same, and its outputs are not"
	case follows != "":
		out.Status, out.Reason = Follows, "it was given what "+follows+" made"
	default:
		out.Status, out.Reason = Differs, "its key differs: "+v.keyChange(ctx, v.Keys[id], key)
	}
}

// keyChange says what differs in two keys.
func (v *Rebuild) keyChange(ctx context.Context, was, is action.Digest) string {
	old, err := engine.KeyParts(ctx, v.Store, was)
	if err != nil {
		return "its parts are not recorded"
	}
	now, err := engine.KeyParts(ctx, v.again, is)
	if err != nil {
		return "its parts are not recorded"
	}
	var parts []string
	for _, c := range action.Diff(old, now) {
		if len(parts) == 3 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s: %q, and %q", c.Kind, c.Name, c.Old, c.New)))
	}
	return strings.Join(parts, "; ")
}

// follows names the first step that differs, of those that a step needs.
func (v *Rebuild) follows(id engine.StepID, bad map[engine.StepID]bool) string {
	for _, need := range v.Plan.Graph.Closure([]engine.StepID{id}) {
		if need != id && bad[need] {
			return v.Plan.Graph.Steps[need].Name
		}
	}
	return ""
}

// unsigned names a step that another needs and whose secret is not here.
func (v *Rebuild) unsigned(id engine.StepID) string {
	g := v.Plan.Graph
	for _, need := range g.Closure([]engine.StepID{id}) {
		if tasks.LackingSecret(&g.Steps[need]) != "" {
			return g.Steps[need].Name
		}
	}
	return ""
}

// An outputFile is one file of a result.
type outputFile struct {
	digest     action.Digest
	executable bool
	link       string
}

// outputsOf lists the files of a recorded result, those in directories too.
func outputsOf(ctx context.Context, s *store.Disk, key action.Digest) (map[string]outputFile, error) {
	out := map[string]outputFile{}
	res, err := s.Result(ctx, key)
	if err != nil {
		return nil, err
	}
	if res == nil {
		return nil, fmt.Errorf("the result of %s is not recorded", key.Hex())
	}
	for _, f := range res.OutputFiles {
		out[f.Path] = outputFile{digest: f.Digest, executable: f.Executable}
	}
	for _, l := range res.OutputSymlinks {
		out[l.Path] = outputFile{link: l.Target}
	}
	for _, d := range res.OutputDirectories {
		b, err := engine.ReadBlob(ctx, s, d.Tree)
		if err != nil {
			return nil, err
		}
		t, err := action.UnmarshalTree(b)
		if err != nil {
			return nil, err
		}
		files, links, _, err := tree.Flatten(t, d.Path)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			out[f.Path] = outputFile{digest: f.Digest, executable: f.Executable}
		}
		for _, l := range links {
			out[l.Path] = outputFile{link: l.Target}
		}
	}
	return out, nil
}

func union(a, b map[string]outputFile) []string {
	names := slices.Sorted(maps.Keys(a))
	for p := range b {
		if _, ok := a[p]; !ok {
			names = append(names, p)
		}
	}
	slices.Sort(names)
	return names
}

// An original is what an output is to be the same as. A zero sum means that
// there is none.
type original struct {
	file outputFile
	ok   bool
	read func(context.Context) ([]byte, error)
}

func (v *Rebuild) fromStore(was map[string]outputFile, p string) original {
	f, ok := was[p]
	return original{f, ok, func(ctx context.Context) ([]byte, error) { return engine.ReadBlob(ctx, v.Store, f.digest) }}
}

// maxLocalised is the size, in bytes, up to which it is told where files differ.
const maxLocalised = 512 << 20

func (v *Rebuild) compareOutput(ctx context.Context, step *engine.Step, p string, was original, is map[string]outputFile) (OutputReport, error) {
	o := OutputReport{Path: p}
	now, ok := is[p]
	differ := func(what, old, new string) {
		o.Differences = append(o.Differences, Difference{Where: []string{}, What: what, Old: engine.Masked(old, step), New: engine.Masked(new, step)})
	}
	switch {
	case !was.ok:
		differ("only the second build has it", "", "")
		return o, nil
	case !ok:
		differ("only the first build has it", "", "")
		return o, nil
	}
	o.Old, o.New = hexOf(was.file.digest), hexOf(now.digest)
	if was.file.link != now.link {
		differ("link target", was.file.link, now.link)
	}
	if was.file.executable != now.executable {
		differ("executable", fmt.Sprint(was.file.executable), fmt.Sprint(now.executable))
	}
	if was.file.digest.Hash != now.digest.Hash {
		if err := v.localise(ctx, step, &o, was, now); err != nil {
			return o, err
		}
	}
	o.Same = len(o.Differences) == 0
	return o, nil
}

func hexOf(d action.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.Hex()
}

// localise says where two files differ.
func (v *Rebuild) localise(ctx context.Context, step *engine.Step, o *OutputReport, was original, now outputFile) error {
	if was.file.digest.Size > maxLocalised || now.digest.Size > maxLocalised {
		o.Differences = append(o.Differences, Difference{Where: []string{}, What: "content; the files are too large to look into"})
		return nil
	}
	a, err := was.read(ctx)
	if err != nil {
		return err
	}
	b, err := engine.ReadBlob(ctx, v.again, now.digest)
	if err != nil {
		return err
	}
	for _, d := range bytediff.Compare(a, b, v.known()) {
		x := Difference{Where: append([]string{}, d.Where...), What: d.What, Old: engine.Masked(d.Old, step), New: engine.Masked(d.New, step), Cause: d.Cause}
		if d.Offset >= 0 {
			x.Offset = &d.Offset
		}
		o.Differences = append(o.Differences, x)
	}
	return nil
}
