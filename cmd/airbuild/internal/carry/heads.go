package carry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// headsFile remembers, on the side that makes bundles, the signed heads of the
// checksum databases in the last bundle of a series: the next one proves that its
// own heads continue them. Losing it costs that proof, and the receiver then
// needs a bundle with --assume or a full one.
func headsFile(cache, series string) string { return Carried(cache, "heads", series+".json") }

// LastHeads returns the heads of the last bundle of a series, nil for none.
func LastHeads(cache, series string) (map[string][]byte, error) {
	b, err := readBounded(headsFile(cache, series), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var heads map[string][]byte
	if json.Unmarshal(b, &heads) != nil {
		return nil, nil // damaged is lost
	}
	return heads, nil
}

// KeepHeads records the heads of a bundle that was made.
func KeepHeads(cache, series string, heads map[string][]byte) error {
	if len(heads) == 0 {
		return nil
	}
	b, err := json.Marshal(heads)
	if err == nil {
		err = atomicfile.Write(headsFile(cache, series), b, atomicfile.Options{Mkdir: 0o777})
	}
	if err != nil {
		return fmt.Errorf("remember the heads of checksum databases: %w", err)
	}
	return nil
}

// HeadsOf reads the heads that a bundle carries.
func HeadsOf(ctx context.Context, b *bundle.Bundle) (map[string][]byte, error) {
	heads := map[string][]byte{}
	for f := range b.Files(SumDB) {
		if path.Base(f.Path) != "latest" || path.Dir(path.Dir(f.Path)) != goproxy.SumDBName || !b.Carries(f) {
			continue
		}
		r, err := b.OpenFile(ctx, f)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(r, 64<<10))
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		heads[path.Base(path.Dir(f.Path))] = text
	}
	return heads, nil
}
