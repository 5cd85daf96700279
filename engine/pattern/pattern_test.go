package pattern_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/airbuild/airbuild/engine/pattern"
)

var project = fstest.MapFS{
	"a.go":             {},
	"b.go":             {},
	"main":             {},
	"[x]":              {},
	"a/a.go":           {},
	"a/b/a.go":         {},
	"a/b/c.txt":        {},
	"a/b/c/a.go":       {},
	"a/b/c/d/e/f.go":   {},
	"a/main/main":      {},
	"b/a/b/a.go":       {},
	"b/.hidden/a.go":   {},
	"c,d/x.go":         {},
	"testdata/a/in.go": {},
}

func TestGlobIsDoublestars(t *testing.T) {
	for _, p := range []string{
		"*.go", "**/*.go", "a/**", "**", "a", "a.go", "a/*/a.go", "**/b/**/a.go", "**/**/a.go", "{a,b}.go",
		"{a,b}/**/*.{go,txt}", "{a/b,b/a}/*", "a/{b,b/c}/a.go", "**/main", "?.go", "[ab].go", "[!a].go",
		`\[x\]`, "a/", "a//a.go", "./a.go", "{a,{b,c}}.go", "**.go", "b/**/.hidden/*", "{,a/}a.go",
		"c,d/*", "no/**", "no", "{**/c,a}/a.go", "**/{b,c}/**/{a,f}.go", "a/b/c/**/f.go",
	} {
		t.Run(p, func(t *testing.T) {
			got, err := pattern.Glob(project, p)
			if err != nil {
				t.Fatal(err)
			}
			if want := doublestars(t, project, p); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// What doublestar.Glob finds here is not what its Match says.
func TestGlobIsMatch(t *testing.T) {
	for p, want := range map[string][]string{
		"main/**":          nil,
		`a\.go`:            {"a.go"},
		`{c\,d,b}/**/*.go`: {"b/.hidden/a.go", "b/a/b/a.go", "c,d/x.go"},
	} {
		if got, err := pattern.Glob(project, p); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", p, got, err, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, name := range []string{"a.go", "[x]", `a\b*?{c,d}`} {
		if p := pattern.Quote(name); pattern.Check(p) != nil || !pattern.Match(p, name) || pattern.Match(p, "x") {
			t.Errorf("%q: %q", name, p)
		}
	}
	if got, err := pattern.Glob(project, pattern.Quote("[x]")); err != nil || !slices.Equal(got, []string{"[x]"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func doublestars(t *testing.T, fsys fs.FS, p string) []string {
	t.Helper()
	want, err := doublestar.Glob(fsys, p, doublestar.WithFilesOnly(), doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	return slices.Compact(want)
}

func TestLinksAreFollowedBeforeTheFirstWildcard(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"real/sub/x.go", "real/y.go"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Skip("this host has no symbolic links:", err)
	}
	fsys := os.DirFS(dir)
	for p, want := range map[string][]string{
		"link/*.go":          {"link/y.go"},
		"link/**/*.go":       {"link/sub/x.go", "link/y.go"},
		"**/*.go":            {"real/sub/x.go", "real/y.go"},
		"*/sub/*.go":         {"real/sub/x.go"},
		"*":                  {"link"},
		"link":               nil,
		"{link,*}/y.go":      {"link/y.go", "real/y.go"},
		"{link,**}/sub/x.go": {"link/sub/x.go", "real/sub/x.go"},
	} {
		if got, err := pattern.Glob(fsys, p); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", p, got, err, want)
		}
	}
}

// A countingFS counts how often a directory is read.
type countingFS struct {
	fs.FS
	reads map[string]int
}

func (c countingFS) ReadDir(name string) ([]fs.DirEntry, error) {
	c.reads[name]++
	return fs.ReadDir(c.FS, name)
}

func TestEachDirectoryIsReadOnce(t *testing.T) {
	deep := fstest.MapFS{strings.Repeat("d/", 200) + "file": {}}
	for _, p := range []string{
		strings.Repeat("**/d/", 20) + "none",
		strings.Repeat("**/*/", 20) + "**/none",
		"{" + strings.Repeat("**/d/,", 500) + "x}/none",
		strings.Repeat("{**,*,d}/", 6) + "none",
	} {
		fsys := countingFS{deep, map[string]int{}}
		found, err := pattern.Glob(fsys, p)
		if err != nil || len(found) > 0 {
			t.Errorf("%.40s: %q, %v", p, found, err)
		}
		if len(fsys.reads) == 0 {
			t.Errorf("%.40s: nothing was read", p)
		}
		for dir, n := range fsys.reads {
			if n != 1 {
				t.Fatalf("%.40s: directory %.40s was read %d times", p, dir, n)
			}
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for p, want := range map[string]string{
		strings.Repeat("{a,b}", 10):                                   "more than 1000 patterns",
		strings.Repeat("{a,b}", 800):                                  "more than 1000 patterns",
		strings.Repeat("{a,", 1001) + "b" + strings.Repeat("}", 1001): "more than 1000 patterns",
		strings.Repeat("x", 5000):                                     "at most 4096",
		"[a":                                                          "is not closed",
		"{a":                                                          "is not closed",
		`a\`:                                                          "is not closed",
		"[a/b]":                                                       "is not closed",
	} {
		if err := pattern.Check(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %q", p, err, want)
		}
		if _, err := pattern.Glob(project, p); err == nil {
			t.Errorf("%.20s: Glob takes it", p)
		}
	}
	if err := pattern.Check(strings.Repeat("{a,b}", 9)); err != nil {
		t.Error(err)
	}
}

func TestWalkEnds(t *testing.T) {
	n := 0
	err := pattern.Walk(project, "**/*.go", func(string, bool) error { n++; return fs.SkipAll })
	if err != nil || n != 1 {
		t.Errorf("after SkipAll: %d, %v", n, err)
	}
	broken := errors.New("broken")
	if err := pattern.Walk(project, "**", func(string, bool) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func FuzzGlob(f *testing.F) {
	for _, p := range []string{"**/*.go", "{a,b}/**", `\{a`, "[^a]", "**/{a,**}/x", "a/**/b/**"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		// Match takes a ** that a brace is beside, or comes out of one, for a *,
		// and a *** for less.
		bare := strings.NewReplacer("{", "", "}", "", ",", "").Replace(p)
		if pattern.Check(p) != nil || bare != p && strings.Contains(bare, "**") || strings.Contains(p, "***") {
			return
		}
		got, err := pattern.Glob(project, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range got {
			if !pattern.Match(p, name) {
				t.Errorf("%q names %q, and does not match it", p, name)
			}
		}
		for name := range project {
			// Match takes a/** for a, too, which is not a file below a.
			if pattern.Match(p, name) && !slices.Contains(got, name) && !pattern.Match(p, name+"/x") && !strings.HasSuffix(p, "/") {
				t.Errorf("%q matches %q, and does not name it", p, name)
			}
		}
	})
}

func BenchmarkGlob(b *testing.B) {
	many := fstest.MapFS{}
	for i := range 3000 {
		many[fmt.Sprintf("src/p%d/f%d.go", i%100, i)] = &fstest.MapFile{}
	}
	for name, glob := range map[string]func() int{
		"ours":       func() int { l, _ := pattern.Glob(many, "src/**/*.go"); return len(l) },
		"doublestar": func() int { l, _ := doublestar.Glob(many, "src/**/*.go", doublestar.WithFilesOnly()); return len(l) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if glob() != 3000 {
					b.Fatal("not all")
				}
			}
		})
	}
}
