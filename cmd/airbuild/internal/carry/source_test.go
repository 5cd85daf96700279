package carry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/source"
)

// paths are those of a tree's component.
func pathsOf(t *SourceTree) []string {
	var out []string
	for _, f := range t.Component.Files {
		out = append(out, f.Path)
	}
	return out
}

func sourceOf(t *testing.T, spec SourceSpec) *SourceTree {
	t.Helper()
	tree, err := SourceFiles(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

// wantPaths holds the files of a component that are not the list of them.
func wantPaths(t *testing.T, tree *SourceTree, want ...string) {
	t.Helper()
	want = append(want, source.ManifestName)
	slices.Sort(want)
	if got := pathsOf(tree); !slices.Equal(got, want) {
		t.Errorf("paths %q, want %q", got, want)
	}
}

func TestSourceOfRepository(t *testing.T) {
	dir := repository(t, map[string]string{
		"a.txt": "a", "run.sh": "#!/bin/sh", "gone.txt": "x", "left/out.pem": "x", "sub dir/ü.txt": "u",
		"source.json": "{}", ".gitignore": "ignored\n",
	})
	if err := os.Remove(filepath.Join(dir, "gone.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"a.txt": "edited", "new.txt": "n", "ignored": "i", "dist/out": "o", ".airbuild-carried.json": "{}"})
	tree := sourceOf(t, SourceSpec{Root: dir, Dist: "dist", Cache: filepath.Join(dir, "cache"), Exclude: []string{"**/*.pem"}})
	wantPaths(t, tree, ".gitignore", "a.txt", "run.sh", "source.json", "sub dir/ü.txt")
	if !slices.Equal(tree.Untracked, []string{"new.txt"}) {
		t.Errorf("untracked %q", tree.Untracked)
	}
	if tree.Component.Metadata["dirty"] != "true" || tree.Component.Metadata["commit"] == "" {
		t.Errorf("metadata %v", tree.Component.Metadata)
	}
	for _, f := range tree.Component.Files {
		switch f.Path {
		case "a.txt":
			if got := read(t, f); got != "edited" {
				t.Errorf("a.txt: %q", got)
			}
		case "run.sh":
			if runtime.GOOS != "windows" && !f.Executable {
				t.Error("run.sh is not executable")
			}
		case "source.json":
			info, err := source.ParseJSON([]byte(read(t, f)))
			if err != nil || !info.Dirty || !strings.HasSuffix(info.Describe, "-dirty") {
				t.Errorf("source.json: %+v, %v", info, err)
			}
		}
	}
}

func TestSourceOfSubfolder(t *testing.T) {
	top := repository(t, map[string]string{"other/x": "x", "app/a.txt": "a", "app/deep/b.txt": "b"})
	tree := sourceOf(t, SourceSpec{Root: filepath.Join(top, "app"), Dist: "dist", Cache: t.TempDir()})
	wantPaths(t, tree, "a.txt", "deep/b.txt", "source.json")
}

func TestSourceOfSubmodule(t *testing.T) {
	lib := repository(t, map[string]string{"lib.txt": "l"})
	dir := repository(t, map[string]string{"a.txt": "a"})
	gitIn(t, dir, "submodule", "--quiet", "add", lib, "third/lib")
	gitIn(t, dir, "commit", "-q", "-m", "second")
	tree := sourceOf(t, SourceSpec{Root: dir, Dist: "dist", Cache: t.TempDir()})
	wantPaths(t, tree, ".gitmodules", "a.txt", "source.json", "third/lib/lib.txt")
}

func TestSourceWithoutGit(t *testing.T) {
	real := realDir(t)
	write(t, real, map[string]string{
		"a.txt": "a", "dist/out": "o", "cache/cas/x": "x", ".airbuild-carried.json": "{}", ".airbuild-links.json": "{}",
		"source.json": `{"version":1,"commit":"` + strings.Repeat("a", 40) + `","dirty":false,"describe":"v1","time":"2026-01-01T00:00:00Z"}`,
	})
	dir := filepath.Join(realDir(t), "link")
	if err := os.Symlink(real, dir); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	tree := sourceOf(t, SourceSpec{Root: dir, Dist: "dist", Cache: filepath.Join(dir, "cache")})
	wantPaths(t, tree, "a.txt", "source.json")
	if tree.Info.Describe != "v1" {
		t.Errorf("describe %q", tree.Info.Describe)
	}
	if _, err := SourceFiles(t.Context(), SourceSpec{Root: dir, Dist: "dist", Cache: "/c", History: true}); err == nil {
		t.Error("a history without git")
	}
}

func TestSourceHistory(t *testing.T) {
	dir := repository(t, map[string]string{"a.txt": "a"})
	var first string
	for range 2 {
		tree := sourceOf(t, SourceSpec{Root: dir, Dist: "dist", Cache: t.TempDir(), History: true})
		wantPaths(t, tree, historyFile, "a.txt", "source.json")
		text := read(t, tree.Component.Files[0])
		if !strings.HasPrefix(text, "# v") || first != "" && text != first {
			t.Errorf("the history is %.20q, or other bytes than before", text)
		}
		first = text
	}
}

func TestSourceLinks(t *testing.T) {
	dir := repository(t, map[string]string{"d/a.txt": "a", "to-a": "-> d/a.txt", "d/up": "-> ../d/./a.txt"})
	tree := sourceOf(t, SourceSpec{Root: dir, Dist: "dist", Cache: t.TempDir()})
	wantPaths(t, tree, linksFile, "d/a.txt", "source.json")
	var links map[string]string
	if err := json.Unmarshal([]byte(read(t, tree.Component.Files[0])), &links); err != nil || links["to-a"] != "d/a.txt" || links["d/up"] != "../d/./a.txt" {
		t.Errorf("links %v, %v", links, err)
	}
}

func TestCheckLink(t *testing.T) {
	for _, c := range []struct {
		name, target string
		ok           bool
	}{
		{"a", "b", true}, {"d/a", "../b", true}, {"d/a", "./b", true}, {"d/a", "..", true}, {"a", "b/", true},
		{"a", "..", false}, {"d/a", "../../b", false}, {"a", "/etc/passwd", false}, {"a", "", false},
		{"a", `b\c`, false}, {"a", "b/../c", false}, {"a", "d/l/../../etc", false}, {"a", ".git/config", false}, {"a", "\x00", false},
	} {
		if err := checkLink(c.name, c.target); (err == nil) != c.ok {
			t.Errorf("%s -> %q: %v", c.name, c.target, err)
		}
	}
}

func TestSourceRefuses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not have such names")
	}
	for name, text := range map[string]string{"out": "-> /etc/passwd", "a\xff": "x", "a:b": "x", "con.txt": "x"} {
		dir := repository(t, map[string]string{"a.txt": "a", name: text})
		spec := SourceSpec{Root: dir, Dist: "dist", Cache: t.TempDir()}
		if _, err := SourceFiles(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "--exclude") {
			t.Errorf("%q: %v", name, err)
		}
		spec.Exclude = []string{strings.ReplaceAll(name, "\xff", "?")}
		if _, err := SourceFiles(t.Context(), spec); err != nil {
			t.Errorf("%q excluded: %v", name, err)
		}
	}
	if _, err := SourceFiles(t.Context(), SourceSpec{Root: t.TempDir(), Exclude: []string{"[a"}}); err == nil {
		t.Error("a bad pattern")
	}
}
