package scaffold

import (
	"os"
	"path/filepath"
	"testing"
)

// files makes files in a directory, by name and content.
func files(t *testing.T, namesAndTexts ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(namesAndTexts); i += 2 {
		file := filepath.Join(dir, filepath.FromSlash(namesAndTexts[i]))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(namesAndTexts[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestModuleAbove(t *testing.T) {
	dir := files(t, "go.work", "", "mod/go.mod", "module m\n", "mod/sub/deep/x", "")
	for at, want := range map[string]string{"mod/sub/deep": "mod", "mod/sub": "mod", "mod": ".", "mod/../other": "."} {
		if got := ModuleAbove(filepath.Join(dir, at)); got != filepath.Join(dir, want) {
			t.Errorf("above %s: got %q, want %s", at, got, want)
		}
	}
}

func TestIgnoresDist(t *testing.T) {
	for text, want := range map[string]bool{
		"/dist/\n": true, "x\ndist": true, "dist/*\r\n": true, "# dist\n": false, "!dist\n": false, "distribution\n": false, "": false,
	} {
		if got := IgnoresDist(files(t, ".gitignore", text)); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
	if IgnoresDist(t.TempDir()) {
		t.Error("without a .gitignore")
	}
}

// Without any Go on PATH what is asked for is what the file pins.
func TestPinGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	env := map[string]string{"GOTOOLCHAIN": "local", "GOMODCACHE": t.TempDir(), "GOPATH": t.TempDir(), "HOME": t.TempDir()}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, test := range []struct{ text, version string }{
		{"module m\n", ""},
		{"module m\n\ngo 1.93.0\n", "1.93.0"},
		{"module m\n\ngo 1.93.0\n\ntoolchain go1.93.4\n", "1.93.4"},
	} {
		f := &Facts{}
		if err := f.PinGo(files(t, "go.mod", test.text), lookup); err != nil {
			t.Fatal(err)
		}
		if f.Go != test.version || (f.Asked == "") != (f.Go == "") {
			t.Errorf("%q: got %q, asked by %q", test.text, f.Go, f.Asked)
		}
	}
}
