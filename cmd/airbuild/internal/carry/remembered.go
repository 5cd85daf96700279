package carry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/internal/paths"
	"github.com/airbuild/airbuild/tasks/golang"
)

// What was collected for a bundle is remembered in the store: the entry of a
// pseudo-action made of golang.Config.CollectionKey. Its outputs are the files
// of the tree, below "tree/", and a record of how they were verified. The tree
// was verified before it was remembered, and its contents are named by their
// digests: the same bytes under the same rules would verify again. A rehearsal
// verifies all of it anew from the bundle, and so does every receiver.
const (
	collectedTool    = "airbuild:collected"
	collectedVersion = "1"
	collectedRecord  = "record"
	collectedTree    = "tree/"
	maxCollected     = 1 << 20 // bytes of a record
)

// lackingFor is how long a tree is believed to be all that can be had, of
// which something that is not needed could not be fetched.
const lackingFor = 24 * time.Hour

// A collectedTreeRecord says what stands behind a remembered tree.
type collectedTreeRecord struct {
	Version  int               `json:"version"` // 1
	Time     time.Time         `json:"time"`
	Lacking  bool              `json:"lacking"`
	Notes    []string          `json:"notes"`
	Evidence map[string]string `json:"evidence"`
	Heads    map[string][]byte `json:"heads"`     // of the tree's databases
	Given    map[string][]byte `json:"continues"` // heads that those continue
}

// A collectedModules is a tree of modules, proofs and toolchains, in the store.
type collectedModules struct {
	collectedTreeRecord
	files []create.Input
}

// collectedKey is the key under which a tree is remembered.
func collectedKey(collection string) action.Digest {
	return keyOf(collectedTool, collectedVersion, collection)
}

// collect returns what the project's modules are: remembered, or anew.
func (g *collector) collect(ctx context.Context, o golang.Collection) (*collectedModules, error) {
	name, err := golang.CollectionKey(ctx, g.Go, o)
	if err != nil {
		return nil, err
	}
	key := collectedKey(name)
	c, err := g.recall(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("recall modules: %w", err)
	}
	if c != nil && c.usable(o.Heads, time.Now()) {
		return c, nil
	}
	return g.collectAnew(ctx, key, o)
}

// usable reports whether a tree serves a receiver with the given heads.
func (c *collectedModules) usable(heads map[string][]byte, now time.Time) bool {
	if c.Lacking && (now.Before(c.Time) || now.Sub(c.Time) > lackingFor) {
		return false
	}
	for name, head := range heads {
		own, ok := c.Heads[name]
		if ok && !bytes.Equal(head, own) && !bytes.Equal(head, c.Given[name]) {
			return false
		}
	}
	return true
}

// recall returns a remembered tree, or nil if there is none that is whole.
func (g *collector) recall(ctx context.Context, key action.Digest) (*collectedModules, error) {
	var bad *action.Damaged
	r, err := g.Store.Result(ctx, key)
	if errors.As(err, &bad) || err == nil && r == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &collectedModules{}
	refs := make([]action.Digest, 0, len(r.OutputFiles))
	var record action.Digest
	for _, f := range r.OutputFiles {
		refs = append(refs, f.Digest)
		if f.Path == collectedRecord {
			record = f.Digest
		} else if p, ok := strings.CutPrefix(f.Path, collectedTree); ok {
			c.files = append(c.files, g.storeInput(p, f.Digest))
		}
	}
	missing, err := g.Store.Missing(ctx, refs)
	if err != nil || len(missing) > 0 || record.IsZero() || record.Size > maxCollected {
		return nil, err
	}
	b, err := engine.ReadBlob(ctx, g.Store, record)
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(b, &c.collectedTreeRecord) != nil || c.Version != 1 {
		return nil, nil // of another airbuild: it is collected anew
	}
	return c, nil
}

// storeInput is a file whose content is in the store.
func (g *collector) storeInput(p string, d action.Digest) create.Input {
	return create.Input{Path: p, Digest: d, Open: func(ctx context.Context) (io.ReadCloser, error) { return g.Store.Open(ctx, d) }}
}

// collectAnew collects, and remembers what came of it unless less is proven
// than might be.
func (g *collector) collectAnew(ctx context.Context, key action.Digest, o golang.Collection) (*collectedModules, error) {
	dir, err := g.tempDir("modules-*")
	if err != nil {
		return nil, fmt.Errorf("collect modules: %w", err)
	}
	tree := filepath.Join(dir, "tree")
	got, err := golang.Collect(ctx, g.Go, tree, o)
	if err != nil {
		return nil, err
	}
	c := &collectedModules{collectedTreeRecord: collectedTreeRecord{
		Version: 1, Time: time.Now().UTC(), Lacking: got.Lacking, Notes: got.Notes, Evidence: evidence(got.Report), Given: o.Heads,
	}}
	if c.Heads, err = heads(tree); err != nil {
		return nil, err
	}
	if got.Unasked {
		c.files, err = below(tree, tree)
		return c, err
	}
	if err := g.remember(ctx, key, tree, c); err != nil {
		return nil, fmt.Errorf("remember modules: %w", err)
	}
	return c, nil
}

// remember moves a tree into the store: blobs, then the record, then the entry
// that names them all.
func (g *collector) remember(ctx context.Context, key action.Digest, tree string, c *collectedModules) error {
	r := &action.Result{}
	err := paths.Walk(tree, func(name, p string, e fs.DirEntry) error {
		if e.IsDir() {
			return nil
		}
		d, err := g.Store.PutFile(ctx, name, action.Digest{})
		if err != nil {
			return err
		}
		r.OutputFiles = append(r.OutputFiles, action.OutputFile{Path: collectedTree + p, Digest: d})
		c.files = append(c.files, g.storeInput(p, d))
		return nil
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(c.collectedTreeRecord)
	if err != nil {
		return err
	}
	d, err := g.Store.PutBytes(ctx, text)
	if err != nil {
		return err
	}
	r.OutputFiles = append(r.OutputFiles, action.OutputFile{Path: collectedRecord, Digest: d})
	return g.Store.PutResult(ctx, key, r)
}
