package source

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// trackedAtOnce are so many paths that a command line surely holds them.
const trackedAtOnce = 256

// Tracked returns those of the paths, and of the files below them, that git
// tracks, all relative to dir. It returns nil if git does not answer: without
// a repository, or without a git program, nobody knows.
func Tracked(ctx context.Context, dir string, paths []string) map[string]bool {
	if !exists(filepath.Join(dir, ".git")) && !inRepository(dir) {
		return nil
	}
	known := map[string]bool{}
	g := &git{dir: dir}
	for some := range slices.Chunk(paths, trackedAtOnce) {
		out, err := g.run(ctx, append([]string{"--literal-pathspecs", "ls-files", "-z", "--cached", "--recurse-submodules", "--"}, some...)...)
		if err != nil {
			return nil
		}
		for name := range strings.SplitSeq(out, "\x00") {
			if name != "" {
				known[name] = true
			}
		}
	}
	return known
}
