package workcopy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

// seed puts the results that are used into the store of the copy.
func (v *Selection) seed(ctx context.Context, to *store.Disk) error {
	for _, id := range v.Steps {
		key, ok := v.Keys[id]
		if !ok || !v.reused(id) {
			continue
		}
		res, err := v.Store.Result(ctx, key)
		if err != nil {
			return err
		}
		if res == nil {
			continue
		}
		if err := copyResult(ctx, v.Store, to, key, res); err != nil {
			return fmt.Errorf("take the result of %s: %w", v.Plan.Graph.Steps[id].Name, err)
		}
	}
	return nil
}

// copyResult copies a result with all blobs from one store to another.
func copyResult(ctx context.Context, from, to *store.Disk, key action.Digest, res *action.Result) error {
	refs, err := from.References(ctx, res)
	if err != nil {
		return err
	}
	for _, d := range append(refs, key) {
		r, err := from.Open(ctx, d)
		if errors.Is(err, os.ErrNotExist) && d == key {
			continue // what explains the key is not needed for a hit
		}
		if err != nil {
			return err
		}
		_, err = to.Put(ctx, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return to.PutResult(ctx, key, res)
}
