package bytediff

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type entry struct {
	name, text string
	mode       int64
	uid        int
	at         time.Time
}

func tarOf(t *testing.T, list ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range list {
		h := &tar.Header{Name: e.name, Size: int64(len(e.text)), Mode: e.mode, Uid: e.uid, ModTime: e.at, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(e.text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(b []byte, at time.Time) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.ModTime = at
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zipOf(t *testing.T, name string, content []byte, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Modified: at})
	if err != nil {
		t.Fatal(err)
	}
	f.Write(content)
	w.Close()
	return b.Bytes()
}

func TestCompare(t *testing.T) {
	day, next := time.Unix(1767225600, 0), time.Unix(1767312000, 0)
	e := entry{"bin/tool", "same", 0o755, 0, day}
	with := func(f func(*entry)) entry { c := e; f(&c); return c }
	plain := tarOf(t, e)
	known := []Known{{"the project's path", []string{"/a/one"}, []string{"/b/two"}}}
	for _, c := range []struct {
		name       string
		a, b       []byte
		want, says string
	}{
		{"mtime", plain, tarOf(t, with(func(e *entry) { e.at = next })), "member bin/tool: mtime", "keeps file times"},
		{"mode", plain, tarOf(t, with(func(e *entry) { e.mode = 0o700 })), `member bin/tool: mode: "0755", and "0700"`, "umask"},
		{"owner", plain, tarOf(t, with(func(e *entry) { e.uid = 1000 })), `member bin/tool: owner: "0:0", and "1000:0"`, "who built"},
		{"order", tarOf(t, e, entry{name: "b"}), tarOf(t, entry{name: "b"}, e), "order of members", "order is not fixed"},
		{"missing", tarOf(t, e, entry{name: "b"}), plain, "member b: only in the first", ""},
		{"added", plain, tarOf(t, e, entry{name: "b"}), "member b: only in the second", ""},
		{"content", plain, tarOf(t, with(func(e *entry) { e.text = "sane" })), "member bin/tool: line 1, column 3: text", ""},
		{"gzip time", gz(plain, day), gz(plain, next), "gzip mtime", "gzip -n"},
		{"nested", zipOf(t, "in.tar.gz", gz(plain, day), day), zipOf(t, "in.tar.gz", gz(tarOf(t, with(func(e *entry) { e.text = "/b/two/x" })), day), day),
			"member in.tar.gz: member bin/tool: line 1", "the project's path"},
		{"text", []byte("a\nb\nbuilt at 2026-01-01T00:00:00Z\n"), []byte("a\nb\nbuilt at 2027-02-01T00:00:09Z\n"), "line 3, column 13: text", "a time of day"},
		{"epoch", []byte("x=1767225600\n"), []byte("x=1801785600\n"), "line 1", "seconds since 1970"},
		{"path", []byte("at /a/one/main.go\n"), []byte("at /b/two/main.go\n"), "line 1, column 5", "the project's path"},
		{"lines in another order", []byte("a,\nb,\nc\n"), []byte("b,\na,\nc\n"), "line 1", "order is not fixed"},
		{"last line of the list", []byte("a,\nb,\nc\n"), []byte("a,\nc,\nb\n"), "line 2", "order is not fixed"},
		{"json value", []byte(`{"a":[1,{"t":"2026-01-01"}]}`), []byte(`{"a":[1,{"t":"2026-01-02"}]}`), "at $.a[1].t: value", "a time of day"},
		{"json order of keys", []byte(`{"a":1,"b":2}`), []byte(`{"b":2,"a":1}`), "order of keys", "order is not fixed"},
		{"json list", []byte(`["x","y"]`), []byte(`["y","x"]`), "at $: order", "order is not fixed"},
		{"bytes", []byte("\x00\x01\x02\xff\xfe"), []byte("\x00\x01\x03\xff\xfe"), "content from byte 2", ""},
		{"uuid", []byte("id 6f1c2d3e-0000-4000-8000-0123456789ab"), []byte("id 7f1c2d3e-0000-4000-8000-0123456789ab"), "line 1", "random identifier"},
		{"address", []byte("p 0xc000012345"), []byte("p 0xc000054321"), "line 1", "memory address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := Compare(c.a, c.b, known)
			if len(out) == 0 || !strings.Contains(out[0].String(), c.want) || !strings.Contains(out[0].Cause, c.says) {
				t.Errorf("got %v (%+v), want %q because of %q", out, out, c.want, c.says)
			}
			if same := Compare(c.a, c.a, known); len(same) != 0 {
				t.Errorf("equal files differ: %v", same)
			}
		})
	}
}

func TestPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles programs for several platforms")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/m\ngo 1.26\n")
	write("main.go", "package main\nvar stamp string\nfunc main() { println(stamp, \"marker\") }\n")
	build := func(goos, out string, flags ...string) []byte {
		cmd := exec.Command("go", append([]string{"build", "-trimpath", "-buildvcs=false", "-o", out}, flags...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		b, err := os.ReadFile(filepath.Join(dir, out))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a := build("linux", "a", "-ldflags=-X main.stamp=2026-01-01T00:00:00Z")
	b := build("linux", "b", "-ldflags=-X main.stamp=2027-07-07T00:00:00Z")
	out := Compare(a, b, nil)
	text := ""
	for _, d := range out {
		text += d.String() + " (" + d.Cause + ")\n"
	}
	for _, want := range []string{"ELF section .rodata", "2026-01-01", "a time of day", "build ID"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not told in\n%s", want, text)
		}
	}
	tagged := Compare(build("linux", "c"), build("linux", "d", "-tags=extra"), nil)
	if len(tagged) == 0 || !strings.Contains(tagged[0].String(), "Go build info: line") || !strings.Contains(tagged[0].String(), "-tags=extra") {
		t.Errorf("the build tag is not told: %v", tagged)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add([]byte("!<arch>\nx"), []byte("!<arch>\ny"))
	f.Add([]byte("PK\x05\x06"), []byte("PK\x05\x07"))
	f.Add([]byte("{}"), []byte("[1]"))
	f.Add([]byte("\x7fELF"), []byte("\x7fELF\x02"))
	f.Add([]byte("a\nb\n"), []byte("b\na\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if out := Compare(a, b, nil); (len(out) == 0) != bytes.Equal(a, b) {
			t.Errorf("%d differences of %q and %q", len(out), a, b)
		}
	})
}

func (d Difference) String() string {
	var b strings.Builder
	for _, w := range d.Where {
		b.WriteString(w + ": ")
	}
	b.WriteString(d.What)
	if d.Offset >= 0 {
		fmt.Fprintf(&b, " from byte %d", d.Offset)
	}
	if d.Old != "" || d.New != "" {
		fmt.Fprintf(&b, ": %q, and %q", d.Old, d.New)
	}
	return b.String()
}
