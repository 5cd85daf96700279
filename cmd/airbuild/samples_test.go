package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"github.com/airbuild/airbuild/engine/host/hosttest"
)

// The samples are small projects as users have them. Each has an Airbuildfile
// whose pipeline "release" makes archives and checksums.

// A sample is a private copy of one, with a store of its own.
type sample struct {
	t    *testing.T
	root string
	env  []string // replaces variables of the test's own environment
}

func newSample(t *testing.T, from string) *sample {
	t.Helper()
	warmGoCache(t)
	// A folder whose name is not plain ASCII, as some users have it.
	root := filepath.Join(t.TempDir(), "Mein Projekt ä", filepath.Base(from))
	if err := os.CopyFS(root, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	home := hosttest.Home(t, t.TempDir())
	goenv := goEnv(t, "GOCACHE", "GOMODCACHE")
	return &sample{t: t, root: root, env: []string{
		"AIRBUILD_CACHE=" + t.TempDir(), "HOME=" + home, "USERPROFILE=" + home,
		"GOCACHE=" + goenv["GOCACHE"], "GOMODCACHE=" + goenv["GOMODCACHE"],
		"GOPROXY=off", "GOFLAGS=", "CI_COMMIT_TAG=",
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(root), "GIT_CONFIG_NOSYSTEM=1",
	}}
}

func sampleDir(name string) string { return filepath.Join("..", "..", "testdata", "samples", name) }

// A sampleRun is what a run did.
type sampleRun struct {
	hit, ran []string // names of steps, sorted
	summary  struct {
		OK                         bool
		Steps, Hits, Ran, Failed   int
		Damaged, Skipped, WouldRun int
	}
}

// run runs the pipeline release and expects success.
func (s *sample) run(args ...string) sampleRun {
	s.t.Helper()
	cmd := s.command("airbuild", append([]string{"run", "release", "--output", "json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("airbuild run release %s: %v\n%s%s", args, err, out, &stderr)
	}
	return s.parse(out)
}

// command is a program with the sample's environment, in its root; "airbuild"
// is this test binary.
func (s *sample) command(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	if name == "airbuild" {
		self, err := os.Executable()
		if err != nil {
			s.t.Fatal(err)
		}
		cmd = &exec.Cmd{Path: self, Args: append([]string{name}, args...)}
	}
	cmd.Dir, cmd.Env = s.root, append(os.Environ(), s.env...)
	return cmd
}

func (s *sample) parse(out []byte) (o sampleRun) {
	s.t.Helper()
	var last struct{ Event string }
	for line := range bytes.Lines(out) {
		var e struct{ Event, Step, Status string }
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.Fatalf("line %q: %v", line, err)
		}
		switch {
		case e.Event == "step" && e.Status == "hit":
			o.hit = append(o.hit, e.Step)
		case e.Event == "step" && e.Status == "done":
			o.ran = append(o.ran, e.Step)
		case e.Event == "summary":
			if err := json.Unmarshal(line, &o.summary); err != nil {
				s.t.Fatal(err)
			}
		}
		last.Event = e.Event
	}
	slices.Sort(o.hit)
	slices.Sort(o.ran)
	if last.Event != "summary" || !o.summary.OK || o.summary.Damaged > 0 ||
		o.summary.Hits != len(o.hit) || o.summary.Ran != len(o.ran) || o.summary.Steps != len(o.hit)+len(o.ran) {
		s.t.Fatalf("the summary does not fit the run: %+v", o)
	}
	return o
}

// allHits runs release and expects that nothing is executed.
func (s *sample) allHits(when string, args ...string) {
	s.t.Helper()
	if o := s.run(args...); len(o.ran) > 0 || len(o.hit) == 0 {
		s.t.Errorf("%s: ran %v", when, o.ran)
	}
}

// wantRan expects that just the named steps were executed.
func (o sampleRun) wantRan(t *testing.T, when string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(o.ran, want) {
		t.Errorf("%s: ran %v, want %v", when, o.ran, want)
	}
}

// edit replaces a file of the sample by what edit makes of it.
func (s *sample) edit(name string, edit func(string) string) {
	s.t.Helper()
	file := filepath.Join(s.root, filepath.FromSlash(name))
	old, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	text := edit(string(old))
	if text == string(old) {
		s.t.Fatalf("the edit of %s changes nothing", name)
	}
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

func appendText(text string) func(string) string {
	return func(old string) string { return old + text }
}

func replaceText(old, new string) func(string) string {
	return func(text string) string { return strings.ReplaceAll(text, old, new) }
}

// outputs are the digests of what is in dist, by path.
func (s *sample) outputs() map[string]string {
	s.t.Helper()
	got := map[string]string{}
	dist := os.DirFS(filepath.Join(s.root, "dist"))
	err := fs.WalkDir(dist, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := fs.ReadFile(dist, name)
		sum := sha256.Sum256(b)
		got[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// checkSums does what `cd dist && sha256sum -c` does with the checksum file.
func (s *sample) checkSums(outputs map[string]string) {
	s.t.Helper()
	name := "checksums.txt"
	if _, ok := outputs[name]; !ok {
		name = "checksums_sha256.txt"
	}
	f, err := os.Open(filepath.Join(s.root, "dist", name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		sum, file, ok := strings.Cut(lines.Text(), "  ")
		if !ok || outputs[file] != sum {
			s.t.Errorf("%s: line %q, but the file's digest is %q", name, lines.Text(), outputs[file])
		}
	}
	if n == 0 {
		s.t.Errorf("%s lists nothing", name)
	}
}

// touch gives every file of the sample another time.
func (s *sample) touch() {
	s.t.Helper()
	when := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(s.root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		when = when.Add(time.Second)
		return os.Chtimes(name, when, when)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// gitInit makes the sample a repository with one tagged commit.
func (s *sample) gitInit() {
	s.t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		s.t.Skip("git is needed to make a repository")
	}
	date := "2026-01-01T00:00:00Z"
	s.env = append(s.env, "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date,
		"GIT_AUTHOR_NAME=Test", "GIT_COMMITTER_NAME=Test", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_EMAIL=t@example.com")
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "first"}, {"tag", "v1.0.0"}} {
		if out, err := s.command("git", args...).CombinedOutput(); err != nil {
			s.t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
}

// release goes through what must hold of every project: the second run, a run
// after every file was touched, one without dist and one elsewhere execute
// nothing and leave the same bytes.
func (s *sample) release() {
	s.t.Helper()
	first := s.run()
	if len(first.hit) > 0 {
		s.t.Errorf("the first run has hits: %v", first.hit)
	}
	made := s.outputs()
	s.checkSums(made)
	same := func(when string) {
		s.t.Helper()
		if got := s.outputs(); !maps.Equal(got, made) {
			s.t.Errorf("%s: dist is %v, was %v", when, got, made)
		}
	}
	s.allHits("run again")
	same("run again")
	s.touch()
	s.allHits("every file touched")
	if err := os.RemoveAll(filepath.Join(s.root, "dist")); err != nil {
		s.t.Fatal(err)
	}
	s.allHits("without dist")
	same("without dist")
	moved := filepath.Join(s.t.TempDir(), "elsewhere")
	if err := os.Rename(s.root, moved); err != nil {
		s.t.Fatal(err)
	}
	s.root = moved
	s.allHits("elsewhere")
	same("elsewhere")
}

func TestSamples(t *testing.T) {
	for _, name := range []string{"nogit", "unicode", "workspace", "mains", "cgo"} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "nogit" {
				t.Skip("it takes long to build for several platforms")
			}
			if _, err := exec.LookPath("gcc"); name == "cgo" && err != nil {
				t.Skip("gcc is needed to build C")
			}
			newSample(t, sampleDir(name)).release()
		})
	}
}

// What is not a sample of the table above has a test of its own.
func TestSamplesAreAllRun(t *testing.T) {
	dirs, err := os.ReadDir(sampleDir("."))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range dirs {
		names = append(names, d.Name())
	}
	if want := []string{"cgo", "mains", "nogit", "private", "unicode", "workspace"}; !slices.Equal(names, want) {
		t.Errorf("samples are %v, and the tests run %v", names, want)
	}
}

func TestSampleEdits(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long to build for several platforms")
	}
	s := newSample(t, sampleDir("mains"))
	s.run()
	all := func(prefix string) []string {
		return []string{
			prefix + "[linux/amd64,alpha]", prefix + "[linux/amd64,beta]",
			prefix + "[windows/amd64,alpha]", prefix + "[windows/amd64,beta]",
		}
	}

	s.edit("internal/place/place_windows.go", replaceText("Windows", "Fenster"))
	// vet looks at files for other platforms, and tests may read them.
	s.run().wantRan(t, "file for Windows", "bin[windows/amd64,alpha]", "archives[windows/amd64,alpha]", "sums", "test", "vet")

	s.edit("README.md", appendText("More.\n"))
	s.run().wantRan(t, "README", append(all("archives"), "sums")...)

	s.edit("internal/greet/testdata/golden/hello.txt", appendText("\n"))
	s.run().wantRan(t, "test's data", "test")

	// The same machine code: what is made of the binaries stays.
	s.edit("internal/greet/greet.go", appendText("\n// The end.\n"))
	o := s.run()
	for _, want := range all("bin") {
		if !slices.Contains(o.ran, want) {
			t.Errorf("comment at the end: %s did not run", want)
		}
	}
	for _, want := range append(all("archives"), "sums") {
		if !slices.Contains(o.hit, want) {
			t.Errorf("comment at the end: %s is not a hit", want)
		}
	}

	s.edit("internal/greet/texts/hello.txt", appendText("\n"))
	o = s.run()
	for _, want := range all("bin") {
		if !slices.Contains(o.ran, want) {
			t.Errorf("embedded file: %s did not run", want)
		}
	}

	s.run("--var", "version=v2.0.0").wantRan(t, "other version", append(append(all("bin"), all("archives")...), "sums")...)
	s.allHits("the first version again")
}

// A module that only a private proxy has is fetched once; from then on the
// store has all that the release needs.
func TestSamplePrivate(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program several times")
	}
	s := newSample(t, sampleDir("private"))
	proxy, mods := t.TempDir(), t.TempDir()
	t.Cleanup(func() { writable(mods) })
	serve(t, proxy, filepath.Join(s.root, "_proxy"))
	s.env = append(s.env, "GOPROXY="+fileURL(proxy), "GONOSUMDB=example.com/private", "GOMODCACHE="+mods)
	s.release()

	for _, dir := range []string{proxy, mods, filepath.Join(s.root, "dist"), filepath.Join(s.root, "vendor")} {
		writable(dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	s.allHits("without the proxy and the module cache", "--offline")
	if _, err := os.Stat(filepath.Join(s.root, "vendor", "modules.txt")); err != nil {
		t.Errorf("vendor is not there again: %v", err)
	}
}

// serve makes a GOPROXY tree of the modules in dir; see proxyTree.
func serve(t *testing.T, proxy, dir string) {
	t.Helper()
	if err := proxyTree(proxy, dir); err != nil {
		t.Fatal(err)
	}
}

// proxyTree makes a GOPROXY tree of the modules in dir, whose folders are called
// path@version, and of which there is at least one.
func proxyTree(proxy, dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*@*"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("no modules in %s: %v", dir, err)
	}
	for _, from := range found {
		rel, err := filepath.Rel(dir, from)
		if err != nil {
			return err
		}
		mod, version, _ := strings.Cut(filepath.ToSlash(rel), "@")
		v := filepath.Join(proxy, filepath.FromSlash(mod), "@v")
		if err := os.MkdirAll(v, 0o777); err != nil {
			return err
		}
		gomod, err := os.ReadFile(filepath.Join(from, "go.mod"))
		if err != nil {
			return err
		}
		var zip bytes.Buffer
		if err := modzip.CreateFromDir(&zip, module.Version{Path: mod, Version: version}, from); err != nil {
			return err
		}
		for name, content := range map[string]string{
			"list":            version + "\n",
			version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version),
			version + ".mod":  string(gomod),
			version + ".zip":  zip.String(),
		} {
			if err := os.WriteFile(filepath.Join(v, name), []byte(content), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

func fileURL(dir string) string {
	p := filepath.ToSlash(dir)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a Windows drive
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}

// writable takes the write protection off a module cache, so that it can be
// removed.
func writable(dir string) {
	_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(name, 0o777)
		}
		return err
	})
}

func TestExampleHello(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long to build for several platforms")
	}
	s := newSample(t, filepath.Join("..", "..", "examples", "hello"))
	s.gitInit()
	s.release()
	if _, ok := s.outputs()["hello_v1.0.0_windows_amd64.zip"]; !ok {
		t.Errorf("dist has %v", s.outputs())
	}
}

// Both CI systems run the same command, and keep the same folders.
func TestExampleCIFilesAgree(t *testing.T) {
	const command = "airbuild run release --junit junit.xml"
	for _, name := range []string{".gitlab-ci.yml", "Jenkinsfile"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "examples", "hello", name))
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`airbuild run [^'\n]*`).FindAllString(string(b), -1); !slices.Equal(found, []string{command}) {
			t.Errorf("%s runs %q, want %q", name, found, command)
		}
		for _, want := range []string{"AIRBUILD_CACHE", ".cache/airbuild", ".cache/go-build", ".cache/go-mod"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s does not name %s", name, want)
			}
		}
	}
}
