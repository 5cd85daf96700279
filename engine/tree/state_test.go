package tree

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestClearState(t *testing.T) {
	state := t.TempDir()
	for _, dir := range []string{"index/x", "outputs.json/x", "made.log", "closures/facts/x", "gomod/0123", "users.lock", "other/x"} {
		if err := os.MkdirAll(filepath.Join(state, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"answers", "made", "closures/a.json", "gomod/0123/go.mod"} {
		if err := os.WriteFile(filepath.Join(state, file), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("answers", filepath.Join(state, "history")); err != nil {
		t.Log("without a link:", err)
	}
	clearState(state)
	var left []string
	err := fs.WalkDir(os.DirFS(state), ".", func(p string, d fs.DirEntry, err error) error {
		left = append(left, p)
		return err
	})
	if want := []string{".", "answers", "closures", "closures/a.json", "gomod", "gomod/0123", "gomod/0123/go.mod", "other", "other/x"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left %v, want %v, %v", left, want, err)
	}
	clearState(filepath.Join(state, "none"))
}
