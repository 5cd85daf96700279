// Package bundletest makes bundles and hosts for tests.
package bundletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// A Tree is the content of components: component to path to content. A path
// that ends in "*" is executable.
type Tree map[string]map[string]string

func (x Tree) Clone() Tree {
	y := Tree{}
	for c, files := range x {
		y[c] = map[string]string{}
		maps.Copy(y[c], files)
	}
	return y
}

func Input(path, text string) create.Input {
	path, executable := strings.CutSuffix(path, "*")
	return create.Input{Path: path, Executable: executable, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

func (x Tree) Spec(sequence int64) create.Spec {
	s := create.Spec{Name: "yq", Sequence: sequence, Created: time.Unix(1767225600+sequence, 0)}
	for name, files := range x {
		c := create.Component{Name: name, Plain: strings.HasPrefix(name, "airbuild/"), Metadata: map[string]string{"from": "test"}}
		for p, text := range files {
			c.Files = append(c.Files, Input(p, text))
		}
		s.Components = append(s.Components, c)
	}
	return s
}

// Noise is text that does not compress, the same for the same seed.
func Noise(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// Prose is text that compresses.
func Prose(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "line %d of the text\n", r.IntN(1000))
	}
	return b.String()[:n]
}

// result is a result of an action with one output, and its paths in actions.
func AddResult(files map[string]string, name, output string) {
	d := action.Of([]byte(output))
	r := action.Result{OutputFiles: []action.OutputFile{{Path: name, Digest: d}}}
	files["cas/"+d.Hex()] = output
	files["ac/"+action.Of([]byte(name)).Hex()] = string(r.Marshal())
}

func Sample() Tree {
	x := Tree{
		"airbuild/linux-amd64": {"airbuild*": Noise(1, 70000)},
		"source": {
			"go.mod": "module example.org/m\n", "main.go": Prose(2, 5000), "run.sh*": "#!/bin/sh\n", "empty": "",
			"sub/ä/größe.txt": "size", "copy": Prose(2, 5000),
		},
		"modules":   {"example.org/x/@v/v1.0.0.zip": "PK\x03\x04" + Noise(3, 1<<20+4321), "example.org/x/@v/v1.0.0.mod": "module example.org/x\n"},
		"artifacts": {"m_linux_amd64*": Prose(4, 2<<20+99)},
		"actions":   {},
	}
	AddResult(x["actions"], "bin/m", Prose(4, 2<<20+99))
	AddResult(x["actions"], "bin/n", Prose(5, 777))
	return x
}

func Key(t testing.TB, seed uint64) *sign.SecretKey {
	t.Helper()
	k, err := sign.Generate(strings.NewReader(Noise(seed, 4096)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func Make(t testing.TB, dir string, s create.Spec, o create.Options, keys ...*sign.SecretKey) *bundle.Root {
	t.Helper()
	if _, err := create.Bundle(t.Context(), dir, s, o); err != nil {
		t.Fatal(err)
	}
	r, err := create.Finish(t.Context(), dir, create.FinishOptions{Keys: keys, Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var Anyone = bundle.Trust{AllowUnsigned: true}

func Open(t testing.TB, trust bundle.Trust, paths ...string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(t.Context(), trust, paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A Host is a cache directory with sinks.
type Host struct {
	t     testing.TB
	Cache string
	Store *store.Disk
	Scope store.Scope
	Work  string
	Sinks map[string]install.Sink
}

func NewHost(t testing.TB) *Host {
	h, err := OpenHost(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func OpenHost(t testing.TB, dir string) (*Host, error) {
	h := &Host{t: t, Cache: filepath.Join(dir, "cache"), Work: filepath.Join(dir, "work"), Sinks: map[string]install.Sink{}}
	var err error
	if h.Store, err = store.Open(h.Cache); err != nil {
		return nil, err
	}
	if t != nil {
		t.Cleanup(func() { h.Store.Close() })
	}
	return h, nil
}

func (h *Host) Sink(component string) (install.Sink, error) {
	kind, rest, _ := strings.Cut(component, "/")
	at := kind
	switch kind {
	case "actions", "gocache":
		at = "store"
	case "modules", "sumdb", "toolchain":
		at = "goproxy"
	case "airbuild":
		at = "airbuild/" + rest
	}
	if s, ok := h.Sinks[at]; ok {
		return s, nil
	}
	var s install.Sink
	var err error
	switch kind {
	case "actions", "gocache":
		s = install.NewStoreSink(h.Store, h.Scope)
	case "modules", "sumdb", "toolchain":
		s, err = install.NewDirSink(filepath.Join(h.Cache, "carried", "goproxy"), install.DirOptions{})
	case "airbuild":
		s, err = install.NewDirSink(filepath.Join(h.Cache, "carried", "airbuild", rest), install.DirOptions{})
	case "source":
		var d *install.DirSink
		if d, err = install.NewDirSink(filepath.Join(h.Work, "source"), install.DirOptions{}); err == nil {
			s = &keepSink{d, install.NewStoreSink(h.Store, store.Scope{})}
		}
	default:
		s, err = install.NewDirSink(filepath.Join(h.Work, component), install.DirOptions{})
	}
	if err == nil {
		h.Sinks[at] = s
	}
	return s, err
}

func (h *Host) Dir(component string) string {
	s, err := h.Sink(component)
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Dir()
}

func (h *Host) TryImport(b *bundle.Bundle) (*install.Report, error) {
	return install.Bundle(context.Background(), b, install.Options{Cache: h.Cache, Sink: h.Sink, Actor: "test", Time: time.Unix(1767225600, 0)})
}

func (h *Host) Imports(b *bundle.Bundle) *install.Report {
	h.t.Helper()
	done, err := h.TryImport(b)
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

// Lacks fails unless the host refuses delta because it does not have full, and
// changes nothing.
func (h *Host) Lacks(delta, full *bundle.Bundle) {
	h.t.Helper()
	if _, err := h.TryImport(delta); !errors.Is(err, bundle.ErrBase) || !strings.Contains(err.Error(), full.Digest()) {
		h.t.Errorf("wrong base: %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.Cache, "cas", "00")); err == nil || len(ReadTree(h.t, h.Work)) > 0 {
		h.t.Error("a wrong base was noticed after something was copied")
	}
}

// Sound fails unless every byte of b is as it should be.
func Sound(t testing.TB, b *bundle.Bundle) *bundle.Report {
	t.Helper()
	r, err := b.Verify(context.Background(), bundle.VerifyOptions{Deep: true})
	if err != nil || !r.OK() {
		t.Fatalf("%s: %+v, %v", b.Media().Name(), r, err)
	}
	return r
}

// Check compares what the host has with x.
func (h *Host) Check(x Tree) {
	h.t.Helper()
	for c, files := range x {
		for p, want := range files {
			p, executable := strings.CutSuffix(p, "*")
			s, err := h.Sink(c)
			if err != nil {
				h.t.Fatal(err)
			}
			f := bundle.File{Path: p, Executable: executable, Digest: action.Of([]byte(want))}
			if ok, err := s.Has(context.Background(), f, false); !ok || err != nil {
				h.t.Errorf("%s %s: %v, %v", c, p, ok, err)
			}
		}
	}
}

func ReadTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		m[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func SameTree(t testing.TB, a, b string) {
	t.Helper()
	x, y := ReadTree(t, a), ReadTree(t, b)
	for name := range x {
		if x[name] != y[name] {
			t.Errorf("%s differs or is missing", name)
		}
	}
	if len(x) != len(y) {
		t.Errorf("%d files and %d", len(x), len(y))
	}
}

func SortedKeys(m map[string]string) []string {
	var list []string
	for k, v := range m {
		list = append(list, k+"\x00"+v)
	}
	slices.Sort(list)
	return list
}

// OfSpec makes an unsigned bundle of x and opens it.
func OfSpec(t testing.TB, s create.Spec) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	Make(t, dir, s, create.Options{PackSize: 500000})
	return Open(t, Anyone, dir)
}

func (h *Host) Receipt() *bundle.Receipt {
	h.t.Helper()
	r, err := install.MakeReceipt(context.Background(), h.Cache, h.Sink, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		h.t.Fatal(err)
	}
	again, err := bundle.ReadReceipt(bytes.NewReader(b.Bytes()))
	if err != nil {
		h.t.Fatal(err)
	}
	var c bytes.Buffer
	if _, err := again.WriteTo(&c); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
		h.t.Errorf("receipt changes when it is read and written: %v", err)
	}
	return again
}

// OldOf are the contents of a tree, as a sender still has them.
func OldOf(x Tree) []create.Input {
	var list []create.Input
	for _, files := range x {
		for name, text := range files {
			in := Input(name, text)
			in.Digest = action.Of([]byte(text))
			list = append(list, in)
		}
	}
	return list
}

// Program is a text that is no more compressible than a program is, and knows
// of where it lies here and there.
func Program(seed uint64, size int) string {
	return Prose(seed, size/2) + Noise(seed+1, size/2)
}

// PatchedSpec is a delta with a patch for one content, to a host that has x.
func PatchedSpec(t testing.TB, h *Host, x Tree) (Tree, create.Spec) {
	t.Helper()
	y := x.Clone()
	old := OldProgram(x)
	y["actions"] = map[string]string{}
	AddResult(y["actions"], "bin/m", old[:len(old)/3]+"a line more\n"+old[len(old)/3:])
	s := y.Spec(2)
	s.Base, s.Old = create.BaseOfReceipt(h.Receipt()), OldOf(x)
	return y, s
}

func OldProgram(x Tree) string {
	var longest string
	for _, text := range x["actions"] {
		if len(text) > len(longest) {
			longest = text
		}
	}
	return longest
}

// PatchTree holds a program that is worth a patch.
func PatchTree() Tree {
	x := Sample()
	x["actions"] = map[string]string{}
	AddResult(x["actions"], "bin/m", Program(77, 300<<10))
	return x
}

func Must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Untouched holds that nothing was written but what an import that began leaves.
func (h *Host) Untouched() {
	h.t.Helper()
	for name := range ReadTree(h.t, filepath.Dir(h.Cache)) {
		switch {
		case name == "cache/VERSION", strings.HasPrefix(name, "cache/lock/"), name == "cache/carried/lock", strings.HasPrefix(name, "cache/carried/journal/"):
		case strings.HasPrefix(name, "cache/cas/"), name == "work/source/a", name == "work/source/b":
			// Good contents may be kept, under their own digests and names.
		default:
			h.t.Errorf("%s was written", name)
		}
	}
	if list, err := install.List(h.Cache); err != nil || len(list) > 0 {
		h.t.Errorf("published: %v, %v", list, err)
	}
}

// childEnv names what the test binary does instead of testing, so that tests
// can have other processes.
const childEnv = "AIRBUILD_BUNDLE_TEST_CHILD"

func Child(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	return cmd
}

// Many is a tree of many files, of some megabytes.
func Many() Tree {
	x := Tree{"source": {}, "modules": {"big.zip": "PK\x03\x04" + Noise(1, 3<<20)}, "actions": {}}
	for i := range 300 {
		x["source"][fmt.Sprintf("dir%d/file%d.go", i%7, i)] = Prose(uint64(i), 100+i*40)
		AddResult(x["actions"], fmt.Sprint("out", i), Prose(uint64(i), 90+i*37))
	}
	return x
}

var ManyOptions = create.Options{PackSize: 400000}

// NoTemps holds that no temporary file is left.
func NoTemps(t testing.TB, dir string) {
	t.Helper()
	for name := range ReadTree(t, dir) {
		if strings.HasPrefix(filepath.Base(name), atomicfile.TempPrefix) {
			t.Errorf("%s is left", name)
		}
	}
}

// Killed runs a child and kills it at a random moment, and reports whether it
// was done before.
func Killed(t *testing.T, within time.Duration, role string, args ...string) bool {
	t.Helper()
	cmd := Child(t, role, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(within))))
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return cmd.Wait() == nil
}

// Takes is about how long a child runs.
func Takes(t *testing.T, role string, args ...string) time.Duration {
	t.Helper()
	start := time.Now()
	if out, err := Child(t, role, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return time.Since(start)
}

func Kills() int {
	if testing.Short() {
		return 6
	}
	return 20
}

func FixtureTree() Tree {
	x := Tree{
		"airbuild/linux-amd64": {"airbuild*": "#!/bin/sh\n# stands for a program\n"},
		"source":               {"go.mod": "module example.org/m\n", "main.go": Prose(1, 3000), "größe.txt": "", "run.sh*": "exit 0\n"},
		"modules":              {"example.org/x/@v/v1.0.0.zip": "PK\x03\x04" + Noise(2, 5000)},
		"actions":              {},
	}
	AddResult(x["actions"], "bin/m", Prose(3, 4000))
	return x
}

// Main runs the tests, or in a child process what child asks it for.
func Main(m *testing.M, roles map[string]func(args []string) error) {
	if role := os.Getenv(childEnv); role != "" {
		if err := roles[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
