package carry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/gocache"
	"github.com/airbuild/airbuild/engine/store"
)

// entry is the path of a result in a component.
func entry(key action.Digest) string { return "ac/" + key.Hex() }

// blob is the path of a blob in a component.
func blob(d action.Digest) string { return "cas/" + d.Hex() }

// A shelf collects entries and blobs of a store for a component.
type shelf struct {
	store *store.Disk
	files map[string]create.Input
}

func newShelf(s *store.Disk) *shelf { return &shelf{s, map[string]create.Input{}} }

// result adds an entry with every blob that a hit on it needs. A delta carries the
// entry itself even where the receiver has it: every run there may write it again
// with other bytes, after the receipt. The blobs stay there, see pin.
func (s *shelf) result(ctx context.Context, key action.Digest) error {
	r, err := s.store.Result(ctx, key)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("it is no longer in the cache")
	}
	refs, err := s.store.References(ctx, r)
	if err != nil {
		return err
	}
	missing, err := s.store.Missing(ctx, refs)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("blob %s is no longer in the cache", missing[0])
	}
	for _, d := range refs {
		s.blob(d)
	}
	in := textInput(entry(key), r.Marshal())
	in.Always = true
	s.files[in.Path] = in
	return nil
}

func (s *shelf) blob(d action.Digest) {
	s.files[blob(d)] = create.Input{Path: blob(d), Digest: d,
		Open: func(ctx context.Context) (io.ReadCloser, error) { return s.store.Open(ctx, d) }}
}

// textInput is a file with the given content.
func textInput(path string, b []byte) create.Input {
	return create.Input{Path: path, Digest: action.Of(b),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func (s *shelf) component(name string, metadata map[string]string) create.Component {
	return create.Component{Name: name, Metadata: metadata, Files: sorted(slices.Collect(maps.Values(s.files)))}
}

// Results is the component of what the steps made: their entries, with every
// blob that a hit needs. Steps that are never stored are left out. The keys'
// own bytes come along where the store has them, for explain. inputs are the keys
// of entries with remembered inputs of the steps.
func Results(ctx context.Context, s *store.Disk, made []StepResult, inputs []action.Digest) (create.Component, error) {
	sh := newShelf(s)
	n := 0
	for _, m := range made {
		if m.Step.NoCache {
			continue
		}
		if err := sh.result(ctx, m.Key); err != nil {
			return create.Component{}, fmt.Errorf("carry the result of %s: %w", m.Step.Name, err)
		}
		n++
		if missing, err := s.Missing(ctx, []action.Digest{m.Key}); err == nil && len(missing) == 0 {
			sh.blob(m.Key)
		}
	}
	for _, key := range inputs {
		if err := sh.result(ctx, key); err != nil {
			return create.Component{}, fmt.Errorf("carry remembered inputs: %w", err)
		}
	}
	return sh.component(Actions, map[string]string{"steps": fmt.Sprint(n)}), nil
}

// Unrecorded returns the steps that compile, and of which it is not known what
// they used of the compile cache: they have to run again.
func Unrecorded(ctx context.Context, s *store.Disk, made []StepResult) ([]engine.StepID, error) {
	var ids []engine.StepID
	for _, m := range made {
		if !m.Step.Traits.Compiles || m.Step.NoCache {
			continue
		}
		use, err := gocache.Touched(ctx, s, m.Key)
		if err != nil {
			return nil, err
		}
		if !use.Known || use.Lost > 0 {
			ids = append(ids, m.ID)
		}
	}
	return ids, nil
}

// Compiled are the components of compiled packages, one a target.
func Compiled(ctx context.Context, s *store.Disk, made []StepResult) ([]create.Component, error) {
	shelves := map[string]*shelf{}
	counts := map[string]map[action.Digest]bool{}
	for _, m := range made {
		if !m.Step.Traits.Compiles || m.Step.NoCache {
			continue
		}
		use, err := gocache.Touched(ctx, s, m.Key)
		if err != nil {
			return nil, fmt.Errorf("carry what %s compiled: %w", m.Step.Name, err)
		}
		if len(use.Entries) == 0 {
			continue
		}
		target := targetOf(m.Step)
		sh := shelves[target]
		if sh == nil {
			sh = newShelf(s)
			shelves[target], counts[target] = sh, map[action.Digest]bool{}
		}
		for _, e := range use.Entries {
			if counts[target][e.Key()] {
				continue
			}
			counts[target][e.Key()] = true
			if err := sh.result(ctx, e.Key()); err != nil {
				return nil, fmt.Errorf("carry what %s compiled: %w", m.Step.Name, err)
			}
		}
	}
	var out []create.Component
	for _, target := range slices.Sorted(maps.Keys(shelves)) {
		out = append(out, shelves[target].component(GoCache+"/"+target, map[string]string{"entries": fmt.Sprint(len(counts[target]))}))
	}
	return out, nil
}

// targetOf is what a Go step compiles for, as its environment says.
func targetOf(s *engine.Step) string {
	goos, goarch, _ := strings.Cut(ThisHost(), "/")
	for _, v := range s.Command.Env {
		switch v.Name {
		case "GOOS":
			goos = v.Value
		case "GOARCH":
			goarch = v.Value
		}
	}
	return HostName(goos, goarch)
}
