package sbom

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/licensecheck"
	"github.com/klauspost/compress/gzip"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// self is a real program with modules.
func self(t *testing.T) []byte {
	t.Helper()
	once.Do(func() {
		name := filepath.Join(t.TempDir(), "program")
		c := exec.Command("go", "build", "-trimpath", "-o", name, "./testdata/program")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		built = b
	})
	return built
}

var (
	once  sync.Once
	built []byte
)

// version is that of a module that the program uses.
func version(t *testing.T, module string) string {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(self(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	t.Fatalf("the program does not use %s", module)
	return ""
}

func packed(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func project(t *testing.T) fstest.MapFS {
	t.Helper()
	program := self(t)
	found := `[{"module":"","expression":"Apache-2.0"},{"module":"golang.org/x/mod@` + version(t, "golang.org/x/mod") + `","expression":"BSD-3-Clause AND MIT"}]`
	layer := strings.Repeat("a", 64)
	image := map[string][]byte{"oci-layout": []byte("{}"), "blobs/sha256/" + layer: packed(t, map[string][]byte{"usr/bin/app": program})}
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"go.sum": {Data: sums}, "dist/app": {Data: program}, "dist/none": {Data: []byte("#!/bin/sh\n")},
		"dist/app.tar.gz":                      {Data: packed(t, map[string][]byte{"app": program, "LICENSE": []byte("x")})},
		"dist/image.oci/oci-layout":            {Data: image["oci-layout"]},
		"dist/image.oci/blobs/sha256/" + layer: {Data: image["blobs/sha256/"+layer]},
		".airbuild-licenses.json":              {Data: []byte(found)},
	}
}

func block(files ...string) *tasks.Block {
	b := tasktest.Block("sbom", "sbom", fstest.MapFS{})
	b.Project.Source.Time = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	b.Project.Environ = func(string) (string, bool) { return "", false }
	tasktest.Set(b, "files", tasktest.Made(files...))
	tasktest.Set(b, "format", []string{cycloneDX, spdx})
	tasktest.Set(b, "version", "v1.2.3")
	tasktest.Set(b, "supplier", "Example")
	tasktest.Set(b, "licenses", map[string]string{"golang.org/x/text": "BSD-3-Clause OR MIT"})
	return b
}

func run(t *testing.T, in fs.FS, files ...string) (dir string) {
	t.Helper()
	dir, log, err := tasktest.Run(t, Tools(), tasktest.Step(t, task{}, block(files...)), in)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return dir
}

// schema compiles a published schema.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	for file, url := range map[string]string{
		"bom-1.6.schema.json": "http://cyclonedx.org/schema/bom-1.6.schema.json", "spdx.schema.json": "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82.schema.json": "http://cyclonedx.org/schema/jsf-0.82.schema.json", "spdx-2.3.schema.json": "http://spdx.org/rdf/terms/2.3",
	} {
		f, err := os.Open(filepath.Join("testdata", "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(url, doc); err != nil {
			t.Fatal(err)
		}
		if file == name {
			name = url
		}
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPublishedSchemas(t *testing.T) {
	files := []string{"dist/app", "dist/app.tar.gz", "dist/image.oci"}
	in := project(t)
	one, two := run(t, in, files...), run(t, in, files...)
	for ext, file := range map[string]string{".cdx.json": "bom-1.6.schema.json", ".spdx.json": "spdx-2.3.schema.json"} {
		s := schema(t, file)
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(one, f+ext))
			if err != nil {
				t.Fatal(err)
			}
			again, err := os.ReadFile(filepath.Join(two, f+ext))
			if err != nil || !bytes.Equal(b, again) {
				t.Errorf("%s%s: two runs, two bills (%v)", f, ext, err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(doc); err != nil {
				t.Errorf("%s%s: %v", f, ext, err)
			}
			// A schema that takes anything would prove nothing.
			delete(doc.(map[string]any), map[string]string{".cdx.json": "bomFormat", ".spdx.json": "SPDXID"}[ext])
			if s.Validate(doc) == nil {
				t.Errorf("%s takes a bill without its name", file)
			}
		}
	}
}

func TestContent(t *testing.T) {
	dir := run(t, project(t), "dist/app", "dist/app.tar.gz", "dist/image.oci")
	for name, words := range map[string][]string{
		"dist/app.cdx.json": {
			`"timestamp": "2026-03-04T05:06:07Z"`, `"serialNumber": "urn:uuid:`, `"type": "application"`, `"version": "v1.2.3"`, `"purl": "pkg:golang/github.com/airbuild/airbuild@v1.2.3"`,
			`"id": "Apache-2.0"`, `"expression": "BSD-3-Clause OR MIT"`, `"expression": "BSD-3-Clause AND MIT"`, `"value": "h1:`, `"purl": "pkg:golang/stdlib@1.`, `"name": "Example"`,
		},
		"dist/app.tar.gz.cdx.json": {`"type": "file"`, `"name": "app"`, `"bom-ref": "program:`},
		"dist/image.oci.cdx.json":  {`"type": "container"`, `"name": "usr/bin/app"`},
		"dist/app.spdx.json": {
			`"documentNamespace": "https://spdx.org/spdxdocs/app-`, `"licenseDeclared": "BSD-3-Clause AND MIT"`, `"licenseConcluded": "BSD-3-Clause OR MIT"`, `"licenseDeclared": "NOASSERTION"`, `"sourceInfo": "go.sum h1:`,
			`"Organization: Example"`, `"relationshipType": "DEPENDS_ON"`, `"primaryPackagePurpose": "APPLICATION"`,
		},
		"dist/image.oci.spdx.json": {`"primaryPackagePurpose": "CONTAINER"`, `"relationshipType": "CONTAINS"`, `"name": "usr/bin/app"`},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s lacks %s", name, w)
			}
		}
	}
}

func TestNothingInside(t *testing.T) {
	s := tasktest.Step(t, task{}, block("dist/none"))
	if _, _, err := tasktest.Run(t, Tools(), s, project(t)); err == nil || !strings.Contains(err.Error(), "describe dist/none: it has no Go build information") {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		attr  string
		value any
		words string
	}{
		{"files", []tasks.PathValue{}, "Nothing to describe"},
		{"files", tasktest.Files("a/x", "b/x"), "described twice"},
		{"namespace", "here", "Not an address"},
		{"licenses", map[string]string{"a": "MIT/BSD"}, `no '/'`},
		{"licenses", map[string]string{"a": ""}, "such as MIT"},
	} {
		b := block("dist/app")
		tasktest.Set(b, tt.attr, tt.value)
		tasktest.WantError(t, task{}, b, tt.words)
	}
	b := tasktest.Block("sbom", "sbom", fstest.MapFS{"docs/a": {}})
	tasktest.Set(b, "files", tasktest.Files("docs"))
	tasktest.WantError(t, task{}, b, "Directory to describe")
}

// space is a workspace in a directory.
type space struct{ root, state string }

func (s space) Root() string  { return s.root }
func (s space) State() string { return s.state }
func (s space) Digest(name string) (action.Digest, error) {
	b, err := os.ReadFile(filepath.Join(s.root, name))
	return action.Of(b), err
}
func (s space) ReadSources(name string) ([]fs.DirEntry, error) { return s.ReadDir(name) }
func (s space) ReadDir(name string) ([]fs.DirEntry, error) {
	return os.ReadDir(filepath.Join(s.root, name))
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

// listed is what an InputDiscoverer hands in.
func listed(t *testing.T, l *discoverer, s space) string {
	t.Helper()
	got, err := l.Discover(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Inputs) != 1 || got.Inputs[0].Kind != engine.FromText || got.Inputs[0].Path != ".airbuild-licenses.json" {
		t.Fatalf("%+v", got.Inputs)
	}
	return strings.TrimSpace(string(got.Inputs[0].Text))
}

func TestLicenses(t *testing.T) {
	const sum = " h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	s := space{t.TempDir(), t.TempDir()}
	cache, tree := t.TempDir(), t.TempDir()
	put(t, filepath.Join(s.root, "go.sum"), "example.com/A v1.0.0"+sum+"example.com/b v1.1.0"+sum+"example.com/b v1.1.0/go.mod"+sum+"example.com/gone v1.0.0"+sum+"example.com/odd v1.0.0"+sum)
	put(t, filepath.Join(cache, "example.com/!a@v1.0.0/LICENSE"), mit)
	put(t, filepath.Join(cache, "example.com/odd@v1.0.0/LICENSE"), "All rights reserved, and a long text that is no licence which anybody knows.")
	put(t, filepath.Join(s.root, "LICENSE.md"), mit)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("example.com/b@v1.1.0/COPYING")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(mit)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(tree, "example.com/b/@v/v1.1.0.zip"), b.String())
	env := map[string]string{"GOMODCACHE": cache, "GOPROXY": "https://proxy.invalid,file://" + filepath.ToSlash(tree)}
	l := &discoverer{dir: ".", output: ".airbuild-licenses.json", environ: func(n string) (string, bool) { v, ok := env[n]; return v, ok }}
	const want = `[{"module":"","expression":"MIT"},{"module":"example.com/A@v1.0.0","expression":"MIT"},{"module":"example.com/b@v1.1.0","expression":"MIT"}]`
	for range 2 { // the second time from what is remembered
		if got := listed(t, l, s); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	put(t, filepath.Join(s.state, textsFile), "damaged")
	if got := listed(t, l, s); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}

	// vendor, where it is, is all that counts.
	put(t, filepath.Join(s.root, "vendor/modules.txt"), "# example.com/b v1.1.0\n## explicit\nexample.com/b\n# example.com/A v1.0.0 => example.com/fork v1.2.0\nexample.com/A\n")
	put(t, filepath.Join(s.root, "vendor/example.com/A/LICENSE"), mit)
	put(t, filepath.Join(s.root, "vendor/example.com/b/b.go"), "package b")
	if got := listed(t, l, s); got != `[{"module":"","expression":"MIT"},{"module":"example.com/fork@v1.2.0","expression":"MIT"}]` {
		t.Error(got)
	}
	l.vendor = true
	if err := os.RemoveAll(filepath.Join(s.root, "vendor")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Discover(t.Context(), s); err == nil || !strings.Contains(err.Error(), "find licences in vendor") {
		t.Error(err)
	}
}

// What the detector calls licences is in SPDX's list, or is known not to be.
func TestNamesOfLicenses(t *testing.T) {
	b, err := os.ReadFile("testdata/schema/spdx.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Enum []string }
	if err := json.Unmarshal(b, &list); err != nil || len(list.Enum) < 500 {
		t.Fatal(len(list.Enum), err)
	}
	for _, l := range licensecheck.BuiltinLicenses() {
		if slices.Contains(list.Enum, l.ID) == strings.Contains(notSPDX, " "+l.ID+" ") {
			t.Errorf("%s: look at notSPDX", l.ID)
		}
	}
}

func TestIdentity(t *testing.T) {
	if a, b := identity([]byte("a")), identity([]byte("b")); a == b || len(a) != 36 || a[14] != '5' || a != identity([]byte("a")) {
		t.Error(a, b)
	}
}
