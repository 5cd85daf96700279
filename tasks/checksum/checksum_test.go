package checksum

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// Digests of "abc": FIPS 180-4 examples and BLAKE3's published vector set.
const (
	abc256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	abc512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
	abcB3  = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
)

func sample() fstest.MapFS {
	return fstest.MapFS{
		"dist/b.tar.gz":   {Data: []byte("abc")},
		"dist/a b.zip":    {Data: []byte("abc")},
		"dist/tree/x/one": {Data: []byte("abc")},
		"dist/tree/link":  {Data: []byte("x/one"), Mode: fs.ModeSymlink},
		"LICENSE":         {Data: []byte("abc")},
	}
}

func run(t *testing.T, attrs map[string]any, paths []tasks.PathValue) (dir string, outputs []string) {
	t.Helper()
	b := tasktest.Block("checksum", "sums", sample())
	tasktest.Set(b, "files", paths)
	for k, v := range attrs {
		tasktest.Set(b, k, v)
	}
	s := tasktest.Step(t, task{}, b)
	dir, log, err := tasktest.Run(t, Tools(), s, sample())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return dir, s.Command.OutputPaths
}

func TestLists(t *testing.T) {
	all := append(tasktest.Made("dist/b.tar.gz", "dist/a b.zip", "dist/tree"), tasktest.Files("LICENSE")...)
	lines := func(digest string) string {
		return fmt.Sprintf("%[1]s  ../LICENSE\n%[1]s  a b.zip\n%[1]s  b.tar.gz\n%[1]s  tree/x/one\n", digest)
	}
	for _, tt := range []struct {
		name  string
		attrs map[string]any
		paths []tasks.PathValue
		want  map[string]string
	}{
		{"default", nil, all, map[string]string{"dist/checksums.txt": lines(abc256)}},
		{"blake3", map[string]any{"algorithm": []string{"blake3"}, "output": "B3"}, all, map[string]string{"dist/B3": lines(abcB3)}},
		{"several", map[string]any{"algorithm": []string{"sha512", "sha256", "sha512"}, "output": "sums/all.txt"},
			tasktest.Made("dist/b.tar.gz"), map[string]string{
				"dist/sums/all_sha256.txt": abc256 + "  ../b.tar.gz\n", "dist/sums/all_sha512.txt": abc512 + "  ../b.tar.gz\n"}},
		{"split", map[string]any{"split": true}, append(tasktest.Made("dist/b.tar.gz"), tasktest.Files("LICENSE")...),
			map[string]string{"dist/b.tar.gz.sha256": abc256 + "  b.tar.gz\n", "dist/LICENSE.sha256": abc256 + "  ../LICENSE\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, outputs := run(t, tt.attrs, tt.paths)
			if len(outputs) != len(tt.want) {
				t.Errorf("outputs %q", outputs)
			}
			for name, want := range tt.want {
				got, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil || string(got) != want {
					t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
				}
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		attrs map[string]any
		words string
	}{
		{map[string]any{"files": tasktest.Files()}, "Nothing to list"},
		{map[string]any{"split": true, "output": "x"}, "Remove output"},
		{map[string]any{"files": tasktest.Made("dist/checksums.txt")}, "lists itself"},
		{map[string]any{"split": true, "files": append(tasktest.Made("dist/a"), tasktest.Files("a")...)}, "written twice"},
	} {
		b := tasktest.Block("checksum", "sums", sample())
		tasktest.Set(b, "files", tasktest.Files("LICENSE"))
		for k, v := range tt.attrs {
			tasktest.Set(b, k, v)
		}
		tasktest.WantError(t, task{}, b, tt.words)
	}
}

// TestSpec freezes the last argument of the command: keys hang on it.
func TestSpec(t *testing.T) {
	b := tasktest.Block("checksum", "sums", sample())
	tasktest.Set(b, "files", tasktest.Made("dist/b", "dist/a", "dist/b"))
	s := tasktest.Step(t, task{}, b)
	const want = `[airbuild:checksum 1 {"lists":[{"algorithm":"sha256","output":"dist/checksums.txt","files":["dist/a","dist/b"]}]}]`
	if got := fmt.Sprint(s.Command.Arguments); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(s.Inputs) != 2 {
		t.Errorf("inputs %+v", s.Inputs)
	}
}

func TestMissingFile(t *testing.T) {
	b := tasktest.Block("checksum", "sums", nil)
	tasktest.Set(b, "files", tasktest.Files("gone"))
	_, _, err := tasktest.Run(t, Tools(), tasktest.Step(t, task{}, b), fstest.MapFS{})
	if err == nil || !strings.Contains(err.Error(), "checksum gone: ") {
		t.Errorf("err = %v", err)
	}
}

// TestRealProgram lets sha256sum check names that need escapes.
func TestRealProgram(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("this host has no sha256sum to check with")
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file names that need escapes")
	}
	in := fstest.MapFS{}
	var names []string
	for _, name := range []string{"plain", " spaces ", `back\slash`, "line\nbreak", "ü*?", "-dash", `\n`} {
		in["dist/"+name] = &fstest.MapFile{Data: []byte(name)}
		names = append(names, "dist/"+name)
	}
	b := tasktest.Block("checksum", "sums", in)
	tasktest.Set(b, "files", tasktest.Made(names...))
	dir, _, err := tasktest.Run(t, Tools(), tasktest.Step(t, task{}, b), in)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range in {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	check := func() ([]byte, error) {
		c := exec.Command("sha256sum", "-c", "--strict", "checksums.txt")
		c.Dir = filepath.Join(dir, "dist")
		return c.CombinedOutput()
	}
	if out, err := check(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "dist", "line\nbreak"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := check(); err == nil {
		t.Fatalf("a changed file passes\n%s", out)
	}
}
