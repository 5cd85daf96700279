package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/internal/outputs"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// results looks up and stores the results of steps. It has no state of its own;
// any goroutine may call its methods.
type results struct{ store Store }

// A hit is a result that the store has whole.
type hit struct {
	*produced
	log []byte
}

// find looks a prepared step up. Without a hit it says why, if the store gave a
// reason.
func (rs results) find(ctx context.Context, p *Prepared) (*hit, string, error) {
	res, err := rs.store.Result(ctx, p.Key)
	if why, err := damageReason(err); err != nil || why != "" {
		return nil, why, err
	}
	if res == nil {
		why := ""
		if w, ok := rs.store.(Withholder); ok {
			why = w.Withheld(ctx, p.Key)
		}
		return nil, why, nil
	}
	err = checkOutputs(p.Step, p.Key, res)
	var m *produced
	if err == nil {
		m, err = rs.expand(ctx, p.Step, res)
	}
	if err != nil {
		why, err := missReason(err)
		return nil, why, err
	}
	missing, err := rs.store.Missing(ctx, m.refs)
	if err != nil {
		return nil, "", err
	}
	if len(missing) > 0 {
		return nil, fmt.Sprintf("blobs missing or damaged in the store: %d", len(missing)), nil
	}
	log, err := rs.log(ctx, res)
	if err != nil {
		why, err := missReason(err)
		return nil, why, err
	}
	return &hit{produced: m, log: maskLog(log, p.Step)}, "", nil
}

// record stores what explains the key, then the entry.
func (rs results) record(ctx context.Context, p *Prepared, res *action.Result) error {
	inputs, err := rs.putManifest(ctx, p)
	if err != nil {
		return err
	}
	res.Metadata.Inputs = inputs
	if err := rs.store.PutResult(ctx, p.Key, res); err != nil {
		return fmt.Errorf("store result: %w", err)
	}
	return nil
}

// repair stores again what explains the key, if the store has lost it: a hit
// does not need it, and its bytes are at hand. fill gives a Prepared its inputs,
// and reports whether its key is still the same.
func (rs results) repair(ctx context.Context, p *Prepared, res *action.Result, fill func(context.Context, *Prepared) (bool, error)) error {
	parts := []action.Digest{p.Key, p.Action.Command}
	if !res.Metadata.Inputs.IsZero() {
		parts = append(parts, res.Metadata.Inputs)
	}
	missing, err := rs.store.Missing(ctx, parts)
	if err != nil || len(missing) == 0 {
		return err
	}
	if !slices.Contains(missing, res.Metadata.Inputs) {
		return rs.putAction(ctx, p)
	}
	whole := *p
	if same, err := fill(ctx, &whole); err != nil || !same {
		return nil // what explains the key is gone, and so are its inputs
	}
	_, err = rs.putManifest(ctx, &whole)
	return err
}

// putManifest stores what explains the key and returns the digest of the inputs.
func (rs results) putManifest(ctx context.Context, p *Prepared) (inputs action.Digest, err error) {
	msg, err := p.Inputs.Message()
	if err != nil {
		return inputs, err
	}
	if err := rs.putAction(ctx, p); err != nil {
		return inputs, err
	}
	if inputs, err = rs.store.Put(ctx, bytes.NewReader(msg.Marshal())); err != nil {
		return inputs, fmt.Errorf("store action: %w", err)
	}
	return inputs, nil
}

// putAction stores the key's own bytes and the command.
func (rs results) putAction(ctx context.Context, p *Prepared) error {
	for _, b := range [][]byte{p.Action.Marshal(), p.Command.Marshal()} {
		if _, err := rs.store.Put(ctx, bytes.NewReader(b)); err != nil {
			return fmt.Errorf("store action: %w", err)
		}
	}
	return nil
}

// damageReason turns the error of a damaged entry into the reason of a miss.
func damageReason(err error) (string, error) {
	if d, ok := errors.AsType[*action.Damaged](err); ok {
		return d.Error(), nil
	}
	return "", err
}

// missReason turns an error about a blob that is gone or damaged into the reason
// of a miss; other errors (a full disk, no permission) stay errors.
func missReason(err error) (string, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return "a blob is missing in the store", nil
	}
	return damageReason(err)
}

// A produced is what a step made.
type produced struct {
	outputs.Set
	result *action.Result
	tops   []Output // as declared
	refs   []action.Digest

	once sync.Once // computes id
	id   [sha256.Size]byte
}

// expand resolves a result's outputs to files, reading Tree messages from the
// store, and lists every blob that a hit needs.
func (rs results) expand(ctx context.Context, s *Step, res *action.Result) (*produced, error) {
	m := &produced{result: res}
	wd := s.Command.WorkingDirectory
	for _, f := range res.OutputFiles {
		p := path.Join(wd, f.Path)
		m.Files = append(m.Files, tree.File{Path: p, Digest: f.Digest, Executable: f.Executable, Source: tree.Source{Blob: true}})
		m.tops = append(m.tops, Output{Path: p, Digest: f.Digest, Size: f.Digest.Size, Executable: f.Executable, Before: -1})
		m.refs = append(m.refs, f.Digest)
	}
	for _, l := range res.OutputSymlinks {
		m.Links = append(m.Links, tree.Link{Path: path.Join(wd, l.Path), Target: l.Target})
	}
	for _, d := range res.OutputDirectories {
		p := path.Join(wd, d.Path)
		b, err := ReadBlob(ctx, rs.store, d.Tree)
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
		m.Files = append(m.Files, files...)
		m.Links = append(m.Links, links...)
		m.Empty = append(m.Empty, empty...)
		m.Dirs = append(m.Dirs, outputs.Dir{Path: p, Tree: d.Tree})
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
		if p := s.Command.OutputPaths[0]; res.OutputFiles[0].Path == p && paths.Local(path.Join(s.Command.WorkingDirectory, p)) {
			return nil // as most steps are
		}
	}
	named := map[string]bool{}
	check := func(p string) error {
		named[p] = true
		if !slices.Contains(s.Command.OutputPaths, p) || !paths.Local(path.Join(s.Command.WorkingDirectory, p)) {
			return &action.Damaged{What: "entry", Digest: key, Reason: fmt.Sprintf("it names an output %q that the command does not declare", p)}
		}
		return nil
	}
	errs := lists.Map(res.OutputFiles, func(f action.OutputFile) error { return check(f.Path) })
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

// ReadBlob returns the whole content of a blob.
func ReadBlob(ctx context.Context, st Store, d action.Digest) ([]byte, error) {
	f, err := st.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// log returns a result's log; of a very long one the end.
func (rs results) log(ctx context.Context, res *action.Result) ([]byte, error) {
	if res.Stdout.IsZero() {
		return res.StdoutRaw, nil
	}
	if res.Stdout.Size <= maxLog {
		return ReadBlob(ctx, rs.store, res.Stdout)
	}
	f, err := rs.store.Open(ctx, res.Stdout)
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
