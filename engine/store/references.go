package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/airbuild/airbuild/engine/action"
)

// References returns every blob that a hit on r needs, each once: output
// files, Tree messages and the files in them, logs, and the Tree message of
// the inputs (but not the input files). It reads the trees of output
// directories, which must be there: the error says fs.ErrNotExist if one is
// not, and is a *action.Damaged if one is damaged.
func (s *blobs) References(ctx context.Context, r *action.Result) ([]action.Digest, error) {
	refs := &references{seen: map[action.Digest]bool{}}
	for _, f := range r.OutputFiles {
		refs.add(f.Digest)
	}
	refs.add(r.Stdout)
	refs.add(r.Stderr)
	refs.add(r.Metadata.Inputs)
	for _, d := range r.OutputDirectories {
		var err error
		if d.Tree.IsZero() {
			err = s.walk(ctx, refs, d.Root)
		} else {
			err = s.addTree(ctx, refs, d.Tree)
		}
		if err != nil {
			return nil, fmt.Errorf("output directory %s: %w", d.Path, err)
		}
	}
	return refs.list, nil
}

// A lostTreeError says that a result names a tree which is not to be had: it
// is gone, was damaged, or is no tree at all.
type lostTreeError struct {
	tree action.Digest
	err  error
}

func (e *lostTreeError) Error() string { return "tree " + e.tree.Hex()[:12] + ": " + e.err.Error() }
func (e *lostTreeError) Unwrap() error { return e.err }

// lost tells a tree that is not to be had from one that could not be read now.
func lost(tree action.Digest, err error) error {
	if _, ok := errors.AsType[*action.Damaged](err); errors.Is(err, fs.ErrNotExist) || ok {
		return &lostTreeError{tree, err}
	}
	return err
}

// references is a set that keeps the order.
type references struct {
	list []action.Digest
	seen map[action.Digest]bool
}

// add reports whether d is new. The zero Digest names nothing.
func (r *references) add(d action.Digest) bool {
	if d.IsZero() || r.seen[d] {
		return false
	}
	r.seen[d] = true
	r.list = append(r.list, d)
	return true
}

func (s *blobs) addTree(ctx context.Context, refs *references, tree action.Digest) error {
	if !refs.add(tree) {
		return nil
	}
	b, err := s.read(ctx, tree)
	if err != nil {
		return lost(tree, err)
	}
	t, err := action.UnmarshalTree(b)
	if err != nil {
		return &lostTreeError{tree, err}
	}
	for _, f := range t.Root.Files {
		refs.add(f.Digest)
	}
	for _, d := range t.Children {
		for _, f := range d.Files {
			refs.add(f.Digest)
		}
	}
	return nil
}

// walk follows Directory messages from root, for results that have no Tree.
// Each directory is read once, so that it ends.
func (s *blobs) walk(ctx context.Context, refs *references, root action.Digest) error {
	todo := []action.Digest{root}
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !refs.add(d) {
			continue
		}
		b, err := s.read(ctx, d)
		if err != nil {
			return lost(d, err)
		}
		dir, err := action.UnmarshalDirectory(b)
		if err != nil {
			return &lostTreeError{d, err}
		}
		for _, f := range dir.Files {
			refs.add(f.Digest)
		}
		for _, n := range dir.Directories {
			todo = append(todo, n.Digest)
		}
	}
	return nil
}

// firstMissing returns a blob that a hit on r would lack, or the zero Digest.
func (s *blobs) firstMissing(ctx context.Context, r *action.Result) (action.Digest, error) {
	refs, err := s.References(ctx, r)
	if lost, ok := errors.AsType[*lostTreeError](err); ok {
		return lost.tree, nil
	}
	if err != nil {
		return action.Digest{}, err
	}
	missing, err := s.Missing(ctx, refs)
	if err != nil || len(missing) == 0 {
		return action.Digest{}, err
	}
	return missing[0], nil
}
