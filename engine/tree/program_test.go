package tree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTreeOf(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("GOPATH", filepath.Join(home, "gopath"))
	for program, want := range map[string]string{
		"/opt/node/bin/node": "/opt/node", "/opt/node/libexec/x": "/opt/node", "/opt/kit/tool": "/opt/kit",
		"/usr/bin/gcc": "", "/bin/sh": "", "/usr/lib/jvm/java/bin/java": "", "/nix/store/x/bin/y": "", "/usrx/y/bin/z": "/usrx/y",
		"/usr/local/bin/x": "", "/usr/local/kit/bin/x": "/usr/local/kit", "/usr/local/lib/x": "",
		"/opt/tool": "", "/tool": "", "/opt/bin/tool": "",
		home + "/bin/x": "", home + "/x": "", home + "/.local/bin/x": "", home + "/.cargo/bin/x": "", home + "/gopath/bin/x": "", home + "/go/bin/x": "",
		home + "/node/bin/node": home + "/node", home + "/.local/share/venvs/x/bin/x": home + "/.local/share/venvs/x",
	} {
		got, ok := TreeOf(filepath.FromSlash(program))
		if filepath.ToSlash(got.Dir) != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", program, got.Dir, ok)
		}
	}
}

func TestProgramTree(t *testing.T) {
	w := project(t, map[string]string{"x": "x"})
	dir := filepath.Join(t.TempDir(), "kit")
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		at := filepath.Join(dir, name)
		os.Remove(at)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o777), os.WriteFile(at, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("bin/tool", "tool", 0o777)
	write("lib/data", "one", 0o666)
	kit := ProgramTree{dir}
	digest := func() string {
		t.Helper()
		d, err := kit.Digest(w.Fresh())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	seen := map[string]string{digest(): "at first"}
	for _, edit := range []struct {
		name string
		do   func()
	}{
		{"content of the same length", func() { write("lib/data", "two", 0o666) }},
		{"a file more", func() { write("lib/.hidden", "", 0o666) }},
		{"a file less", func() { os.Remove(filepath.Join(dir, "lib/.hidden")); write("lib/data", "three", 0o666) }},
		{"an executable one", func() { write("lib/data", "three", 0o777) }},
		{"a directory", func() { os.Mkdir(filepath.Join(dir, "empty"), 0o777) }},
		{"a link", func() { os.Symlink("data", filepath.Join(dir, "lib/link")) }},
		{"its target", func() {
			os.Remove(filepath.Join(dir, "lib/link"))
			os.Symlink("nothing", filepath.Join(dir, "lib/link"))
		}},
		{"a name", func() { os.Rename(filepath.Join(dir, "lib/data"), filepath.Join(dir, "lib/date")) }},
	} {
		edit.do()
		d := digest()
		if before := seen[d]; before != "" {
			t.Errorf("%s: the digest is the one %s", edit.name, before)
		}
		seen[d] = "after " + edit.name
	}
	if _, err := kit.State(); err == nil {
		t.Error("what has just changed has a state to rely on")
	}
	time.Sleep(2 * racyFine)
	a, err := kit.State()
	b, again := kit.State()
	if a != b || err != nil || again != nil {
		t.Errorf("%s, %v; %s, %v", a, err, b, again)
	}
	write("lib/date", "three", 0o777)
	if c, err := kit.State(); err == nil && c == a {
		t.Error("a file that was written again looks the same")
	}
}
