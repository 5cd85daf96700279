package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// clearState removes what stands in the place of a file in the directory that a
// workspace's caches are in: a directory cannot be replaced by a rename, and
// opening a pipe would wait. Losing any of them costs time only.
func clearState(state string) {
	list, _ := os.ReadDir(state) // where there is none, nothing is in the way
	for _, e := range list {
		name := e.Name()
		isFile := slices.Contains([]string{"index", "answers", "history", "made.json"}, name) ||
			strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "source-")
		if e.Type().IsRegular() || e.IsDir() && !isFile {
			continue
		}
		// What stays is reported by what cannot open it.
		_ = os.RemoveAll(filepath.Join(state, name))
	}
}
