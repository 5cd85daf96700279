package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// prepareAll computes a step's key from the ground: its inputs become a Merkle
// tree, its facts the salt, its command canonical bytes. All that is asked of
// the workspace is asked of w.
func (r *run) prepareAll(ctx context.Context, id StepID, w *tree.Workspace) (*Prepared, error) {
	s := &r.g.Steps[id]
	inputs := s.Inputs
	var listing Listing
	if s.Lister != nil {
		var err error
		if listing, err = s.Lister.List(ctx, stepFiles{workspaceFiles{w}, r, id}); err != nil {
			return nil, err
		}
		inputs = slices.Concat(inputs, listing.Inputs)
	}
	blind := r.blindness(id)
	if err := blind.check(inputs, &listing); err != nil {
		return nil, err
	}
	hidden := blind.hidden(inputs)
	in := tree.Inputs{Follow: s.Mode == Workspace, Hide: hides(hidden), Files: make([]tree.File, 0, len(inputs))}
	for i := range inputs {
		if err := r.addInput(&in, &inputs[i], w); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
	}
	t, err := tree.Build(in.Files, in.Links, in.Empty)
	if err != nil {
		return nil, err
	}
	p := r.keyed(id, &known{root: t.Root, facts: listing.Facts, notes: listing.Notes}, t)
	p.listing, p.Unseen, p.Uncached, p.Private = listing, listing.Unseen, listing.Uncached, listing.Private
	return p, nil
}

// keyed computes a step's key from what is known of the workspace. t is nil if
// the input root is remembered.
func (r *run) keyed(id StepID, k *known, t *tree.Tree) *Prepared {
	s := &r.g.Steps[id]
	facts := slices.Concat(s.Facts, k.facts)
	for _, v := range s.Secrets {
		facts = append(facts, Fact{Name: "secret " + v.Name, Value: r.o.secretHash(v)})
	}
	p := &Prepared{ID: id, Step: s, Command: s.Command, Inputs: t, Notes: k.notes, Facts: facts}
	p.Action = action.Action{
		Command:   action.Of(s.Command.Marshal()),
		InputRoot: k.root,
		Salt:      salt(facts),
		Platform:  s.Command.Platform,
	}
	p.Key = action.Of(p.Action.Marshal())
	return p
}

// salt writes facts in the form that keys hold: sorted "name<TAB>value" lines.
func salt(facts []Fact) []byte {
	slices.SortFunc(facts, func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	var b []byte
	for _, f := range slices.Compact(facts) {
		b = append(append(b, oneLine(f.Name)...), '\t')
		b = append(append(b, oneLine(f.Value)...), '\n')
	}
	return b
}

// oneLine is a text with blanks for the characters that part lines of a salt.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\t\n") {
		return s
	}
	return strings.NewReplacer("\t", " ", "\n", " ").Replace(s)
}

// addInput puts one declared input into the tree.
func (r *run) addInput(in *tree.Inputs, i *Input, w *tree.Workspace) error {
	switch i.Kind {
	case FromFile:
		err := w.Add(in, cmp.Or(i.File, i.Path), i.Path)
		if i.Optional && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	case FromGlob:
		files, err := w.Glob(i.Path, i.Patterns, in.Hide)
		var none *tree.NoMatchError
		if err != nil && (!i.Optional || !errors.As(err, &none)) {
			return err
		}
		for _, f := range files {
			if err := w.Add(in, f, f); err != nil {
				return err
			}
		}
		return nil
	case FromText:
		in.Files = append(in.Files, tree.File{Path: i.Path, Digest: action.Of(i.Text), Executable: i.Executable, Source: tree.Source{Inline: i.Text}})
		return nil
	case FromBlob:
		in.Files = append(in.Files, tree.File{Path: i.Path, Digest: i.Blob, Executable: i.Executable, Source: tree.Source{Blob: true}})
		return nil
	case FromStep:
		return r.graft(in, i)
	}
	return fmt.Errorf("input %s: unknown kind %d", i.Path, i.Kind)
}

// graft puts another step's outputs into the tree without reading them.
func (r *run) graft(in *tree.Inputs, i *Input) error {
	m := r.made[i.Step]
	if m == nil {
		if _, off := r.skippedData[i.Step]; off {
			return fmt.Errorf("%s has no outputs", r.g.Steps[i.Step].Name)
		}
		return errUnknownYet
	}
	to := func(p string) (string, bool) {
		switch {
		case i.From == "":
			return path.Join(i.Path, p), true
		case p == i.From:
			return i.Path, true
		case strings.HasPrefix(p, i.From+"/"):
			return path.Join(i.Path, p[len(i.From)+1:]), true
		}
		return "", false
	}
	n := len(in.Files) + len(in.Links) + len(in.Empty)
	for _, f := range m.files {
		if p, ok := to(f.Path); ok {
			f.Path = p
			in.Files = append(in.Files, f)
		}
	}
	for _, l := range m.links {
		if p, ok := to(l.Path); ok {
			in.Links = append(in.Links, tree.Link{Path: p, Target: l.Target})
		}
	}
	for _, e := range m.empty {
		if p, ok := to(e); ok {
			in.Empty = append(in.Empty, p)
		}
	}
	if len(in.Files)+len(in.Links)+len(in.Empty) == n && i.From != "" {
		return fmt.Errorf("%s made no output %s", r.g.Steps[i.Step].Name, i.From)
	}
	return nil
}

// errUnknownYet: a dry run cannot know the key, because a step that this one
// needs would run first.
var errUnknownYet = errors.New("an input is not known before another step has run")

// workspaceFiles is the workspace as a Lister may see it.
type workspaceFiles struct{ *tree.Workspace }

// A made is what a step made, project-relative and flattened.
type made struct {
	result *action.Result
	files  []tree.File
	links  []tree.Link
	empty  []string
	dirs   []string // output directories
	tops   []Output // as declared
	refs   []action.Digest

	once sync.Once // computes id
	id   [sha256.Size]byte
}

// expand resolves a result's outputs to files, reading Tree messages from the
// store, and lists every blob that a hit needs.
func (r *run) expand(ctx context.Context, s *Step, res *action.Result) (*made, error) {
	m := &made{result: res}
	wd := s.Command.WorkingDirectory
	for _, f := range res.OutputFiles {
		p := path.Join(wd, f.Path)
		m.files = append(m.files, tree.File{Path: p, Digest: f.Digest, Executable: f.Executable, Source: tree.Source{Blob: true}})
		m.tops = append(m.tops, Output{Path: p, Digest: f.Digest, Size: f.Digest.Size, Executable: f.Executable, Before: -1})
		m.refs = append(m.refs, f.Digest)
	}
	for _, l := range res.OutputSymlinks {
		m.links = append(m.links, tree.Link{Path: path.Join(wd, l.Path), Target: l.Target})
	}
	for _, d := range res.OutputDirectories {
		p := path.Join(wd, d.Path)
		b, err := readBlob(ctx, r.o.Store, d.Tree)
		if err != nil {
			return nil, err
		}
		msg, err := action.UnmarshalTree(b)
		if err != nil {
			return nil, fmt.Errorf("decode tree of %s: %w", p, err)
		}
		files, links, empty, err := tree.Flatten(msg, p)
		if err != nil {
			return nil, err
		}
		top := Output{Path: p, Digest: d.Tree, Dir: true, Before: -1}
		for _, f := range files {
			top.Size += f.Digest.Size
			m.refs = append(m.refs, f.Digest)
		}
		m.files = append(m.files, files...)
		m.links = append(m.links, links...)
		m.empty = append(m.empty, empty...)
		m.dirs = append(m.dirs, p)
		m.tops = append(m.tops, top)
		m.refs = append(m.refs, d.Tree)
	}
	for _, d := range []action.Digest{res.Stdout, res.Stderr} {
		if !d.IsZero() {
			m.refs = append(m.refs, d)
		}
	}
	return m, nil
}

// checkOutputs refuses a result that is of a failure, lacks a declared output,
// or names one which the command does not declare: it is not this action's,
// whatever the store says.
func checkOutputs(s *Step, key action.Digest, res *action.Result) error {
	if res.ExitCode != 0 {
		return &action.Damaged{What: "entry", Digest: key, Reason: "it records a failure"}
	}
	if len(res.OutputFiles) == 1 && len(res.OutputDirectories)+len(res.OutputSymlinks) == 0 && len(s.Command.OutputPaths) == 1 {
		if p := s.Command.OutputPaths[0]; res.OutputFiles[0].Path == p && localPath(path.Join(s.Command.WorkingDirectory, p)) {
			return nil // as most steps are
		}
	}
	named := map[string]bool{}
	check := func(p string) error {
		named[p] = true
		if !slices.Contains(s.Command.OutputPaths, p) || !localPath(path.Join(s.Command.WorkingDirectory, p)) {
			return &action.Damaged{What: "entry", Digest: key, Reason: fmt.Sprintf("it names an output %q that the command does not declare", p)}
		}
		return nil
	}
	var errs []error
	for _, f := range res.OutputFiles {
		errs = append(errs, check(f.Path))
	}
	for _, d := range res.OutputDirectories {
		errs = append(errs, check(d.Path))
	}
	for _, l := range res.OutputSymlinks {
		errs = append(errs, check(l.Path))
	}
	for _, p := range s.Command.OutputPaths {
		if !named[p] {
			errs = append(errs, &action.Damaged{What: "entry", Digest: key, Reason: fmt.Sprintf("it lacks the output %q", p)})
		}
	}
	return errors.Join(errs...)
}

func localPath(p string) bool {
	return p != "" && p == path.Clean(p) && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../")
}

func readBlob(ctx context.Context, st Store, d action.Digest) ([]byte, error) {
	f, err := st.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// resultLog returns a result's log; of a very long one the end.
func resultLog(ctx context.Context, st Store, res *action.Result) ([]byte, error) {
	if res.Stdout.IsZero() {
		return res.StdoutRaw, nil
	}
	if res.Stdout.Size <= maxLog {
		return readBlob(ctx, st, res.Stdout)
	}
	f, err := st.Open(ctx, res.Stdout)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, res.Stdout.Size-maxLog); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// maxLog is how much of the end of a log is kept in memory, to be shown.
const maxLog = 16 << 20
