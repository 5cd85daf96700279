package tasks

import (
	"errors"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/tree"
)

// programTrees finds out what programs were installed with, once a plan for
// all steps. The zero value forgets.
type programTrees struct{ memo *sync.Map }

// A programTree is the tree of one program, as far as it was asked for.
type programTree struct {
	tree  tree.ProgramTree
	there bool

	state, digest struct {
		once  sync.Once
		value string
		err   error
	}
}

// programFile is the key of a programTree in a plan's Memo.
type programFile string

func (p programTrees) of(file string) *programTree {
	if p.memo != nil {
		if known, ok := p.memo.Load(programFile(file)); ok {
			if t, ok := known.(*programTree); ok {
				return t
			}
		}
	}
	t := &programTree{}
	t.tree, t.there = tree.TreeOf(file)
	if p.memo != nil {
		if known, _ := p.memo.LoadOrStore(programFile(file), t); known != nil {
			if first, ok := known.(*programTree); ok {
				return first
			}
		}
	}
	return t
}

// State is part of the query of a program, see tree.ProgramTree.State.
func (t *programTree) State() (string, error) {
	t.state.once.Do(func() {
		if t.there {
			t.state.value, t.state.err = t.tree.State()
		}
		if errors.Is(t.state.err, tree.ErrTreeTooLarge) {
			t.state.value, t.state.err = "too large", nil
		}
	})
	return t.state.value, t.state.err
}

// Digest is empty where a step does not see the tree: there is none, it is too
// large to be one, or nobody can look at it.
func (t *programTree) Digest(files engine.Files) (string, error) {
	t.digest.once.Do(func() {
		if w, ok := files.(interface{ Fresh() *tree.Workspace }); ok && t.there {
			t.digest.value, t.digest.err = t.tree.Digest(w.Fresh())
		}
		if errors.Is(t.digest.err, tree.ErrTreeTooLarge) {
			t.digest.value, t.digest.err = "", nil
		}
	})
	return t.digest.value, t.digest.err
}
