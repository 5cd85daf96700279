package source

import (
	"context"
	"path/filepath"
	"strings"
)

// Untracked returns the files below dir that its repository does not track,
// ignored ones too, slash-separated and relative to dir; none where the source
// has no git. Contents are not looked at.
func Untracked(ctx context.Context, dir string) ([]string, error) {
	if !exists(filepath.Join(dir, ".git")) && (exists(filepath.Join(dir, FileName)) || !inRepository(dir)) {
		return nil, nil
	}
	g := git{dir: dir}
	out, err := g.run(ctx, "ls-files", "-z", "--others")
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), nil
}
