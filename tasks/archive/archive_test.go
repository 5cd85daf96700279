package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// sample is an input root: a built binary, a directory with an empty one and
// a link, and files of the project.
func sample() fstest.MapFS {
	return fstest.MapFS{
		"dist/yq_linux":       {Data: bytes.Repeat([]byte("binary "), 5000), Mode: 0o755},
		"LICENSE":             {Data: []byte("free\n"), Mode: 0o640},
		"docs/guide/üben.md":  {Data: []byte("# Ü\n"), Mode: 0o600},
		"share/data/one":      {Data: nil, Mode: 0o644},
		"share/data/link":     {Data: []byte("one"), Mode: fs.ModeSymlink | 0o777},
		"share/data/empty":    {Mode: fs.ModeDir | 0o700},
		"share/data/full":     {Mode: fs.ModeDir | 0o700},
		"share/data/full/two": {Data: []byte("two"), Mode: 0o777},
	}
}

var commitTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func sampleBlock(format string) *tasks.Block {
	b := tasktest.Block("archive", "archives", sample())
	b.Cell, b.StepName = "linux/amd64", "archives[linux/amd64]"
	b.Project.Source.Time = commitTime
	tasktest.Set(b, "files", append(tasktest.Made("dist/yq_linux"), tasktest.Files("LICENSE", "docs/guide/üben.md", "share/data")...))
	tasktest.Set(b, "format", format)
	return b
}

// want is what sample looks like once unpacked: mode, time where the format
// keeps it, and content.
var want = map[string]string{
	"LICENSE":             "-rw-r--r-- free\n",
	"docs/guide/üben.md":  "-rw-r--r-- # Ü\n",
	"share/data/empty/":   "drwxr-xr-x ",
	"share/data/full/two": "-rwxr-xr-x two",
	"share/data/link":     "Lrwxrwxrwx one",
	"share/data/one":      "-rw-r--r-- ",
	"yq_linux":            "-rwxr-xr-x " + strings.Repeat("binary ", 5000),
}

func build(t *testing.T, b *tasks.Block, in fs.FS) string {
	t.Helper()
	s := tasktest.Step(t, task{}, b)
	dir, log, err := tasktest.Run(t, Tools(), s, in)
	if err != nil {
		t.Fatalf("run: %v\n%s", err, log)
	}
	return filepath.Join(dir, filepath.FromSlash(s.Command.OutputPaths[0]))
}

// The digests below are part of the promise that a carried cache stays good:
// if one changes, so must toolVersion.
var frozen = map[string]string{
	"tar.gz":  "3b532f1b4ec6279ade62bc667f5cccfb3ee91bfa6da19f34b70825c8b7a7d4be",
	"tar.zst": "a976bf687d2b7f394b3a94e734fde2e2c0f7885f32927c799c89eb9244ea4e40",
	"tar.xz":  "7a5eb7f20ff20f5935b756f008583d81abe162371a5978540dd681ae60dc344a",
	"tar":     "c82ad8a42740240e7a1148792b045513914c1241f2a3c58b82842e5fe9072052",
	"zip":     "468a52d57721c00de24fe23d5d5d93df54ba24fef35cc06c3a5ee7878bd725dd",
}

func TestFormats(t *testing.T) {
	for _, format := range formatOrder {
		if format == binary {
			continue // no archive
		}
		t.Run(format, func(t *testing.T) {
			first := build(t, sampleBlock(format), sample())
			if got := filepath.Base(first); got != "yq_linux."+format {
				t.Errorf("output %s", got)
			}
			a, b := read(t, first), read(t, build(t, sampleBlock(format), sample()))
			if !bytes.Equal(a, b) {
				t.Error("two runs, two archives")
			}
			sum := sha256.Sum256(a)
			if got := hex.EncodeToString(sum[:]); got != frozen[format] {
				t.Errorf("digest %s, frozen %s", got, frozen[format])
			}
			got := unpack(t, format, a)
			if len(got) != len(want) {
				t.Errorf("%d members, want %d", len(got), len(want))
			}
			for name, w := range want {
				if got[name] != w {
					t.Errorf("%s: %.40q, want %.40q", name, got[name], w)
				}
			}
		})
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unpack(t *testing.T, format string, b []byte) map[string]string {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch format {
	case "zip":
		return unzip(t, b)
	case "tar.gz":
		var z *gzip.Reader
		z, err = gzip.NewReader(r)
		if err == nil && (z.Name != "" || z.Comment != "" || !z.ModTime.IsZero() || z.OS != 255) {
			t.Errorf("gzip header %+v", z.Header)
		}
		r = z
	case "tar.zst":
		r, err = zstd.NewReader(r)
	case "tar.xz":
		r, err = xz.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, last := map[string]string{}, ""
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(commitTime) || h.Name <= last {
			t.Errorf("header %+v after %s", h, last)
		}
		last = h.Name
		body, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = h.FileInfo().Mode().String() + " " + h.Linkname + string(body)
	}
}

func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Modified.Equal(commitTime) {
			t.Errorf("%s: modified %v", f.Name, f.Modified)
		}
		out[f.Name] = f.Mode().String() + " " + string(body)
	}
	return out
}

// TestRealTools lets the programs that users have unpack what we packed.
func TestRealTools(t *testing.T) {
	for format, argv := range map[string][]string{
		"tar.gz": {"tar", "-xzf"}, "tar.zst": {"tar", "--zstd", "-xf"}, "tar.xz": {"tar", "-xJf"}, "tar": {"tar", "-xf"}, "zip": {"unzip", "-q"},
	} {
		t.Run(format, func(t *testing.T) {
			for _, need := range append(strings.Fields(map[string]string{"tar.gz": "gzip", "tar.zst": "zstd", "tar.xz": "xz"}[format]), argv[0]) {
				if _, err := exec.LookPath(need); err != nil {
					t.Skipf("this host has no %s to unpack with", need)
				}
			}
			file, dir := build(t, sampleBlock(format), sample()), t.TempDir()
			c := exec.Command(argv[0], append(argv[1:], file)...)
			c.Dir = dir
			c.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			info, err := os.Stat(filepath.Join(dir, "yq_linux"))
			if err != nil || info.Mode().Perm()&0o700 != 0o700 || info.Size() != 35000 {
				t.Errorf("yq_linux: %v, %v", info, err)
			}
			if link, err := os.Readlink(filepath.Join(dir, "share/data/link")); link != "one" {
				t.Errorf("link: %q, %v", link, err)
			}
			if got := string(read(t, filepath.Join(dir, "docs", "guide", "üben.md"))); got != "# Ü\n" {
				t.Errorf("üben.md: %q", got)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dir   string
		files []tasks.PathValue
		attrs map[string]any
		want  string
	}{
		{"plain", ".", append(tasktest.Made("dist/a.exe"), tasktest.Files("docs/b")...), nil, "a.exe docs/b"},
		{"dir", "sub", tasktest.Files("sub/docs/b", "LICENSE"), nil, "LICENSE docs/b"},
		{"wrap", ".", tasktest.Files("b", "a"), map[string]any{"wrap_directory": "yq-1.0/"}, "yq-1.0/a yq-1.0/b"},
		{"strip", ".", tasktest.Files("docs/b", "LICENSE"), map[string]any{"strip_prefix": "docs/"}, "LICENSE b"},
		{"flat", ".", tasktest.Files("docs/b", "x/y/c"), map[string]any{"flat": true}, "b c"},
		{"rename", "sub", append(tasktest.Made("dist/yq_linux"), tasktest.Files("sub/a", "sub/b")...),
			map[string]any{"rename": map[string]string{"dist/yq_linux": "bin/yq", "a": "x", "sub/b": "y"}, "wrap_directory": "w"}, "w/bin/yq w/x w/y"},
		{"twice the same", ".", tasktest.Files("a", "a"), nil, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tasktest.Block("archive", "archives", nil)
			b.Meta.Dir = tt.dir
			tasktest.Set(b, "files", tt.files)
			for k, v := range tt.attrs {
				tasktest.Set(b, k, v)
			}
			var sp spec
			if diags := planEntries(b, &sp); len(diags) > 0 {
				t.Fatal(diags)
			}
			var names []string
			for _, e := range sp.Entries {
				names = append(names, e.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestDefaultOutput(t *testing.T) {
	b := tasktest.Block("archive", "archives", nil)
	tasktest.Set(b, "files", tasktest.Made("dist/yq_windows.exe"))
	if got := defaultOutput(b); got != "archives" {
		t.Error(got)
	}
	b.Cell = "windows/amd64,yq"
	if got := defaultOutput(b); got != "yq_windows" {
		t.Error(got)
	}
	tasktest.Set(b, "files", tasktest.Files("LICENSE"))
	if got := defaultOutput(b); got != "archives_windows_amd64_yq" {
		t.Error(got)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		attr  string
		value any
		words string
	}{
		{"files", []tasks.PathValue{}, "Nothing to pack"},
		{"files", tasktest.Files("."), "Whole project"},
		{"files", append(tasktest.Made("dist/LICENSE"), tasktest.Files("LICENSE")...), `LICENSE and LICENSE would both|dist/LICENSE and LICENSE would both be "LICENSE"`},
		{"level", 10, "from 1 to 9"},
		{"level", -1, "from 1 to 9"},
		{"mtime", "yesterday", "RFC 3339"},
		{"mtime", "1950-01-01T00:00:00Z", "1970 to 2105"},
		{"mode", "0999", "octal"},
		{"mode", "4755", "octal"},
		{"wrap_directory", "../x", "stays inside"},
		{"wrap_directory", "/x", "stays inside"},
		{"strip_prefix", "nowhere", "None of the project's files"},
		{"rename", map[string]string{"nowhere": "x"}, "not among the files"},
		{"rename", map[string]string{"LICENCE": "x"}, `Did you mean "LICENSE"?`},
		{"rename", map[string]string{"LICENSE": "../x"}, "stays inside"},
	} {
		b := sampleBlock("tar.gz")
		tasktest.Set(b, tt.attr, tt.value)
		_, words, found := strings.Cut(tt.words, "|")
		if !found {
			words = tt.words
		}
		tasktest.WantError(t, task{}, b, words)
	}
	b := sampleBlock("tar")
	tasktest.Set(b, "level", 3)
	tasktest.WantError(t, task{}, b, "Nothing to compress")
}

func TestCollisionsAtRun(t *testing.T) {
	in := fstest.MapFS{"a/x": {Data: []byte("1")}, "b/a/x": {Data: []byte("2")}, "c/a": {Data: []byte("3")}}
	for _, tt := range []struct {
		entries []entry
		words   string
	}{
		{[]entry{{"a", "a"}, {"b/a", "a"}}, `two things are called "a/x"`},
		{[]entry{{"a", "a"}, {"c/a", "a"}}, `"a" is a file`},
		{[]entry{{"gone", "gone"}}, "read gone"},
	} {
		if _, err := collect(in, tt.entries); err == nil || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%v: %v, want %q", tt.entries, err, tt.words)
		}
	}
}

func TestTimeAndMode(t *testing.T) {
	b := sampleBlock("zip")
	b.Project.Source.Time = time.Time{}
	tasktest.Set(b, "mode", "600")
	tasktest.Set(b, "files", tasktest.Files("LICENSE"))
	body := read(t, build(t, b, sample()))
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	if f := z.File[0]; !f.Modified.Equal(epoch) || f.Mode() != 0o600 {
		t.Errorf("%v %v", f.Modified, f.Mode())
	}
	tasktest.Set(b, "mtime", "1975-01-01T01:00:00+01:00") // before zip's first moment
	var sp spec
	sp.Format = "zip"
	if planTime(b, &sp); sp.Time != epoch.Unix() {
		t.Errorf("zip time %d", sp.Time)
	}
	sp.Format = "tar"
	if planTime(b, &sp); sp.Time != time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC).Unix() {
		t.Errorf("tar time %d", sp.Time)
	}
}

// TestSpec freezes the last argument of the command: keys hang on it.
func TestSpec(t *testing.T) {
	b := sampleBlock("tar.gz")
	tasktest.Set(b, "files", tasktest.Made("dist/a&b"))
	s := tasktest.Step(t, task{}, b)
	got := fmt.Sprint(s.Command.Arguments)
	const want = `[airbuild:archive 1 {"format":"tar.gz","level":6,"time":1772600767,"output":"dist/a&b.tar.gz","entries":[{"path":"dist/a&b","name":"a&b"}]}]`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(s.Inputs) != 1 || s.Inputs[0].Step != 7 {
		t.Errorf("inputs %+v", s.Inputs)
	}
}

func TestBinary(t *testing.T) {
	in := fstest.MapFS{"dist/app.exe": {Data: []byte("app"), Mode: 0o755}, "docs/a.md": {Data: []byte("a"), Mode: 0o644}}
	b := tasktest.Block("archive", "plain", in)
	b.Cell = "windows/amd64"
	tasktest.Set(b, "files", tasktest.Made("dist/app.exe"))
	tasktest.Set(b, "format", "binary")
	tasktest.WantError(t, task{}, b, "Copy onto itself")
	tasktest.Set(b, "output", "app_1.2_windows.exe")
	s := tasktest.Step(t, task{}, b)
	dir, _, err := tasktest.Run(t, Tools(), s, in)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "dist", "app_1.2_windows.exe")
	info, err := os.Stat(name)
	if err != nil || info.Mode()&0o111 == 0 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info, err)
	}
	if got, err := os.ReadFile(name); string(got) != "app" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	tasktest.Set(b, "wrap_directory", "x")
	tasktest.WantError(t, task{}, b, "Nothing to name")
	tasktest.Set(b, "files", tasktest.Made("dist/app.exe", "dist/b"))
	tasktest.WantError(t, task{}, b, "Several files")
	b = tasktest.Block("archive", "plain", in)
	tasktest.Set(b, "files", tasktest.Files("docs"))
	tasktest.Set(b, "format", "binary")
	if s := tasktest.Step(t, task{}, b); s.Command.OutputPaths[0] != "dist/plain" {
		t.Errorf("outputs %v", s.Command.OutputPaths)
	} else if _, _, err := tasktest.Run(t, Tools(), s, fstest.MapFS{"docs/a": {}, "docs/b": {}}); err == nil {
		t.Error("a directory was copied")
	}
}
