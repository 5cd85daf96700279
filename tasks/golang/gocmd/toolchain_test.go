package gocmd

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fakeRoot makes a GOROOT with the given version.
func fakeRoot(t *testing.T, root, version string) string {
	t.Helper()
	bin := filepath.Join(root, "bin", "go"+Exe(runtime.GOOS, runtime.GOARCH))
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{bin: "go", filepath.Join(root, "VERSION"): version + "\ntime 2026-08-28T16:20:06Z\n"} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func TestFindToolchain(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home [x]")
	bin := fakeRoot(t, filepath.Join(dir, "opt", "go"), "go1.26.8")
	fakeRoot(t, filepath.Join(dir, "opt", "go1.24.3"), "go1.24.3")
	fakeRoot(t, filepath.Join(home, "sdk", "go1.25.4"), "go1.25.4")
	fakeRoot(t, filepath.Join(home, "sdk", "go1.25.11"), "go1.25.11")
	fakeRoot(t, filepath.Join(home, "go", "pkg", "mod", "golang.org", "toolchain@v0.0.1-go1.27rc1."+runtime.GOOS+"-"+runtime.GOARCH), "go1.27rc1")
	link := filepath.Join(dir, "link-go")
	if err := os.Symlink(bin, link); err != nil {
		link = bin // no links here; the rest of the test stands
	}
	env := func(name string) (string, bool) {
		if name == "HOME" || name == "USERPROFILE" {
			return home, true
		}
		return "", false
	}
	look := func(string) (string, error) { return link, nil }
	for _, tt := range []struct{ wanted, version, err string }{
		{"", "go1.26.8", ""},
		{"1.26.8", "go1.26.8", ""},
		{"go1.26.8", "go1.26.8", ""},
		{"1.26", "go1.26.8", ""},
		{">= 1.25", "go1.26.8", ""},
		{"1.25", "go1.25.11", ""},
		{"~> 1.25.0", "go1.25.11", ""},
		{"1.25.4", "go1.25.4", ""},
		{"1.24.3", "go1.24.3", ""},
		{"1.27rc1", "go1.27rc1", ""},
		{"1.26.9", "", "want go1.26.9; found go1.26.8 in "},
		{"1.26.9", "", "`go install golang.org/dl/go1.26.9@latest && go1.26.9 download`, or `GOTOOLCHAIN=go1.26.9 go version`"},
		{">= 1.99", "", "want go >= 1.99; found go1.26.8"},
		{"newest", "", `go version "newest": want a version such as`},
	} {
		tc, err := FindToolchain(tt.wanted, env, look)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %v, %v, want error %q", tt.wanted, tc, err, tt.err)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.wanted, err)
		case tc.Version != tt.version || !tc.Release:
			t.Errorf("%q: got %+v, want %s", tt.wanted, tc, tt.version)
		}
	}
}

func TestFindToolchainNone(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	_, err := FindToolchain("", none, func(string) (string, error) { return "", errors.New("not found") })
	if err == nil || !strings.Contains(err.Error(), "no go command") || !strings.Contains(err.Error(), "https://go.dev/dl") {
		t.Errorf("got %v", err)
	}
}

func TestRelease(t *testing.T) {
	for v, want := range map[string]bool{
		"go1.26.8": true, "go1.27rc1": true, "go1.26": true,
		"devel go1.27-abcdef": false, "go1.26.8-vendor": false, "go1.26.8 X:nodwarf5": false,
	} {
		if got := isRelease(v); got != want {
			t.Errorf("%s: got %v", v, got)
		}
	}
}
