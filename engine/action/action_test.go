package action_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	. "github.com/airbuild/airbuild/engine/action"
)

var update = flag.Bool("update", false, "rewrite the fixtures")

// A message is a value of any of the types, reduced to what every test needs.
type message struct {
	marshal func() []byte
	value   any
}

// A format is one message type: how it is decoded, and how made at random.
type format struct {
	unmarshal func([]byte) (message, error)
	random    func(*rand.Rand) message
	full      func() message // one value with every field set
}

func of[T interface{ Marshal() []byte }](v T) message { return message{v.Marshal, v} }

func decoder[T interface{ Marshal() []byte }](f func([]byte) (T, error)) func([]byte) (message, error) {
	return func(b []byte) (message, error) {
		v, err := f(b)
		if err != nil {
			return message{}, err
		}
		return of(v), nil
	}
}

var formats = map[string]format{
	"digest": {decoder(UnmarshalDigest),
		func(r *rand.Rand) message { return of(randomDigest(r)) },
		func() message { return of(fixedDigest(1)) }},
	"command": {decoder(UnmarshalCommand),
		func(r *rand.Rand) message { return of(randomCommand(r)) },
		func() message { return of(fullCommand()) }},
	"directory": {decoder(UnmarshalDirectory),
		func(r *rand.Rand) message { return of(randomDirectory(r)) },
		func() message { return of(fullDirectory()) }},
	"tree": {decoder(UnmarshalTree),
		func(r *rand.Rand) message { return of(randomTree(r)) },
		func() message { return of(fullTree()) }},
	"action": {decoder(UnmarshalAction),
		func(r *rand.Rand) message { return of(randomAction(r)) },
		func() message { return of(fullAction()) }},
	"result": {decoder(UnmarshalResult),
		func(r *rand.Rand) message { return of(randomResult(r)) },
		func() message { return of(fullResult()) }},
}

func fixedDigest(n byte) Digest { return Of([]byte{n}) }

func fullCommand() *Command {
	return &Command{
		Arguments:             []string{"go", "build", "-trimpath", "", "./cmd/ü"},
		Env:                   []EnvVar{{"CGO_ENABLED", "0"}, {"GOOS", "linux"}},
		OutputFiles:           []string{"dist/a", "dist/b"},
		OutputDirectories:     []string{"vendor"},
		OutputPaths:           []string{"dist/a", "dist/b", "vendor"},
		Platform:              []Property{{"OSFamily", "linux"}, {"pool", "a"}, {"pool", "b"}},
		WorkingDirectory:      "sub",
		OutputDirectoryFormat: TreeAndDirectory,
	}
}

func fullDirectory() *Directory {
	return &Directory{
		Files:       []FileNode{{"LICENSE", fixedDigest(1), false}, {"build.sh", fixedDigest(2), true}},
		Directories: []DirectoryNode{{"cmd", fixedDigest(3)}},
		Symlinks:    []SymlinkNode{{"README", "README.md"}},
	}
}

// fullTree is a root with a file, a link and a directory that holds a file and
// an empty directory.
func fullTree() *Tree {
	empty := Directory{}
	child := Directory{
		Files:       []FileNode{{"main.go", fixedDigest(5), false}},
		Directories: []DirectoryNode{{"empty", Of(empty.Marshal())}},
	}
	root := *fullDirectory()
	root.Directories = []DirectoryNode{{"cmd", Of(child.Marshal())}}
	return &Tree{Root: root, Children: []Directory{child, empty}}
}

func fullAction() *Action {
	root := fullTree().Root
	return &Action{
		Command:    Of(fullCommand().Marshal()),
		InputRoot:  Of(root.Marshal()),
		Timeout:    90*time.Second + 5,
		DoNotCache: true,
		Salt:       []byte("fact two\twords\ngo\tgo1.26.8\n"),
		Platform:   fullCommand().Platform,
	}
}

func fullResult() *Result {
	return &Result{
		OutputFiles:       []OutputFile{{"dist/a", fixedDigest(1), true}, {"dist/b", fixedDigest(2), false}},
		OutputDirectories: []OutputDirectory{{"vendor", fixedDigest(3), true, fixedDigest(4)}},
		OutputSymlinks:    []OutputSymlink{{"dist/latest", "a"}},
		ExitCode:          -1,
		StdoutRaw:         []byte("out\n"),
		Stdout:            fixedDigest(5),
		StderrRaw:         []byte("err\n"),
		Stderr:            fixedDigest(6),
		Metadata: Metadata{
			Worker:             "local",
			ExecutionStart:     time.Unix(1700000000, 1).UTC(),
			ExecutionCompleted: time.Unix(1700000001, 999999999).UTC(),
			Inputs:             fixedDigest(7),
		},
	}
}

// The random values are already in canonical order, so that decoding gives
// back what was encoded.

func text(r *rand.Rand) string {
	words := []string{"a", "b", "zz", "dist/x", "ü", "with space", strings.Repeat("long", 60)}
	return words[r.IntN(len(words))]
}

func list[T any](r *rand.Rand, one func() T) []T {
	var l []T
	for range r.IntN(4) {
		l = append(l, one())
	}
	return l
}

func texts(r *rand.Rand) []string { return list(r, func() string { return text(r) }) }

func set(r *rand.Rand) []string {
	m := map[string]bool{}
	for _, s := range texts(r) {
		m[s] = true
	}
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

func raw(r *rand.Rand) []byte {
	if r.IntN(2) == 0 {
		return nil
	}
	return []byte(text(r))
}

func randomDigest(r *rand.Rand) Digest {
	d := Digest{Size: r.Int64N(math.MaxInt64)}
	if r.IntN(3) == 0 {
		d.Size = r.Int64N(200)
	}
	for i := range d.Hash {
		d.Hash[i] = byte(r.Uint32())
	}
	return d
}

func maybe(r *rand.Rand) Digest {
	if r.IntN(2) == 0 {
		return Digest{}
	}
	return randomDigest(r)
}

func randomPlatform(r *rand.Rand) []Property {
	var l []Property
	for _, name := range set(r) {
		l = append(l, Property{name, text(r)})
	}
	return l
}

func randomCommand(r *rand.Rand) *Command {
	c := &Command{
		Arguments: texts(r), OutputFiles: set(r), OutputDirectories: set(r), OutputPaths: set(r),
		Platform: randomPlatform(r), OutputDirectoryFormat: DirectoryFormat(r.IntN(3)),
	}
	for _, name := range set(r) {
		c.Env = append(c.Env, EnvVar{name, text(r)})
	}
	if r.IntN(2) == 0 {
		c.WorkingDirectory = text(r)
	}
	return c
}

func names(r *rand.Rand, prefix string) []string {
	var l []string
	for i := range r.IntN(4) {
		l = append(l, fmt.Sprintf("%s%d", prefix, i))
	}
	return l
}

func randomDirectory(r *rand.Rand) *Directory {
	d := new(Directory)
	for _, n := range names(r, "file") {
		d.Files = append(d.Files, FileNode{n, randomDigest(r), r.IntN(2) == 0})
	}
	for _, n := range names(r, "dir") {
		d.Directories = append(d.Directories, DirectoryNode{n, randomDigest(r)})
	}
	for _, n := range names(r, "link") {
		d.Symlinks = append(d.Symlinks, SymlinkNode{n, text(r)})
	}
	return d
}

func randomTree(r *rand.Rand) *Tree {
	t := &Tree{Root: *randomDirectory(r)}
	t.Children = list(r, func() Directory { return *randomDirectory(r) })
	return t
}

func randomAction(r *rand.Rand) *Action {
	return &Action{
		Command: maybe(r), InputRoot: maybe(r),
		Timeout:    []time.Duration{0, 1, -1, time.Hour + 7, -90*time.Minute - 3, 1 << 61}[r.IntN(6)],
		DoNotCache: r.IntN(2) == 0, Salt: raw(r), Platform: randomPlatform(r),
	}
}

func randomTime(r *rand.Rand) time.Time {
	return []time.Time{{}, time.Unix(0, 0).UTC(), time.Unix(-5, 3).UTC(), time.Unix(253402300799, 999999999).UTC()}[r.IntN(4)]
}

func randomResult(r *rand.Rand) *Result {
	x := &Result{
		ExitCode: []int32{0, 1, -1, math.MaxInt32, math.MinInt32}[r.IntN(5)], StdoutRaw: raw(r),
		Stdout: maybe(r), StderrRaw: raw(r), Stderr: maybe(r),
		Metadata: Metadata{ExecutionStart: randomTime(r), ExecutionCompleted: randomTime(r), Inputs: maybe(r)},
	}
	if r.IntN(2) == 0 {
		x.Metadata.Worker = text(r)
	}
	for _, p := range set(r) {
		x.OutputFiles = append(x.OutputFiles, OutputFile{p, randomDigest(r), r.IntN(2) == 0})
	}
	for _, p := range set(r) {
		x.OutputDirectories = append(x.OutputDirectories, OutputDirectory{p, randomDigest(r), r.IntN(2) == 0, maybe(r)})
	}
	for _, p := range set(r) {
		x.OutputSymlinks = append(x.OutputSymlinks, OutputSymlink{p, text(r)})
	}
	return x
}

func TestDecodeEncodeSame(t *testing.T) {
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for i := range 500 {
				m := f.full()
				if i > 0 {
					m = f.random(r)
				}
				got, err := f.unmarshal(m.marshal())
				if err != nil {
					t.Fatalf("value %d: %v\n%+v", i, err, m.value)
				}
				if !reflect.DeepEqual(got.value, m.value) {
					t.Fatalf("value %d:\ngot  %+v\nwant %+v", i, got.value, m.value)
				}
			}
		})
	}
}

// The full values must set every field, or the tests that use them say less
// than they seem to.
func TestFullValuesAreFull(t *testing.T) {
	for name, f := range formats {
		v := reflect.Indirect(reflect.ValueOf(f.full().value))
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s: field %s is not set", name, v.Type().Field(i).Name)
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	for name, f := range formats {
		b := f.full().marshal()
		for i := range b {
			m, err := f.unmarshal(b[:i])
			if err != nil {
				continue
			}
			// A cut between two fields is a shorter message, never this one.
			if again := m.marshal(); !bytes.Equal(again, b[:i]) {
				t.Errorf("%s: first %d bytes decode to something else: %x", name, i, again)
			}
		}
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	unknown := []byte{
		0xa0, 0x06, 0x2a, // 100: varint 42
		0xa9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, // 101: fixed 64
		0xb2, 0x06, 2, 'h', 'i', // 102: bytes
		0xbd, 0x06, 1, 2, 3, 4, // 103: fixed 32
	}
	for name, f := range formats {
		b := f.full().marshal()
		got, err := f.unmarshal(slices.Concat(unknown, b, unknown))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got.marshal(), b) {
			t.Errorf("%s: the known fields changed", name)
		}
	}
}

func TestRefused(t *testing.T) {
	digest := string(fixedDigest(1).Marshal())
	field := func(number byte, body string) string {
		return string([]byte{number<<3 | 2, byte(len(body))}) + body
	}
	tests := []struct{ format, name, input, want string }{
		{"command", "group", "\x0b\x0c", "wire type 3"},
		{"command", "field zero", "\x02\x00", "out of range"},
		{"command", "argument as a number", "\x08\x01", "want 2"},
		{"command", "length over the end", "\x0a\x05ab", "truncated"},
		{"command", "huge length", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "truncated"},
		{"command", "endless varint", "\x48" + strings.Repeat("\xff", 11), "truncated"},
		{"command", "working directory twice", field(6, "a") + field(6, "b"), "twice"},
		{"command", "format too large", "\x48\xff\xff\xff\xff\xff\x01", "32 bits"},
		{"digest", "empty", "", "hash"},
		{"digest", "short hash", field(1, "abc"), "64 lower-case"},
		{"digest", "upper case", field(1, strings.Repeat("A", 64)), "64 lower-case"},
		{"digest", "no hexadecimal", field(1, strings.Repeat("g", 64)), "hash"},
		{"digest", "path", field(1, strings.Repeat("../", 21)+"x"), "hash"},
		{"digest", "negative size", field(1, strings.Repeat("a", 64)) + "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "negative"},
		{"digest", "zero", field(1, strings.Repeat("0", 64)), "no digest"},
		{"directory", "no digest", field(1, field(1, "a")), "no digest"},
		{"directory", "no name", field(1, field(2, digest)), "is not a file name"},
		{"directory", "parent", field(1, field(1, "..")+field(2, digest)), "is not a file name"},
		{"directory", "dot", field(2, field(1, ".")+field(2, digest)), "is not a file name"},
		{"directory", "slash", field(3, field(1, "a/b")+field(2, "x")), "is not a file name"},
		{"directory", "nul", field(3, field(1, "a\x00")+field(2, "x")), "is not a file name"},
		{"directory", "twice", field(1, field(1, "a")+field(2, digest)) + field(3, field(1, "a")+field(2, "x")), "twice"},
		{"tree", "no root", "", "no root"},
		{"tree", "two roots", field(1, "") + field(1, ""), "twice"},
		{"tree", "bad child", field(1, "") + field(2, field(1, field(1, ".."))), "no digest"},
		{"action", "timeout out of range", field(6, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "out of range"},
		{"action", "timeout of two signs", field(6, "\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "out of range"},
		{"action", "nanoseconds of more than a second", field(6, "\x10\x80\x94\xeb\xdc\x03"), "second"},
		{"result", "exit code too large", "\x20\xff\xff\xff\xff\x7f", "32 bits"},
		{"result", "directory without digest", field(3, field(1, "a")), "no digest"},
		{"result", "time out of range", field(9, field(7, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f")), "out of range"},
		{"result", "bad digest in metadata", field(9, field(11, field(1, InputTreeType)+field(2, field(1, "x")))), "hash"},
	}
	for _, tt := range tests {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			m, err := formats[tt.format].unmarshal([]byte(tt.input))
			if err == nil {
				t.Fatalf("decoded to %+v", m.value)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestMarshalSortsCopies(t *testing.T) {
	c := &Command{
		Env:         []EnvVar{{"B", "1"}, {"A", "2"}, {"B", "0"}},
		OutputPaths: []string{"b", "a", "b"},
		Platform:    []Property{{"z", "1"}, {"a", "2"}, {"a", "1"}},
	}
	got, err := UnmarshalCommand(c.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	want := &Command{
		Env:         []EnvVar{{"A", "2"}, {"B", "1"}, {"B", "0"}},
		OutputPaths: []string{"a", "b"},
		Platform:    []Property{{"a", "1"}, {"a", "2"}, {"z", "1"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if c.Env[0].Name != "B" || c.OutputPaths[0] != "b" || c.Platform[0].Name != "z" {
		t.Error("Marshal changed its receiver")
	}

	d := &Directory{Files: []FileNode{{Name: "b", Digest: fixedDigest(1)}, {Name: "B", Digest: fixedDigest(2)}}}
	sorted := &Directory{Files: []FileNode{d.Files[1], d.Files[0]}}
	if !bytes.Equal(d.Marshal(), sorted.Marshal()) {
		t.Error("a directory depends on the order of its nodes")
	}
	if d.Files[0].Name != "b" {
		t.Error("Marshal changed its receiver")
	}
}

// Old servers report links in two other lists.
func TestOlderSymlinkLists(t *testing.T) {
	r, err := UnmarshalResult([]byte("\x52\x06\x0a\x01a\x12\x01b" + "\x5a\x06\x0a\x01c\x12\x01d"))
	if err != nil {
		t.Fatal(err)
	}
	want := []OutputSymlink{{"a", "b"}, {"c", "d"}}
	if !slices.Equal(r.OutputSymlinks, want) {
		t.Errorf("got %v, want %v", r.OutputSymlinks, want)
	}
}

// The fixtures are the bytes of version 1 of every key: what changes them
// makes every cache that anyone carries worthless.
func TestFixtures(t *testing.T) {
	var digests strings.Builder
	orphans, err := filepath.Glob("testdata/*.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(formats)) {
		b := formats[name].full().marshal()
		fmt.Fprintf(&digests, "%s %s\n", Of(b), name)
		path := filepath.Join("testdata", name+".bin")
		orphans = slices.DeleteFunc(orphans, func(s string) bool { return s == path })
		golden(t, path, b)
		frozen, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := formats[name].unmarshal(frozen); err != nil || !reflect.DeepEqual(m.value, formats[name].full().value) {
			t.Errorf("%s: the fixture decodes to %+v, %v", name, m.value, err)
		}
	}
	golden(t, "testdata/digests.txt", []byte(digests.String()))
	if len(orphans) > 0 {
		t.Errorf("fixtures of no message: %q", orphans)
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\ngot  %s\nwant %s", path, hex.EncodeToString(got), hex.EncodeToString(want))
	}
}

func TestParseDigest(t *testing.T) {
	d := fixedDigest(3)
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "/", d.Hex(), d.Hex() + "/", d.Hex() + "/-1", d.Hex() + "/01", d.Hex() + "/+1",
		strings.ToUpper(d.Hex()) + "/1", d.Hex()[1:] + "/1", "../" + d.Hex()[3:] + "/1"} {
		if got, err := ParseDigest(s); err == nil {
			t.Errorf("ParseDigest(%q) = %v", s, got)
		}
	}
}

func fuzz(f *testing.F, name string) {
	b, err := os.ReadFile(filepath.Join("testdata", name+".bin"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := formats[name].unmarshal(b)
		if err != nil {
			return
		}
		canonical := m.marshal()
		again, err := formats[name].unmarshal(canonical)
		if err != nil {
			t.Fatalf("canonical bytes are refused: %v", err)
		}
		if !bytes.Equal(again.marshal(), canonical) {
			t.Fatal("canonical bytes are not stable")
		}
	})
}

func FuzzDigest(f *testing.F)    { fuzz(f, "digest") }
func FuzzCommand(f *testing.F)   { fuzz(f, "command") }
func FuzzDirectory(f *testing.F) { fuzz(f, "directory") }
func FuzzTree(f *testing.F)      { fuzz(f, "tree") }
func FuzzAction(f *testing.F)    { fuzz(f, "action") }
func FuzzResult(f *testing.F)    { fuzz(f, "result") }

func BenchmarkMarshalAction(b *testing.B) {
	a := fullAction()
	b.ReportAllocs()
	for b.Loop() {
		a.Marshal()
	}
}

// A directory of 1,000 files, as a large folder of a project.
func BenchmarkMarshalDirectory(b *testing.B) {
	d := new(Directory)
	for i := range 1000 {
		d.Files = append(d.Files, FileNode{Name: fmt.Sprintf("file%04d.go", i), Digest: fixedDigest(byte(i))})
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Marshal()
	}
}

func TestOfReader(t *testing.T) {
	for _, text := range []string{"", "abc", strings.Repeat("x", 100_000)} {
		got, err := OfReader(strings.NewReader(text))
		if err != nil || got != Of([]byte(text)) {
			t.Errorf("%d bytes: %v, %v, want %v", len(text), got, err, Of([]byte(text)))
		}
	}
	broken := errors.New("broken")
	if _, err := OfReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader that breaks: %v", err)
	}
}
