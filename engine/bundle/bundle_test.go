package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
)

// A tree is the content of components: component to path to content. A path
// that ends in "*" is executable.
type tree map[string]map[string]string

func (x tree) clone() tree {
	y := tree{}
	for c, files := range x {
		y[c] = map[string]string{}
		for p, text := range files {
			y[c][p] = text
		}
	}
	return y
}

func input(path, text string) Input {
	path, executable := strings.CutSuffix(path, "*")
	return Input{Path: path, Executable: executable, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

func (x tree) spec(sequence int64) Spec {
	s := Spec{Name: "yq", Sequence: sequence, Created: time.Unix(1767225600+sequence, 0)}
	for name, files := range x {
		c := Component{Name: name, Plain: strings.HasPrefix(name, "airbuild/"), Metadata: map[string]string{"from": "test"}}
		for p, text := range files {
			c.Files = append(c.Files, input(p, text))
		}
		s.Components = append(s.Components, c)
	}
	return s
}

// noise is text that does not compress, the same for the same seed.
func noise(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// prose is text that compresses.
func prose(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "line %d of the text\n", r.IntN(1000))
	}
	return b.String()[:n]
}

// result is a result of an action with one output, and its paths in actions.
func addResult(files map[string]string, name, output string) {
	d := action.Of([]byte(output))
	r := action.Result{OutputFiles: []action.OutputFile{{Path: name, Digest: d}}}
	files["cas/"+d.Hex()] = output
	files["ac/"+action.Of([]byte(name)).Hex()] = string(r.Marshal())
}

func sample() tree {
	x := tree{
		"airbuild/linux-amd64": {"airbuild*": noise(1, 70000)},
		"source": {
			"go.mod": "module example.org/m\n", "main.go": prose(2, 5000), "run.sh*": "#!/bin/sh\n", "empty": "",
			"sub/ä/größe.txt": "size", "copy": prose(2, 5000),
		},
		"modules":   {"example.org/x/@v/v1.0.0.zip": "PK\x03\x04" + noise(3, 1<<20+4321), "example.org/x/@v/v1.0.0.mod": "module example.org/x\n"},
		"artifacts": {"m_linux_amd64*": prose(4, 2<<20+99)},
		"actions":   {},
	}
	addResult(x["actions"], "bin/m", prose(4, 2<<20+99))
	addResult(x["actions"], "bin/n", prose(5, 777))
	return x
}

func testKey(t testing.TB, seed uint64) *sign.SecretKey {
	t.Helper()
	k, err := sign.Generate(strings.NewReader(noise(seed, 4096)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func makeBundle(t testing.TB, dir string, s Spec, o CreateOptions, keys ...*sign.SecretKey) *format.Root {
	t.Helper()
	if _, err := Create(t.Context(), dir, s, o); err != nil {
		t.Fatal(err)
	}
	r, err := Seal(t.Context(), dir, SealOptions{Keys: keys, Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var anyone = Trust{AllowUnsigned: true}

func openBundle(t testing.TB, trust Trust, paths ...string) *Bundle {
	t.Helper()
	b, err := Open(t.Context(), trust, paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A host is a cache directory with sinks.
type host struct {
	t     testing.TB
	cache string
	store *store.Disk
	scope store.Scope
	work  string
	sinks map[string]Sink
}

func newHost(t testing.TB) *host {
	h, err := openHost(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func openHost(t testing.TB, dir string) (*host, error) {
	h := &host{t: t, cache: filepath.Join(dir, "cache"), work: filepath.Join(dir, "work"), sinks: map[string]Sink{}}
	var err error
	if h.store, err = store.Open(h.cache); err != nil {
		return nil, err
	}
	if t != nil {
		t.Cleanup(func() { h.store.Close() })
	}
	return h, nil
}

func (h *host) sink(component string) (Sink, error) {
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
	if s, ok := h.sinks[at]; ok {
		return s, nil
	}
	var s Sink
	var err error
	switch kind {
	case "actions", "gocache":
		s = NewStoreSink(h.store, h.scope)
	case "modules", "sumdb", "toolchain":
		s, err = NewDirSink(filepath.Join(h.cache, "carried", "goproxy"), DirOptions{})
	case "airbuild":
		s, err = NewDirSink(filepath.Join(h.cache, "carried", "airbuild", rest), DirOptions{})
	case "source":
		var d *DirSink
		if d, err = NewDirSink(filepath.Join(h.work, "source"), DirOptions{}); err == nil {
			s = NewKeepSink(d, h.store)
		}
	default:
		s, err = NewDirSink(filepath.Join(h.work, component), DirOptions{})
	}
	if err == nil {
		h.sinks[at] = s
	}
	return s, err
}

func (h *host) dir(component string) string {
	s, err := h.sink(component)
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Dir()
}

func (h *host) tryImport(b *Bundle) (*Imported, error) {
	return Import(context.Background(), b, ImportOptions{Cache: h.cache, Sink: h.sink, Actor: "test", Time: time.Unix(1767225600, 0)})
}

func (h *host) imports(b *Bundle) *Imported {
	h.t.Helper()
	done, err := h.tryImport(b)
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

// check compares what the host has with x.
func (h *host) check(x tree) {
	h.t.Helper()
	for c, files := range x {
		for p, want := range files {
			p, executable := strings.CutSuffix(p, "*")
			s, err := h.sink(c)
			if err != nil {
				h.t.Fatal(err)
			}
			f := format.File{Path: p, Executable: executable, Digest: action.Of([]byte(want))}
			if ok, err := s.Has(context.Background(), f, false); !ok || err != nil {
				h.t.Errorf("%s %s: %v, %v", c, p, ok, err)
			}
		}
	}
}

func readTree(t testing.TB, dir string) map[string]string {
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

func sameTree(t testing.TB, a, b string) {
	t.Helper()
	x, y := readTree(t, a), readTree(t, b)
	for name := range x {
		if x[name] != y[name] {
			t.Errorf("%s differs or is missing", name)
		}
	}
	if len(x) != len(y) {
		t.Errorf("%d files and %d", len(x), len(y))
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, pack := range []int64{0, 300000, 1000001} {
		t.Run(fmt.Sprint(pack), func(t *testing.T) {
			dir, k, x := t.TempDir(), testKey(t, 1), sample()
			makeBundle(t, dir, x.spec(1), CreateOptions{PackSize: pack}, k)
			b := openBundle(t, Trust{Keys: []sign.PublicKey{k.Public()}}, dir)
			r, err := b.Verify(t.Context(), VerifyOptions{Deep: true})
			if err != nil || !r.OK() || len(r.Custody) != 1 || r.Custody[0].Kind != custody.Created || len(r.Custody[0].Signers) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			for c, files := range x {
				for p, want := range files {
					p, executable := strings.CutSuffix(p, "*")
					f, ok := b.Find(c, p)
					if !ok || f.Executable != executable {
						t.Fatalf("%s %s: %v %+v", c, p, ok, f)
					}
					rd, err := b.OpenFile(t.Context(), f)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(rd)
					if err != nil || string(got) != want {
						t.Errorf("%s %s: %d bytes, %v", c, p, len(got), err)
					}
					rd.Close()
				}
			}
			h := newHost(t)
			if done := h.imports(b); done.Files == 0 || done.Already {
				t.Errorf("%+v", done)
			}
			h.check(x)
			if done := h.imports(b); !done.Already || done.Files != 0 {
				t.Errorf("again: %+v", done)
			}
			list, err := ListCarried(h.cache)
			if err != nil || len(list) != 1 || list[0].Digest != b.Digest() {
				t.Errorf("%+v, %v", list, err)
			}
			log, err := os.ReadFile(custody.File(h.cache))
			if err != nil {
				t.Fatal(err)
			}
			events, err := custody.Read(bytes.NewReader(log))
			if err != nil || len(events) != 1 || events[0].Subject != "sha256:"+b.Digest() {
				t.Errorf("%+v, %v", events, err)
			}
		})
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	x, k := sample(), testKey(t, 1)
	a, b, c := t.TempDir(), t.TempDir(), t.TempDir()
	for i, dir := range []string{a, b, c} {
		s := x.spec(1)
		for j := range s.Components {
			rand.Shuffle(len(s.Components[j].Files), func(p, q int) {
				f := s.Components[j].Files
				f[p], f[q] = f[q], f[p]
			})
		}
		makeBundle(t, dir, s, CreateOptions{PackSize: 400000, Jobs: 1 + 3*i}, k)
	}
	sameTree(t, a, b)
	sameTree(t, a, c)
	before := readTree(t, a)
	if _, err := Create(t.Context(), a, x.spec(1), CreateOptions{PackSize: 400000}); err != nil {
		t.Fatal(err)
	}
	if after := readTree(t, a); !slices.Equal(sortedKeys(before), sortedKeys(after)) {
		t.Error("creating the same bundle again changed it")
	}
	if _, err := Create(t.Context(), a, x.spec(2), CreateOptions{}); err == nil || !strings.Contains(err.Error(), "another bundle is there already") {
		t.Errorf("another bundle in its place: %v", err)
	}
	makeBundle(t, a, x.spec(2), CreateOptions{PackSize: 400000, Replace: true}, k)
	fresh := t.TempDir()
	makeBundle(t, fresh, x.spec(2), CreateOptions{PackSize: 400000}, k)
	sameTree(t, a, fresh)
}

func sortedKeys(m map[string]string) []string {
	var list []string
	for k, v := range m {
		list = append(list, k+"\x00"+v)
	}
	slices.Sort(list)
	return list
}
