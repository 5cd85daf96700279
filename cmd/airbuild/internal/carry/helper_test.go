package carry

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/store"
)

// write makes files below dir; a text "-> x" makes a symbolic link to x.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		abs := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(abs), 0o777); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(to, abs); err != nil {
				t.Skipf("no symbolic links here: %v", err)
			}
			continue
		}
		if err := os.WriteFile(abs, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// gitIn runs git; tests that need it are skipped without it.
func gitIn(t testing.TB, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not on PATH")
	}
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+t.TempDir(), "GIT_AUTHOR_DATE=1767225600 +0000", "GIT_COMMITTER_DATE=1767225600 +0000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// repository commits files in a new directory.
func repository(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := realDir(t)
	write(t, dir, files)
	gitIn(t, dir, "init", "-q")
	gitIn(t, dir, "add", "-A")
	gitIn(t, dir, "commit", "-q", "-m", "first")
	return dir
}

// realDir is a new directory without symbolic links in its path.
func realDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A receiver is a cache that bundles are imported into.
type receiver struct {
	t     testing.TB
	cache string
	store *store.Disk
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	cache := filepath.Join(realDir(t), "cache")
	s, err := store.Open(cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &receiver{t, cache, s}
}

// made is a bundle of components, open.
func made(t testing.TB, sequence int64, pack int64, components ...create.Component) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	spec := create.Spec{Name: "line", Sequence: sequence, Created: time.Unix(1767225600+sequence, 0), Components: components, Metadata: map[string]string{"go": "go1.26.8"}}
	if _, err := create.Bundle(t.Context(), dir, spec, create.Options{PackSize: pack}); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(t.Context(), bundle.Trust{AllowUnsigned: true}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func (r *receiver) take(b *bundle.Bundle) (*install.Report, error) {
	return Import(r.t.Context(), b, Importing{Cache: r.cache, Store: r.store, Options: install.Options{Actor: "test"}})
}

// texts is a component of texts.
func texts(name string, files map[string]string) create.Component {
	c := create.Component{Name: name}
	for p, text := range files {
		p, executable := strings.CutSuffix(p, "*")
		in := textInput(p, []byte(text))
		in.Executable = executable
		c.Files = append(c.Files, in)
	}
	return c
}

// read is the content of an input.
func read(t testing.TB, in create.Input) string {
	t.Helper()
	r, err := in.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
