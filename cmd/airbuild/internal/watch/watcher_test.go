package watch

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/pipelines"
)

// write makes files below dir.
func write(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChanges(t *testing.T) {
	before := map[string]fileState{"same": {size: 1}, "size": {size: 1}, "time": {changed: 1}, "mode": {mode: 0o644}, "gone": {}}
	after := map[string]fileState{"same": {size: 1}, "size": {size: 2}, "time": {changed: 2}, "mode": {mode: 0o755}, "new": {}}
	if got, want := changes(before, after), []string{"gone", "mode", "new", "size", "time"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := changes(after, after); len(got) != 0 {
		t.Errorf("got %q of the same", got)
	}
}

// What a run makes starts no run, nor does what changes in three runs in a row.
func TestNotMade(t *testing.T) {
	w := &watcher{outputs: map[string]bool{"gen/out": true}}
	for run, test := range []struct{ changed, want []string }{
		{[]string{"a.go", "gen/out", "gen/out/deep/x", "gen/other", "log"}, []string{"a.go", "gen/other", "log"}},
		{[]string{"log"}, []string{"log"}},
		{[]string{"a.go", "log"}, []string{"a.go"}},
		{nil, nil},
		{[]string{"log"}, []string{"log"}},
	} {
		if got := w.notMade(test.changed); !slices.Equal(got, test.want) {
			t.Errorf("run %d: got %q, want %q", run+1, got, test.want)
		}
	}
}

func TestLook(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	write(t, root, "a.go", "sub/b.go", "sub/dist/c.go", "dist/app", "out/app", ".git/HEAD", "sub/.git/HEAD", "cache/x")
	write(t, other, "vars.hcl")
	file := filepath.Join(other, "vars.hcl")
	for _, test := range []struct {
		name string
		plan *pipelines.Plan
		want []string
	}{
		{"no plan", nil, []string{"a.go", "out/app", "sub/b.go", "sub/dist/c.go"}},
		{"another dist", &pipelines.Plan{Dist: "out"}, []string{"a.go", "dist/app", "sub/b.go", "sub/dist/c.go"}},
	} {
		w := &watcher{Options: Options{Root: root, Cache: filepath.Join(root, "cache")}, plan: test.plan, others: []string{file, file + ".gone"}}
		want := append(test.want, filepath.ToSlash(file))
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(w.look())); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", test.name, got, want)
		}
	}
}

func TestGitDir(t *testing.T) {
	root := t.TempDir()
	write(t, root, "repo/.git/HEAD", "repo/sub/x", "tree/.git", "odd/.git")
	if err := os.WriteFile(filepath.Join(root, "tree", ".git"), []byte("gitdir: ../repo/.git/worktrees/tree\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"repo":     filepath.Join(root, "repo", ".git"),
		"repo/sub": filepath.Join(root, "repo", ".git"),
		"tree":     filepath.Join(root, "repo", ".git", "worktrees", "tree"),
		"odd":      "",
	} {
		if got := gitDir(filepath.Join(root, filepath.FromSlash(dir))); got != want {
			t.Errorf("%s: got %q, want %q", dir, got, want)
		}
	}
}
