package carry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/airbuild/airbuild/engine/bundle"
)

// OtherVolumes are the volumes in a directory that a bundle of the same line
// left there, if it is another one: a set that was begun for b itself is gone on
// with. One that cannot be read is another one.
func OtherVolumes(ctx context.Context, b *bundle.Bundle, dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for volumes: %w", err)
	}
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(b.Root().Name) + `-[0-9]{3,}-of-[0-9]{3,}\.tar$`)
	var names []string
	for _, e := range entries {
		if ours.MatchString(e.Name()) {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		there, err := bundle.Open(ctx, bundle.Trust{AllowUnsigned: true}, name)
		if err != nil {
			return false
		}
		return there.Digest() == b.Digest() && there.Close() == nil
	}), ctx.Err()
}
