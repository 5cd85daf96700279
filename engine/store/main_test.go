package store

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// childEnv names what the test binary does instead of testing, so that tests
// can have other processes.
const childEnv = "AIRBUILD_STORE_TEST_CHILD"

var update = flag.Bool("update", false, "rewrite the fixture")

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		if err := children[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// open opens the store in dir until the test ends. Closing it twice is fine.
func open(t testing.TB, dir string) *Disk {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Disk, text string) action.Digest {
	t.Helper()
	d, err := s.PutBytes(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// small fills s with every kind of thing: files, a tree, logs, two entries.
// The bytes are always the same; the fixture of the format is made of it.
func small(t testing.TB, s *Disk) (keys []action.Digest) {
	t.Helper()
	file, program := put(t, s, "a file\n"), put(t, s, "a program\n")
	dir := action.Directory{Files: []action.FileNode{{Name: "file", Digest: file}}}
	tree := action.Tree{Root: dir}
	inputs := action.Tree{Root: action.Directory{Files: []action.FileNode{{Name: "main.go", Digest: action.Of([]byte("not stored"))}}}}
	c := action.Command{Arguments: []string{"go", "build"}, OutputPaths: []string{"dist/program"}}
	a := action.Action{Command: put(t, s, string(c.Marshal())), InputRoot: action.Of(inputs.Root.Marshal())}
	first := put(t, s, string(a.Marshal()))
	record(t, s, first, &action.Result{
		OutputFiles:       []action.OutputFile{{Path: "dist/program", Digest: program, Executable: true}},
		OutputDirectories: []action.OutputDirectory{{Path: "vendor", Tree: put(t, s, string(tree.Marshal())), Root: put(t, s, string(dir.Marshal()))}},
		OutputSymlinks:    []action.OutputSymlink{{Path: "dist/latest", Target: "program"}},
		Stdout:            put(t, s, "built\n"),
		Metadata: action.Metadata{
			Worker: "local", ExecutionStart: time.Unix(1700000000, 0).UTC(), ExecutionCompleted: time.Unix(1700000001, 0).UTC(),
			Inputs: put(t, s, string(inputs.Marshal())),
		},
	})
	second := action.Of([]byte("an action that is not stored"))
	record(t, s, second, &action.Result{OutputFiles: []action.OutputFile{{Path: "empty", Digest: put(t, s, "")}}})
	return []action.Digest{first, second}
}

func record(t testing.TB, s *Disk, key action.Digest, r *action.Result) {
	t.Helper()
	if err := s.PutResult(t.Context(), key, r); err != nil {
		t.Fatal(err)
	}
}

// contents returns all blobs and entries of s.
func contents(t testing.TB, s *Disk) (blobs, entries []stored) {
	t.Helper()
	for room, list := range map[string]*[]stored{"cas": &blobs, "ac": &entries} {
		err := s.each(context.Background(), room, func(x stored) error {
			*list = append(*list, x)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return blobs, entries
}

// edit changes the bytes of a file of the store as a program would that is not
// airbuild.
func edit(t testing.TB, name string, f func([]byte) []byte) {
	t.Helper()
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, f(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

func temps(t testing.TB, s *Disk) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "tmp", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
