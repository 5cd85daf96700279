package tasks_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
)

// disk is a workspace whose digests come straight from the files.
type disk struct{}

func (disk) Root() string                              { return "" }
func (disk) State() string                             { return "" }
func (disk) ReadSources(string) ([]fs.DirEntry, error) { return nil, fs.ErrInvalid }
func (disk) ReadDir(string) ([]fs.DirEntry, error)     { return nil, fs.ErrInvalid }
func (disk) Digest(p string) (action.Digest, error) {
	b, err := os.ReadFile(filepath.FromSlash(p))
	return action.Of(b), err
}

func TestProgramFacts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
		return name
	}
	sum := func(text string) string { return "sha256:" + action.Of([]byte(text)).Hex() }
	jq := write("lib/jq-1.7", "jq")
	link := filepath.Join(dir, "jq")
	if err := os.Symlink(jq, link); err != nil {
		t.Skipf("this host makes no symbolic links: %v", err)
	}
	write("go/VERSION", "go1.26.8\ntime 2026-01-01T00:00:00Z\n")
	write("tip/VERSION", "devel go1.27-abcdef\n")
	ps := tasks.Programs{}.
		Add(tasks.Program{Name: "jq", Path: link}).
		Add(tasks.Program{Name: "jq", Path: "/elsewhere"}).
		Add(tasks.Program{Name: "gone"}).
		Add(tasks.Program{Name: "go", Path: write("go/bin/go", "release")}).
		Add(tasks.Program{Name: "gofmt", Path: write("tip/bin/gofmt", "tip")}).
		Add(tasks.Program{Name: "awk", Path: write("go/bin/awk", "awk")})
	l, err := ps.Discover(t.Context(), disk{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"tool awk": sum("awk"), "tool go": "go1.26.8", "tool gofmt": sum("tip"), "tool gone": "absent", "tool jq": sum("jq"),
	}
	last := ""
	for _, f := range l.Facts {
		if f.Value != want[f.Name] || f.Name <= last {
			t.Errorf("%s = %s, want %s", f.Name, f.Value, want[f.Name])
		}
		last = f.Name
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("no facts %v", want)
	}
	ps = tasks.Programs{{Name: "gone", Path: filepath.Join(dir, "gone")}}
	if _, err := ps.Discover(t.Context(), disk{}); err == nil {
		t.Error("a program that went away is not an error")
	}
}
