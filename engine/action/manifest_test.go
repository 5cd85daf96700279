package action_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	. "github.com/airbuild/airbuild/engine/action"
)

func TestManifest(t *testing.T) {
	tree := fullTree()
	got, err := Explain(fullAction().Marshal(), fullCommand().Marshal(), tree.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	file := func(n byte, suffix string) string {
		return fmt.Sprintf("sha256:%s 1%s", fixedDigest(n).Hex(), suffix)
	}
	want := []Line{
		{"arg", "0", "go"}, {"arg", "1", "build"}, {"arg", "2", "-trimpath"}, {"arg", "3", ""}, {"arg", "4", "./cmd/ü"},
		{"env", "CGO_ENABLED", "0"}, {"env", "GOOS", "linux"},
		{"dir", "", "sub"},
		{"output", "dist/a", "path,file"}, {"output", "dist/b", "path,file"}, {"output", "vendor", "path,directory"},
		{"platform", "OSFamily", "linux"}, {"platform", "pool", "a"}, {"platform", "pool", "b"},
		{"option", "output_directory_format", "2"},
		{"fact", "fact two", "words"}, {"fact", "go", "go1.26.8"},
		{"option", "timeout", "1m30.000000005s"}, {"option", "do_not_cache", "true"},
		{"input", "LICENSE", file(1, "")}, {"input", "README", "-> README.md"}, {"input", "build.sh", file(2, " x")},
		{"input", "cmd/empty/", "dir"}, {"input", "cmd/main.go", file(5, "")},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestExplainChecksWhatBelongsTogether(t *testing.T) {
	tree, other := fullTree(), fullTree()
	other.Root.Files = nil
	if _, err := Explain(fullAction().Marshal(), new(Command).Marshal(), tree.Marshal()); err == nil {
		t.Error("a foreign command was explained")
	}
	if _, err := Explain(fullAction().Marshal(), fullCommand().Marshal(), other.Marshal()); err == nil {
		t.Error("a foreign tree was explained")
	}
}

func TestManifestOfIncompleteTree(t *testing.T) {
	tree := fullTree()
	tree.Children = nil
	lines := Manifest(fullAction(), fullCommand(), tree)
	last := lines[len(lines)-1]
	if want := (Line{"input", "cmd/", fmt.Sprintf("sha256:%s %d", tree.Root.Directories[0].Digest.Hex(), tree.Root.Directories[0].Digest.Size)}); last != want {
		t.Errorf("got %v, want %v", last, want)
	}
	if lines := Manifest(fullAction(), fullCommand(), nil); lines[len(lines)-1].Name != "." {
		t.Errorf("got %v", lines[len(lines)-1])
	}
}

// Whatever changes the key changes the manifest.
func TestManifestShowsEveryField(t *testing.T) {
	type key struct {
		a *Action
		c *Command
		t *Tree
	}
	edits := map[string]func(k *key){
		"argument":          func(k *key) { k.c.Arguments[1] = "test" },
		"argument split":    func(k *key) { k.c.Arguments = []string{"go build", "-trimpath", "", "./cmd/ü"} },
		"env":               func(k *key) { k.c.Env[0].Value = "1" },
		"output path":       func(k *key) { k.c.OutputPaths = k.c.OutputPaths[1:] },
		"output file":       func(k *key) { k.c.OutputFiles = k.c.OutputFiles[1:] },
		"output directory":  func(k *key) { k.c.OutputDirectories = nil },
		"platform":          func(k *key) { k.c.Platform[0].Value = "x" },
		"working directory": func(k *key) { k.c.WorkingDirectory = "" },
		"format":            func(k *key) { k.c.OutputDirectoryFormat = TreeOnly },
		"action platform":   func(k *key) { k.a.Platform = nil },
		"timeout":           func(k *key) { k.a.Timeout = time.Second },
		"cache":             func(k *key) { k.a.DoNotCache = false },
		"salt":              func(k *key) { k.a.Salt = []byte("fact two\twords\ngo\tgo1.26.9\n") },
		"file":              func(k *key) { k.t.Root.Files[0].Digest = fixedDigest(9) },
		"executable":        func(k *key) { k.t.Root.Files[0].Executable = true },
		"file name":         func(k *key) { k.t.Root.Files[0].Name = "COPYING" },
		"link":              func(k *key) { k.t.Root.Symlinks[0].Target = "x" },
		"link for file":     func(k *key) { k.t.Root.Symlinks, k.t.Root.Files[0] = nil, FileNode{"README", fixedDigest(1), false} },
		"directory":         func(k *key) { k.t.Root.Directories = nil },
	}
	full := func() *key { return &key{fullAction(), fullCommand(), fullTree()} }
	bytesOf := func(k *key) []byte {
		return slices.Concat(k.a.Marshal(), k.c.Marshal(), k.t.Marshal())
	}
	base := full()
	before := Manifest(base.a, base.c, base.t)
	for name, edit := range edits {
		k := full()
		edit(k)
		if bytes.Equal(bytesOf(base), bytesOf(k)) {
			t.Errorf("%s: the edit does not change the key", name)
		}
		if len(Diff(before, Manifest(k.a, k.c, k.t))) == 0 {
			t.Errorf("%s: the change is not shown", name)
		}
	}
}

func args(s ...string) []Line {
	var l []Line
	for i, a := range s {
		l = append(l, Line{"arg", fmt.Sprint(i), a})
	}
	return l
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name     string
		old, new []Line
		want     []Change
	}{
		{"same", args("a", "b"), args("a", "b"), nil},
		{"inserted", args("go", "build", "x"), args("go", "build", "-v", "x"),
			[]Change{{Kind: "arg", Name: "2", New: "-v", Added: true}}},
		{"removed", args("go", "build", "-v", "x"), args("go", "build", "x"),
			[]Change{{Kind: "arg", Name: "2", Old: "-v", Removed: true}}},
		{"changed", args("go", "build", "x"), args("go", "test", "x"),
			[]Change{{Kind: "arg", Name: "1", Old: "build", New: "test"}}},
		{"two places", args("a", "b", "c", "d", "e"), args("a", "c", "d", "x", "e"),
			[]Change{{Kind: "arg", Name: "1", Old: "b", Removed: true}, {Kind: "arg", Name: "3", New: "x", Added: true}}},
		{"empty is not absent", args("a"), args("a", ""),
			[]Change{{Kind: "arg", Name: "1", Added: true}}},
		{"named", []Line{{"env", "A", "1"}, {"env", "B", "1"}, {"input", "f", "x"}}, []Line{{"env", "B", "2"}, {"env", "C", "3"}, {"input", "f", "x"}},
			[]Change{{Kind: "env", Name: "A", Old: "1", Removed: true}, {Kind: "env", Name: "B", Old: "1", New: "2"}, {Kind: "env", Name: "C", New: "3", Added: true}}},
		{"same name twice", []Line{{"fact", "tool", "a"}, {"fact", "tool", "b"}}, []Line{{"fact", "tool", "b"}, {"fact", "tool", "c"}},
			[]Change{{Kind: "fact", Name: "tool", Old: "a", New: "c"}}},
		{"same name in another order", []Line{{"env", "A", "1"}, {"env", "A", "2"}}, []Line{{"env", "A", "2"}, {"env", "A", "1"}},
			[]Change{{Kind: "env", Name: "A", Old: "1", New: "2"}, {Kind: "env", Name: "A", Old: "2", New: "1"}}},
		{"order of kinds", []Line{{"input", "f", "x"}}, append(args("a"), Line{"env", "A", "1"}),
			[]Change{{Kind: "arg", Name: "0", New: "a", Added: true}, {Kind: "env", Name: "A", New: "1", Added: true}, {Kind: "input", Name: "f", Old: "x", Removed: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Diff(tt.old, tt.new); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, tt.want)
			}
		})
	}
}

// What Diff reports turns the old arguments into the new ones by count, and
// nothing is reported for equal lists.
func TestDiffArgumentsRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	some := func() []string {
		var s []string
		for range r.IntN(8) {
			s = append(s, string(rune('a'+r.IntN(3))))
		}
		return s
	}
	for range 500 {
		a, b := some(), some()
		added, removed := 0, 0
		changes := Diff(args(a...), args(b...))
		for _, c := range changes {
			if c.Added {
				added++
			}
			if c.Removed {
				removed++
			}
			if !c.Added && !c.Removed && c.Old == c.New {
				t.Fatalf("%q to %q: %+v is not a change", a, b, c)
			}
		}
		if len(b)-len(a) != added-removed {
			t.Fatalf("%q to %q: %+v", a, b, changes)
		}
		if (len(changes) == 0) != slices.Equal(a, b) {
			t.Fatalf("%q to %q: %d changes", a, b, len(changes))
		}
	}
}
