package gocmd

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o777), os.WriteFile(at, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRequired(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"one/go.mod":         "module one\n\ngo 1.25.3\n",
		"one/below/x.go":     "package below\n",
		"two/go.mod":         "module two\n\ngo 1.26\n\ntoolchain go1.27.3\n",
		"lower/go.mod":       "module lower\n\ngo 1.27.1\n\ntoolchain go1.27.0\n",
		"work/go.work":       "go 1.27.2\n\nuse ./m\n",
		"work/m/go.mod":      "module m\n\ngo 1.24\n",
		"work/used/go.mod":   "module used\n\ngo 1.99\n",
		"broken/go.mod":      "module\nmodule\n((\n",
		"none/x":             "",
		"plain/go.mod":       "module plain\n",
		"directory/go.mod/x": "",
	})
	for _, tt := range []struct{ dirs, gowork, want, line string }{
		{"one", "", "go1.25.3", "go 1.25.3"},
		{"one/below", "", "go1.25.3", "go 1.25.3"},
		{"two", "", "go1.27.3", "toolchain go1.27.3"},
		{"lower", "", "go1.27.1", "go 1.27.1"},
		{"one two lower", "", "go1.27.3", "toolchain go1.27.3"},
		{"work/m", "", "go1.27.2", "go 1.27.2"},
		{"work/m", "off", "go1.24", "go 1.24"},
		{"one", filepath.Join(dir, "work", "go.work"), "go1.27.2", "go 1.27.2"},
		{"work/used", "", "go1.27.2", "go 1.27.2"}, // as for the go command
		{"broken", "", "", ""},
		{"none", "", "", ""},
		{"plain", "", "", ""},
		{"directory", "", "", ""},
		{"", "", "", ""},
	} {
		got, err := Required(dir, strings.Fields(tt.dirs), func(name string) (string, bool) { return tt.gowork, name == "GOWORK" })
		if err != nil || got.Version != tt.want || got.Line != tt.line {
			t.Errorf("%s with GOWORK=%s: %+v, %v; want %s by %q", tt.dirs, tt.gowork, got, err, tt.want, tt.line)
		}
	}
}

func TestChooseToolchain(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bin := fakeRoot(t, filepath.Join(home, "opt", "go"), "go1.26.8")
	for _, v := range []string{"go1.25.0", "go1.27.1", "go1.27.3", "go1.28.0", "go1.29.1"} {
		fakeRoot(t, filepath.Join(home, "go", "pkg", "mod", "golang.org", "toolchain@v0.0.1-"+v+"."+runtime.GOOS+"-"+runtime.GOARCH), v)
	}
	for _, tt := range []struct{ required, setting, want, err string }{
		{"", "", "go1.26.8", ""},
		{"go1.25", "", "go1.26.8", ""},
		{"go1.26.8", "", "go1.26.8", ""},
		{"go1.27.1", "", "go1.27.1", ""}, // exactly, though newer ones are here
		{"go1.27.0", "", "go1.27.3", ""}, // not here: newest of the language version
		{"go1.27", "auto", "go1.27.3", ""},
		{"go1.26.9", "path", "go1.29.1", ""}, // nothing of the language version
		{"go1.99.0", "", "", "want go1.99.0; found go1.26.8"},
		{"go1.99.0", "local", "go1.26.8", ""}, // the go command then refuses by itself
		{"go1.25", "go1.25.0", "go1.25.0", ""},
		{"go1.25", "go1.27.1+auto", "go1.27.1", ""},
		{"go1.28.0", "go1.27.1+auto", "go1.28.0", ""},
		{"", "go1.98.0", "", "want go1.98.0"},
	} {
		env := func(name string) (string, bool) {
			switch name {
			case "HOME", "USERPROFILE":
				return home, true
			case "GOTOOLCHAIN":
				return tt.setting, tt.setting != ""
			}
			return "", false
		}
		r := Requirement{Version: tt.required, File: "/p/go.mod", Line: "go " + strings.TrimPrefix(tt.required, "go")}
		tc, err := ChooseToolchain(r, env, func(string) (string, error) { return bin, nil })
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s, GOTOOLCHAIN=%s: %v, %v; want error %q", tt.required, tt.setting, tc, err, tt.err)
			}
		case err != nil || tc.Version != tt.want:
			t.Errorf("%s, GOTOOLCHAIN=%s: %v, %v; want %s", tt.required, tt.setting, tc, err, tt.want)
		}
	}
}
