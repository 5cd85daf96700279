package carry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/store"
)

// An Importing is what Import needs beside the bundle.
type Importing struct {
	Cache string
	Store *store.Disk // of Cache
	// Scope is where the results that the bundle brings count.
	Scope   store.Scope
	Options install.Options
}

// Import takes a bundle in. What it brought is pinned, under the name of its
// series: on a host without a network nothing brings it back. A newer bundle of
// the series takes the pin over.
func Import(ctx context.Context, b *bundle.Bundle, i Importing) (_ *install.Report, err error) {
	places := OpenPlaces(i.Cache, i.Store)
	defer func() { err = errors.Join(err, places.Close()) }()
	places.scope = i.Scope
	places.goTree = &goTree{places: places, bundle: b}
	o := i.Options
	o.Cache, o.Sink = i.Cache, places.Sink
	// A project without dependencies has an empty tree: none at all would mean
	// that modules have to come from elsewhere.
	if err := os.MkdirAll(GoProxy(i.Cache), 0o777); err != nil {
		return nil, fmt.Errorf("make the tree of modules: %w", err)
	}
	done, err := install.Bundle(ctx, b, o)
	if err != nil {
		return nil, err
	}
	if err := pin(ctx, b, i.Store, i.Scope); err != nil {
		return nil, fmt.Errorf("the bundle is imported, but could not be pinned: %w", err)
	}
	return done, nil
}

// ScopeOf is the scope for results that a bundle brings and that do not count
// everywhere: that of its series and of those who signed it. Bundles that nobody
// signed share one for each series.
func ScopeOf(b *bundle.Bundle) store.Scope {
	var signers []string
	for _, key := range b.Signers() {
		signers = append(signers, hex.EncodeToString(key.Ed25519()))
	}
	slices.Sort(signers)
	return store.NewScope(fmt.Sprintf("series %q signers %q", b.Root().Name, signers))
}

// HasResults reports whether a bundle brings results or compiled packages.
func HasResults(b *bundle.Bundle) bool {
	return slices.ContainsFunc(b.Root().Components, func(c bundle.RootComponent) bool { return resultComponent(c.Name) })
}

// PinName is the pin of a series of bundles.
func PinName(series string) string {
	name := "bundle-" + series
	if store.CheckPinName(name) != nil {
		sum := sha256.Sum256([]byte(series))
		name = "bundle-" + hex.EncodeToString(sum[:8])
	}
	return name
}

// pinnedBundle is what stands for the project in a bundle's pin.
func pinnedBundle(digest string) string { return "bundle " + digest[:12] }

// MakeReceipt says what a cache has of the bundles that were imported, and keeps:
// of those whose pin a newer one of their series took over, any of it may be pruned
// before the delta comes.
func MakeReceipt(ctx context.Context, cache string, s *store.Disk) (_ *bundle.Receipt, err error) {
	places := OpenPlaces(cache, s)
	defer func() { err = errors.Join(err, places.Close()) }()
	pins, _, err := s.Pins()
	if err != nil {
		return nil, err
	}
	pinned := map[string]string{}
	for _, p := range pins {
		pinned[p.Name] = p.Project
	}
	return install.MakeReceipt(ctx, cache, places.Sink, func(c *install.Imported) bool {
		return pinned[PinName(c.Root.Name)] == pinnedBundle(c.Digest)
	})
}

// pin keeps what the bundle's components have in the store: results by their
// own entries, and contents by an entry made for them. Blobs of results are kept
// by both: a run may replace an entry, and the next delta leaves its blobs out.
func pin(ctx context.Context, b *bundle.Bundle, s *store.Disk, scope store.Scope) error {
	root := b.Root()
	p := &store.Pin{Name: PinName(root.Name), Project: pinnedBundle(b.Digest()), Time: time.Now().UTC().Truncate(time.Second)}
	for _, c := range root.Components {
		kind, _, _ := strings.Cut(c.Name, "/")
		p.Targets = append(p.Targets, c.Name)
		switch kind {
		case Actions, GoCache:
			keys, err := entryKeys(b, c.Name)
			if err != nil {
				return err
			}
			for _, key := range keys {
				p.Results = append(p.Results, store.Pinned{Step: c.Name, Key: scope.Key(key).String()})
			}
		case Airbuild, Extra, Toolchain:
			continue // not in the store
		}
		key, err := contentEntry(ctx, b, c.Name, s)
		if err != nil {
			return err
		}
		if !key.IsZero() {
			p.Results = append(p.Results, store.Pinned{Step: c.Name, Key: key.String()})
		}
	}
	return s.PutPin(ctx, p)
}

// entryKeys are the keys of a component's results. A key's size is not in an
// entry's name, and nothing looks at it.
func entryKeys(b *bundle.Bundle, component string) ([]action.Digest, error) {
	var keys []action.Digest
	for f := range b.Files(component) {
		hash, ok := strings.CutPrefix(f.Path, "ac/")
		if !ok {
			continue
		}
		h, err := action.ParseHash(hash)
		if err != nil {
			return nil, fmt.Errorf("pin %s: %w", f.Path, err)
		}
		keys = append(keys, action.Digest{Hash: h})
	}
	return keys, nil
}

// contentEntry records the contents of a component that the store holds as the
// outputs of a pseudo-action, which nobody runs: that is how the store knows
// that they are wanted.
func contentEntry(ctx context.Context, b *bundle.Bundle, component string, s *store.Disk) (action.Digest, error) {
	var r action.Result
	for f := range b.Files(component) {
		if goComponent(component) && !grows(f.Path) || strings.HasPrefix(f.Path, "ac/") && resultComponent(component) {
			continue
		}
		r.OutputFiles = append(r.OutputFiles, action.OutputFile{Path: f.Path, Digest: f.Digest, Executable: f.Executable})
	}
	if len(r.OutputFiles) == 0 {
		return action.Digest{}, nil
	}
	slices.SortFunc(r.OutputFiles, func(a, b action.OutputFile) int { return strings.Compare(a.Path, b.Path) })
	key := contentKey(b.Digest(), component)
	return key, s.PutResult(ctx, key, &r)
}

// resultComponent reports whether a component's files are entries and blobs of a
// store.
func resultComponent(name string) bool {
	kind, _, _ := strings.Cut(name, "/")
	return kind == Actions || kind == GoCache
}

// contentKey is the key of a pseudo-action, as gocache's are.
func contentKey(bundle, component string) action.Digest {
	return keyOf("airbuild:carried", "1", bundle, component)
}

// keyOf is the key of a pseudo-action of some arguments and no inputs.
func keyOf(args ...string) action.Digest {
	command := action.Command{Arguments: args}
	act := action.Action{Command: action.Of(command.Marshal()), InputRoot: action.Of(nil)}
	return action.Of(act.Marshal())
}
