package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/gocache"
	"github.com/airbuild/airbuild/engine/store"
)

// runJSON runs the program in this process, in dir, and returns the event of one step.
func runJSON(t *testing.T, dir, step string, args ...string) (found struct {
	Key, Status                string
	CompileHits, CompileMisses int
}) {
	t.Helper()
	t.Chdir(dir)
	var out, errOut bytes.Buffer
	code := run(append([]string{"run", "--output", "json"}, args...), streams{in: strings.NewReader(""), out: &out, err: &errOut})
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errOut.String())
	}
	dec := json.NewDecoder(&out)
	for {
		var e struct {
			Event, Step, Status, Key string
			Hits                     int `json:"compile_hits"`
			Misses                   int `json:"compile_misses"`
		}
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Event == "step" && e.Step == step && e.Status != "run" {
			found.Key, found.Status, found.CompileHits, found.CompileMisses = e.Key, e.Status, e.Hits, e.Misses
		}
	}
}

// touched is what the step with a key (in hexadecimal) used of the store.
func touched(t *testing.T, s *store.Disk, hex string) gocache.Use {
	t.Helper()
	hash, err := action.ParseHash(hex)
	if err != nil {
		t.Fatal(err)
	}
	key := action.Digest{Hash: hash}
	info, err := os.Stat(s.BlobFile(key)) // the Action, which tells the key's size
	if err != nil {
		t.Fatal(err)
	}
	key.Size = info.Size()
	u, err := gocache.Touched(t.Context(), s, key)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func open(t *testing.T, dir string) *store.Disk {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func writeProject(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What a step touched, and nothing else, is carried to another host: there an
// edit compiles its package and what depends on it, and nothing else.
func TestWhatAStepTouchedIsEnoughElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("runs many steps twice")
	}
	files := map[string]string{
		"go.mod":       "module example.com/m\n\ngo 1.24\n",
		"main.go":      "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/m/a\"\n\t\"example.com/m/b\"\n)\n\nfunc main() { fmt.Println(a.Name(), b.Name()) }\n",
		"a/a.go":       "package a\n\nfunc Name() string { return \"a\" }\n",
		"b/b.go":       "package b\n\nfunc Name() string { return \"b\" }\n",
		"Airbuildfile": "stage \"go_build\" \"bin\" {\n  output = \"m\"\n  cgo    = false\n}\n",
	}
	t.Setenv("AIRBUILD_COMPILE_CACHE", "")
	here, there := t.TempDir(), t.TempDir()
	first := runJSON(t, writeProject(t, files), "bin", "bin", "--cache", here)
	if first.Status != "done" || first.CompileHits+first.CompileMisses < 20 {
		t.Fatalf("first run: %+v", first)
	}
	from, to := open(t, here), open(t, there)
	u := touched(t, from, first.Key)
	if !u.Known || u.Cgo || u.Lost != 0 || len(u.Entries) < first.CompileHits+first.CompileMisses {
		t.Fatalf("touched: known %v, cgo %v, lost %d, %d entries", u.Known, u.Cgo, u.Lost, len(u.Entries))
	}
	for _, e := range u.Entries {
		r, err := from.Result(t.Context(), e.Key())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.PutFile(t.Context(), from.BlobFile(e.Object), e.Object); err != nil {
			t.Fatal(err)
		}
		if err := to.PutResult(t.Context(), e.Key(), r); err != nil {
			t.Fatal(err)
		}
	}

	files["b/b.go"] = "package b\n\nfunc Name() string { return \"edited\" }\n"
	t.Setenv("GOCACHE", filepath.Join(t.TempDir(), "empty"))
	second := runJSON(t, writeProject(t, files), "bin", "bin", "--cache", there)
	if second.Status != "done" || second.CompileMisses != 2 || second.CompileHits != first.CompileHits+first.CompileMisses-2 {
		t.Errorf("there: %+v, here: %+v", second, first)
	}
}

// Of a step that may compile C nothing travels.
func TestWhatIsBuiltWithCgoStays(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":       "module example.com/m\n\ngo 1.24\n",
		"main.go":      "package main\n\nfunc main() {}\n",
		"Airbuildfile": "stage \"go_build\" \"bin\" {\n  output = \"m\"\n  cgo    = true\n}\n",
	}
	t.Setenv("AIRBUILD_COMPILE_CACHE", "")
	got := runJSON(t, writeProject(t, files), "bin", "bin", "--cache", dir)
	if u := touched(t, open(t, dir), got.Key); !u.Known || !u.Cgo || len(u.Entries) != 0 || u.Kept == 0 {
		t.Errorf("%+v: %+v", got, u)
	}
}
