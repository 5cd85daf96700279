package gobinary

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func self(t *testing.T) []byte {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tarOf(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func with(t *testing.T, content []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, 1) }

func ar(name string, content []byte) []byte {
	b := []byte("!<arch>\n" + fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", "debian-binary", 0, 0, 0, "100644", 3) + "2.0\n")
	b = append(b, fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(content))...)
	return append(b, content...)
}

func TestFind(t *testing.T) {
	program := self(t)
	in := tarOf(t, "./usr/bin/app", program)
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	w, err := z.Create("app.exe")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(program)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	hex := strings.Repeat("0a", 32)
	for _, tt := range []struct {
		name  string
		bytes []byte
		path  string
	}{
		{"app", program, ""},
		{"a.tar", in, "usr/bin/app"},
		{"a.tar.gz", with(t, in, gz), "usr/bin/app"},
		{"a.tar.zst", with(t, in, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }), "usr/bin/app"},
		{"a.tar.xz", with(t, in, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }), "usr/bin/app"},
		{"a.zip", zipped.Bytes(), "app.exe"},
		{"a.deb", ar("data.tar.gz", with(t, in, gz)), "usr/bin/app"},
		{"image.tar", tarOf(t, "blobs/sha256/"+hex, with(t, in, gz)), "usr/bin/app"},
		{"docker.tar", tarOf(t, hex+".tar.gz", with(t, in, gz)), "usr/bin/app"},
		{"text", []byte("text"), "-"},
		{"empty", nil, "-"},
		{"elf", []byte("\x7fELF and no more"), "-"},
	} {
		f, err := Find(t.Context(), fstest.MapFS{tt.name: {Data: tt.bytes}}, tt.name)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := "-"
		if len(f.Programs) == 1 {
			got = f.Programs[0].Path
		}
		if got != tt.path || f.Size != int64(len(tt.bytes)) || len(f.SHA256) != 64 {
			t.Errorf("%s: %q, want %q; %d bytes", tt.name, got, tt.path, f.Size)
		}
	}
}

func TestBroken(t *testing.T) {
	in := tarOf(t, "app", []byte("x"))
	for name, b := range map[string][]byte{
		"gzip": with(t, in, gz)[:20], "zip": []byte("PK\x03\x04 and no more"), "ar": append([]byte("!<arch>\n"), make([]byte, 60)...),
	} {
		if _, err := Find(t.Context(), fstest.MapFS{name: {Data: b}}, name); err == nil || !strings.Contains(err.Error(), "look into "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, fstest.MapFS{"a": {}}, "a"); err == nil {
		t.Error("it does not stop")
	}
	s := &search{ctx: t.Context(), left: 10}
	if err := s.look("", bytes.NewReader(in), 0); err == nil || !strings.Contains(err.Error(), "too much") {
		t.Errorf("a bomb: %v", err)
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte("!<arch>\n"))
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add(ar("data.tar", []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &search{ctx: t.Context(), left: 1 << 20}
		_ = s.look("", bytes.NewReader(b), 0)
	})
}

func TestModules(t *testing.T) {
	p := Program{Info: &debug.BuildInfo{GoVersion: "go1.26.8 X:none", Deps: []*debug.Module{
		{Path: "example.com/B", Version: "v1.0.0+incompatible"},
		{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0", Sum: "h1:f"}},
		{Path: "example.com/local", Version: "v1.0.0", Replace: &debug.Module{Path: "../local"}},
		{Path: "example.com/local2", Version: "v0.0.0", Replace: &debug.Module{Path: "./local2", Version: "(devel)"}},
		{Path: "example.com/used", Version: "(devel)"}, // by go.work
	}}}
	sums, err := Sums(fstest.MapFS{"go.sum": {Data: []byte("example.com/B v1.0.0+incompatible h1:b\nexample.com/B v1.0.0+incompatible/go.mod h1:c\nnonsense\n")}}, "go.sum", "go.work.sum")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range p.Modules(sums) {
		got = append(got, strings.Join([]string{m.PURL(), m.Sum, m.Replaces}, " "))
	}
	const want = "pkg:golang/example.com/b@v1.0.0%2Bincompatible h1:b |pkg:golang/example.com/fork@v2.0.0 h1:f example.com/a@v1.0.0|pkg:golang/example.com/local  example.com/local@v1.0.0|pkg:golang/example.com/local2  example.com/local2@v0.0.0|pkg:golang/example.com/used  "
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	if g := p.Go(); g.Version != "1.26.8" {
		t.Errorf("%+v", g)
	}
}
