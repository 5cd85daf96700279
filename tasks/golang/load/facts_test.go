package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What was written is read again, and nothing else is looked at.
func TestFactsAreRemembered(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{"p/go.mod": "module m\n\ngo 1.26\n", "p/a.go": "package m\n\nimport _ \"m.x/b\"\n", "p/b/b.go": "package b\n"})
	tree(t, dir, map[string]string{"p/go.mod": "module m.x\n\ngo 1.26\n", "p/x_test.go": "package m_test\n", "p/c.go": "//go:build foo\n\npackage m\n"})
	q := newQuery(t, filepath.Join(dir, "p"), "linux/amd64", "./...")
	path := filepath.Join(dir, "state", "facts")
	facts := OpenFacts(path)
	cold := &counting{}
	want, err := Load(q, cold, facts)
	if err != nil {
		t.Fatal(err)
	}
	if err := facts.Save(); err != nil {
		t.Fatal(err)
	}
	warm := &counting{}
	got, err := Load(q, warm, OpenFacts(path))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s, want %s", show(got), show(want))
	}
	// go.mod and go.sum are the only files that are read each time.
	for _, name := range warm.read {
		if base := filepath.Base(name); base != "go.mod" && base != "go.sum" {
			t.Errorf("read again: %s", name)
		}
	}
	if len(cold.read) < 5 {
		t.Errorf("read at first: %v", cold.read)
	}
	tree(t, dir, map[string]string{"p/a.go": "package m\n"})
	third := &counting{}
	if _, err := Load(q, third, OpenFacts(path)); err != nil {
		t.Fatal(err)
	}
	if n := len(third.read) - len(warm.read); n != 1 {
		t.Errorf("%d files read after an edit of one: %v", n, third.read)
	}
}

// counting is a Source that notes what is read.
type counting struct {
	disk
	mu   sync.Mutex
	read []string
}

func (c *counting) ReadFile(name string) ([]byte, error) {
	c.mu.Lock()
	c.read = append(c.read, name)
	c.mu.Unlock()
	return c.disk.ReadFile(name)
}

// With a Source that gives what it hashed, a project that is new to the host is
// read once, and of GOROOT, which its packages only import, names alone and the
// toolchain's tables.
func TestNewFilesAreReadOnce(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"go.mod": "module m.x\n\ngo 1.26\n", "a.go": "package m\n\nimport (\n\t_ \"m.x/b\"\n\t_ \"m.x/c\"\n\t_ \"net/http\"\n)\n",
		"b/b_windows.go": "package b\n", "b/tagged.go": "//go:build never\n\npackage b\n",
	}
	for i := range 8 {
		files[fmt.Sprintf("b/b%d.go", i)] = fmt.Sprintf("package b\n\nvar B%d int\n", i)
		files[fmt.Sprintf("c/c%d.go", i)] = fmt.Sprintf("package c\n\nimport _ \"m.x/b\"\n\nvar C%d int\n", i)
	}
	tree(t, dir, files)
	q := newQuery(t, dir, "linux/amd64", ".")
	q.Std = false
	src := &contents{}
	r, err := Load(q, src, OpenFacts(filepath.Join(t.TempDir(), "facts")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range src.read {
		_, table := below(filepath.Join(q.GOROOT, "src", "internal"), name) // what the toolchain knows of platforms
		if base := filepath.Base(name); !slices.Contains([]string{"go.mod", "go.sum", "go.env", "VERSION"}, base) && !table {
			t.Errorf("read apart from its digest: %s", name)
		}
	}
	if len(src.read) > 8 {
		t.Errorf("read: %v", src.read)
	}
	for name, n := range src.asked {
		if n != 1 {
			t.Errorf("asked for %d times: %s", n, name)
		}
	}
	if want := 1 + 8 + 8 + 1; len(src.asked) != want {
		t.Errorf("%d files were asked for, not %d: %v", len(src.asked), want, src.asked)
	}
	if want := map[string]bool{filepath.Join(dir, "b", "b_windows.go"): true}; !reflect.DeepEqual(r.NotRead, want) {
		t.Errorf("not read: %v, want %v", r.NotRead, want)
	}
	var ignored []string
	for _, p := range r.Packages {
		ignored = append(ignored, p.IgnoredGoFiles...)
	}
	if want := []string{"b_windows.go", "tagged.go"}; !reflect.DeepEqual(ignored, want) {
		t.Errorf("ignored: %v, want %v", ignored, want)
	}
}

// contents is a Content that counts.
type contents struct {
	counting
	asked map[string]int
}

func (c *contents) Content(name string, buf []byte) (string, []byte, error) {
	b, err := os.ReadFile(name)
	b = append(buf[:0], b...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	c.asked[name]++
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), b, err
}

func TestFactsSurviveDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	write := func() {
		f := OpenFacts(path)
		for _, v := range []string{"one", "two", "three"} {
			if k := makeKey('x', v); f.get(k) == "" {
				f.put(k, []byte(v))
			}
		}
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
	}
	write()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, damaged := range [][]byte{whole[:i], append(append([]byte{}, whole[:i]...), append([]byte{whole[i] ^ 0x40}, whole[i+1:]...)...)} {
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			f := OpenFacts(path)
			for _, v := range []string{"one", "two", "three"} {
				if got := f.get(makeKey('x', v)); got != "" && got != v {
					t.Fatalf("byte %d: got %q for %q", i, got, v)
				}
			}
		}
		write()
		if f := OpenFacts(path); f.get(makeKey('x', "three")) != "three" || f.rewrite {
			t.Fatalf("byte %d: not mended", i)
		}
	}
}

// Two writers that do not know of each other lose nothing that matters.
func TestFactsTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	first := OpenFacts(path)
	first.put(makeKey('x', "0"), []byte("0"))
	if err := first.Save(); err != nil {
		t.Fatal(err)
	}
	a, b := OpenFacts(path), OpenFacts(path)
	a.put(makeKey('x', "a"), []byte("a"))
	b.put(makeKey('x', "b"), []byte("b"))
	for _, f := range []*Facts{a, b} {
		if err := f.Save(); err != nil {
			t.Fatal(err)
		}
	}
	f := OpenFacts(path)
	for _, v := range []string{"0", "a", "b"} {
		if f.get(makeKey('x', v)) != v {
			t.Errorf("%s is lost", v)
		}
	}
}

// The bytes of version 1: a change of them needs another version.
func TestFactsFormat(t *testing.T) {
	fact := &fact{constraint: "//go:build x", plus: []string{"p"}, pkg: "p", imports: []string{"a", "b"}, cgo: []string{"#cgo c"}, embeds: []string{"e"}, debug: []string{"d"}}
	const wantFact = "00" + "0c2f2f676f3a6275696c642078" + "010170" + "0170" + "0201610162" + "010623" + "63676f2063" + "010165" + "010164"
	if got := hex.EncodeToString(encodeFact(fact)); got != wantFact {
		t.Errorf("fact: got %s, want %s", got, wantFact)
	}
	back, ok := decodeFact(string(encodeFact(fact)))
	if !ok || !reflect.DeepEqual(back, fact) {
		t.Errorf("decoded %+v", back)
	}
	got := hex.EncodeToString(appendRecord(nil, key{'g', 1, 2}, "value"))
	const want = "f1da5a0f" + "670102" + "000000000000000000000000000000000000000000" + "05" + "76616c7565"
	if got != want {
		t.Errorf("record: got %s, want %s", got, want)
	}
	if !strings.HasPrefix(factsHeader(), "airbuild facts 2 go") {
		t.Errorf("header: %s", factsHeader())
	}
}

func FuzzFacts(f *testing.F) {
	head := factsHeader()
	f.Add([]byte(head))
	f.Add(appendRecord([]byte(head), key{'g'}, string(encodeFact(&fact{pkg: "p", imports: []string{"a"}}))))
	f.Add(appendRecord([]byte(head), key{'d'}, string(encodeEntries([]entry{{name: "a.go", fact: "x"}}))))
	f.Add([]byte(head + "damaged"))
	f.Fuzz(func(t *testing.T, b []byte) {
		known, whole := decodeFacts(string(b))
		if !whole {
			return
		}
		again := []byte(head)
		for k, v := range known {
			again = appendRecord(again, k, v)
		}
		if back, ok := decodeFacts(string(again)); !ok || !reflect.DeepEqual(back, known) {
			t.Errorf("not the same again")
		}
	})
}

func FuzzValues(f *testing.F) {
	f.Add(string(encodeFact(&fact{pkg: "p", imports: []string{"a"}})))
	f.Add(string(encodeEntries([]entry{{name: "a.go", fact: "x"}, {name: "d", kind: isDir}})))
	f.Add(string(encodeGoMod(&goMod{path: "m"})))
	f.Add("\xff\xff\xff\xff\x0f")
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := decodeFact(s); ok {
			if back, ok := decodeFact(string(encodeFact(v))); !ok || !reflect.DeepEqual(back, v) {
				t.Errorf("fact %+v became %+v", v, back)
			}
		}
		if v, ok := decodeEntries(s); ok {
			if back, ok := decodeEntries(string(encodeEntries(v))); !ok || !reflect.DeepEqual(back, v) {
				t.Errorf("entries %+v became %+v", v, back)
			}
		}
		if v, ok := decodeGoMod(s); ok {
			if back, ok := decodeGoMod(string(encodeGoMod(v))); !ok || !reflect.DeepEqual(back, v) {
				t.Errorf("go.mod %+v became %+v", v, back)
			}
		}
		decodeToolchain(s)
	})
}

// The buffer that a text was read into is used again.
func TestFactsDoNotPointIntoTheText(t *testing.T) {
	text := []byte("// Copyright\n\n//go:build linux && !never\n\n//go:debug panicnil=1\npackage main\n\n// #cgo LDFLAGS: -lm\nimport \"C\"\n\nimport (\n\t_ \"embed\"\n\t\"fmt\"\n)\n\n//go:embed a/*.txt b\nvar _ string\n")
	f := scanGo(text)
	want := encodeFact(f)
	for i := range text {
		text[i] = 'x'
	}
	if got := encodeFact(f); !bytes.Equal(got, want) {
		t.Errorf("it says %q, and said %q", got, want)
	}
	if len(f.imports) != 3 || len(f.cgo) != 1 || len(f.embeds) != 2 || len(f.debug) != 1 || f.constraint == "" {
		t.Errorf("it says too little: %q", want)
	}
	other := []byte("// +build linux\n\n// +build arm64\n\nTEXT x(SB)\n")
	f = scanOther(other)
	want = encodeFact(f)
	clear(other)
	if got := encodeFact(f); !bytes.Equal(got, want) || len(f.plus) != 2 {
		t.Errorf("it says %q, and said %q", got, want)
	}
}

// Whoever claims a directory, it may be asked for again.
func TestAheadIsTakenTwice(t *testing.T) {
	for range 200 {
		a := newAhead(func(string, []entry) []*fact { return []*fact{{pkg: "p"}} })
		for range 2 {
			a.begin("d", nil)
			for range 3 {
				if known, ok := a.take("d"); ok && known[0].pkg != "p" {
					t.Fatalf("took %v", known)
				}
			}
		}
		a.end()
	}
}
