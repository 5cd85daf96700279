package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bytediff"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/tasks"
)

// What became of a step.
const (
	stepSame    = "same"
	stepDiffers = "differs"  // it made the difference
	stepFollows = "follows"  // what it needs differs
	stepLeft    = "left out" // not built again
	stepFailed  = "failed"   // the second build of it
	stepAbsent  = "absent"   // nothing to compare it with
)

// A verifyReport is what verify found. Its JSON is described in docs/verify.md.
type verifyReport struct {
	Version   int           `json:"version"` // 1
	OK        bool          `json:"ok"`
	Against   string        `json:"against"` // "recorded results", a directory, or a bundle's digest
	First     []string      `json:"made_first"`
	Steps     []stepVerdict `json:"steps"`
	Varied    []variation   `json:"varied"`
	Constant  []variation   `json:"not_varied"`
	Same      int           `json:"same"` // files
	Differing int           `json:"differing"`
	Missing   int           `json:"missing"` // carried files that no step makes
	Failed    int           `json:"failed"`  // steps
	Unknown   []string      `json:"unknown_files,omitempty"`
}

// A stepVerdict is what became of one step.
type stepVerdict struct {
	Step    string          `json:"step"`
	Status  string          `json:"status"`
	Reason  string          `json:"reason,omitempty"`
	Outputs []outputVerdict `json:"outputs,omitempty"`

	id engine.StepID
}

// An outputVerdict is a file that was compared.
type outputVerdict struct {
	Path        string             `json:"path"`
	Same        bool               `json:"same"`
	Old         string             `json:"old,omitempty"` // SHA-256
	New         string             `json:"new,omitempty"`
	Differences []outputDifference `json:"differences,omitempty"`
}

type outputDifference struct {
	Where  []string `json:"where"`
	What   string   `json:"what"`
	Old    string   `json:"old,omitempty"`
	New    string   `json:"new,omitempty"`
	Offset *int64   `json:"offset,omitempty"`
	Cause  string   `json:"cause,omitempty"`
}

// compare holds every step's outputs against what is to be the same.
func (v *verification) compare(ctx context.Context) error {
	r := &v.report
	r.Version, r.Varied, r.Constant, r.First = 1, v.world.varied, v.world.constant, orEmpty(r.First)
	r.Against = "recorded results"
	if v.carried != nil {
		r.Against = firstOf(v.against, v.f.against)
	}
	bad := map[engine.StepID]bool{}
	for _, id := range v.ids {
		s, err := v.compareStep(ctx, id, bad)
		if err != nil {
			return fmt.Errorf("compare %s: %w", v.Plan.Graph.Steps[id].Name, err)
		}
		s.id, s.Step = id, v.Plan.Graph.Steps[id].Name
		bad[id] = s.Status == stepDiffers || s.Status == stepFollows || s.Status == stepFailed
		if s.Status == stepFailed {
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
	for _, p := range sortedKeys(v.carried) {
		if !v.carried[p].used {
			r.Unknown = append(r.Unknown, p)
		}
	}
	r.OK = r.Failed == 0 && r.Differing == 0 && r.Missing == 0 && r.Same > 0
	return nil
}

func (v *verification) compareStep(ctx context.Context, id engine.StepID, bad map[engine.StepID]bool) (stepVerdict, error) {
	step := &v.Plan.Graph.Steps[id]
	if why, ok := v.left[id]; ok {
		return stepVerdict{Status: stepLeft, Reason: why}, v.passOver(ctx, id)
	}
	made, ok := v.made[step.Name]
	follows := v.follows(id, bad)
	switch {
	case !ok || made.key.Hash == [32]byte{} || made.status != engine.Done.String() && made.status != engine.Hit.String():
		if unsigned := v.unsigned(id); follows != "" && unsigned != "" {
			return stepVerdict{Status: stepFollows, Reason: "it needs " + unsigned + ", which cannot sign here what " + follows + " made"}, nil
		}
		out := stepVerdict{Status: stepFailed, Reason: v.masked(step, firstOf(made.err, made.status, "it was not run"))}
		if follows != "" {
			out.Reason += " (after " + follows + ")"
		}
		return out, nil
	}
	key, err := v.again.Find(ctx, made.key.Hash)
	if err != nil {
		return stepVerdict{}, err
	}
	is, err := outputsOf(ctx, v.again, key)
	if err != nil {
		return stepVerdict{}, err
	}
	if v.carried != nil {
		return v.compareCarried(ctx, step, is, follows)
	}
	was, err := outputsOf(ctx, v.Store, v.keys[id])
	if err != nil {
		return stepVerdict{}, err
	}
	out := stepVerdict{Status: stepSame}
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
func (v *verification) blame(ctx context.Context, out *stepVerdict, id engine.StepID, key action.Digest, follows string) {
	switch {
	case v.keys[id].Hash == key.Hash:
		out.Status, out.Reason = stepDiffers, "its inputs are the same, and its outputs are not"
	case follows != "":
		out.Status, out.Reason = stepFollows, "it was given what "+follows+" made"
	default:
		out.Status, out.Reason = stepDiffers, "its key differs: "+v.keyChange(ctx, v.keys[id], key)
	}
}

// keyChange says what differs in two keys.
func (v *verification) keyChange(ctx context.Context, was, is action.Digest) string {
	old, err := keyLines(ctx, v.Store, was)
	if err != nil {
		return "its parts are not recorded"
	}
	now, err := keyLines(ctx, v.again, is)
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

func keyLines(ctx context.Context, s *store.Disk, key action.Digest) ([]action.Line, error) {
	res, err := s.Result(ctx, key)
	if err != nil || res == nil {
		return nil, errors.Join(err, errors.New("no result"))
	}
	act, err := blob(ctx, s, key)
	if err != nil {
		return nil, err
	}
	a, err := action.UnmarshalAction(act)
	if err != nil {
		return nil, err
	}
	command, err := blob(ctx, s, a.Command)
	if err != nil {
		return nil, err
	}
	inputs, err := blob(ctx, s, res.Metadata.Inputs)
	if err != nil {
		return nil, err
	}
	return action.Explain(act, command, inputs)
}

// follows names the first step that differs, of those that a step needs.
func (v *verification) follows(id engine.StepID, bad map[engine.StepID]bool) string {
	for _, need := range v.Plan.Graph.Closure([]engine.StepID{id}) {
		if need != id && bad[need] {
			return v.Plan.Graph.Steps[need].Name
		}
	}
	return ""
}

// unsigned names a step that another needs and whose secret is not here.
func (v *verification) unsigned(id engine.StepID) string {
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
		b, err := blob(ctx, s, d.Tree)
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
	names := sortedKeys(a)
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

func (v *verification) fromStore(was map[string]outputFile, p string) original {
	f, ok := was[p]
	return original{f, ok, func(ctx context.Context) ([]byte, error) { return blob(ctx, v.Store, f.digest) }}
}

// maxLocalised is the size, in bytes, up to which it is told where files differ.
const maxLocalised = 512 << 20

func (v *verification) compareOutput(ctx context.Context, step *engine.Step, p string, was original, is map[string]outputFile) (outputVerdict, error) {
	o := outputVerdict{Path: p}
	now, ok := is[p]
	differ := func(what, old, new string) {
		o.Differences = append(o.Differences, outputDifference{Where: []string{}, What: what, Old: v.masked(step, old), New: v.masked(step, new)})
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
func (v *verification) localise(ctx context.Context, step *engine.Step, o *outputVerdict, was original, now outputFile) error {
	if was.file.digest.Size > maxLocalised || now.digest.Size > maxLocalised {
		o.Differences = append(o.Differences, outputDifference{Where: []string{}, What: "content; the files are too large to look into"})
		return nil
	}
	a, err := was.read(ctx)
	if err != nil {
		return err
	}
	b, err := blob(ctx, v.again, now.digest)
	if err != nil {
		return err
	}
	for _, d := range bytediff.Compare(a, b, v.known()) {
		x := outputDifference{Where: orEmpty(d.Where), What: d.What, Old: v.masked(step, d.Old), New: v.masked(step, d.New), Cause: d.Cause}
		if d.Offset >= 0 {
			x.Offset = &d.Offset
		}
		o.Differences = append(o.Differences, x)
	}
	return nil
}

// masked is a text without the step's secrets.
func (v *verification) masked(step *engine.Step, text string) string {
	return engine.Masked(text, step)
}

// blob reads a whole blob.
func blob(ctx context.Context, s *store.Disk, d action.Digest) ([]byte, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// firstOf is the first text that is not empty.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
