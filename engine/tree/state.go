package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stateFiles and flatDirs are what airbuild keeps in the directory of a workspace's
// caches: files, and directories of files.
var (
	stateFiles = []string{"answers", "history", "index", "licenses.json", "made.json", "made.log", "outputs.json", "published.jsonl"}
	flatDirs   = []string{"closures", "made"}
)

// clearState removes what stands in the place of one of them: a directory cannot be
// replaced by a rename, and opening a pipe would wait. Losing any of them costs time
// only. Directories that are not known stay.
func clearState(state string) {
	isDir := func(name string) bool {
		return !slices.Contains(stateFiles, name) && !strings.HasSuffix(name, ".lock") && !strings.HasPrefix(name, "source-")
	}
	clearFiles(state, isDir)
	for _, name := range flatDirs {
		clearFiles(filepath.Join(state, name), func(string) bool { return false })
	}
}

// clearFiles removes what is neither a file nor one of the directories that may be
// there.
func clearFiles(dir string, mayBeDir func(name string) bool) {
	list, _ := os.ReadDir(dir) // where there is none, nothing is in the way
	for _, e := range list {
		if e.Type().IsRegular() && !slices.Contains(flatDirs, e.Name()) || e.IsDir() && mayBeDir(e.Name()) {
			continue
		}
		// What stays is reported by what cannot open it.
		_ = os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}
