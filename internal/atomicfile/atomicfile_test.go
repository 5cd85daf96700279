package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// in returns a directory and an os.Root on it.
func in(t *testing.T) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, root
}

// holds fails unless the directory has exactly these files.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, relErr := filepath.Rel(dir, name)
		got[filepath.ToSlash(rel)] = string(b)
		return errors.Join(err, relErr)
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q; %v", got, want, err)
	}
}

// everywhere runs a test with names of the system, and with names in a Root.
func everywhere(t *testing.T, f func(t *testing.T, dir string, at func(string) string, o Options)) {
	t.Run("system", func(t *testing.T) {
		dir := t.TempDir()
		f(t, dir, func(name string) string { return filepath.Join(dir, name) }, Options{})
	})
	t.Run("root", func(t *testing.T) {
		dir, root := in(t)
		f(t, dir, filepath.FromSlash, Options{Root: root})
	})
}

func TestWrite(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		if err := Write(at("a"), []byte("old"), o); err != nil {
			t.Fatal(err)
		}
		o.Sync, o.SyncDir = true, true
		if err := Write(at("a"), []byte("new"), o); err != nil {
			t.Fatal(err)
		}
		o.Mkdir = 0o777
		err := WriteFunc(at("b/c/d"), o, func(w io.Writer) error {
			_, err := io.Copy(w, strings.NewReader("streamed"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		holds(t, dir, map[string]string{"a": "new", "b/c/d": "streamed"})
	})
}

func TestFailuresLeaveTheOldFile(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		broken := errors.New("broken")
		if err := Write(at("a"), []byte("old"), o); err != nil {
			t.Fatal(err)
		}
		err := WriteFunc(at("a"), o, func(w io.Writer) error {
			io.WriteString(w, "half")
			return broken
		})
		if err != broken {
			t.Error(err)
		}
		if err := Write(at("missing/a"), []byte("new"), o); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := Write(at("d"), []byte("new"), o); err == nil {
			t.Error("a file replaced a directory")
		}
		o.Mkdir = 0o777
		if err := Write(at("a/b"), []byte("new"), o); err == nil {
			t.Error("a file was made below a file")
		}
		holds(t, dir, map[string]string{"a": "old"})
	})
}

// A file that cannot be flushed or closed does not get the name.
func TestCommitAfterFailure(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		for _, sync := range []bool{false, true} {
			o.Sync = sync
			f, err := Create(at("."), o)
			if err != nil {
				t.Fatal(err)
			}
			f.File.Close()
			if err := f.Commit(at("a")); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%v", err)
			}
			f.Discard()
		}
		holds(t, dir, map[string]string{})
	})
}

func TestDiscard(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		for _, closed := range []bool{false, true} {
			f, err := Create(at("."), o)
			if err != nil {
				t.Fatal(err)
			}
			if base := filepath.Base(f.Name()); !IsTemp(base) {
				t.Errorf("the temporary file is named %s", base)
			}
			if closed {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
			f.Discard()
			f.Discard()
			holds(t, dir, map[string]string{})
		}
		f, err := Create(at("."), o)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Discard()
		io.WriteString(f, "kept")
		if err := f.Commit(at("a")); err != nil {
			t.Fatal(err)
		}
		f.Discard()
		holds(t, dir, map[string]string{"a": "kept"})
	})
}

// Commit keeps what was done to the file between Close and it, and makes the name's
// directory, which is another one than the temporary file's.
func TestCommitElsewhere(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o777); err != nil {
			t.Fatal(err)
		}
		o.Mkdir = 0o777
		f, err := Create(at("tmp"), o)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Discard()
		io.WriteString(f, "moved")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		past := info.ModTime().Truncate(2e9).Add(-1e12)
		if err := os.Chtimes(f.Name(), past, past); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(at("cas/ab/c")); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, map[string]string{"cas/ab/c": "moved"})
		if info, err := os.Stat(filepath.Join(dir, "cas", "ab", "c")); err != nil || !info.ModTime().Equal(past) {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// What a killed process left under a fixed name is replaced, and not written through.
func TestTempIsReplaced(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		o.Temp = TempPrefix + "a"
		for _, leave := range []func(name string) error{
			func(name string) error { return os.WriteFile(name, []byte("longer than the new one"), 0o666) },
			func(name string) error {
				if !links(t) {
					return nil
				}
				return os.Symlink("victim", name)
			},
		} {
			if err := os.WriteFile(filepath.Join(dir, "victim"), []byte("untouched"), 0o666); err != nil {
				t.Fatal(err)
			}
			if err := leave(filepath.Join(dir, o.Temp)); err != nil {
				t.Fatal(err)
			}
			if err := Write(at("a"), []byte("new"), o); err != nil {
				t.Error(err)
			}
			holds(t, dir, map[string]string{"a": "new", "victim": "untouched"})
		}
		if err := os.MkdirAll(filepath.Join(dir, o.Temp, "full"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := Write(at("a"), []byte("newer"), o); err == nil {
			t.Error("a directory in the place of the temporary file was replaced")
		}
		holds(t, dir, map[string]string{"a": "new", "victim": "untouched"})
	})
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no permission bits on Windows")
	}
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		mask := fs.FileMode(0)
		if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o777); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "plain")); err != nil {
			t.Fatal(err)
		} else {
			mask = 0o777 &^ info.Mode()
		}
		for _, c := range []struct {
			perm  fs.FileMode
			exact bool
			want  fs.FileMode
		}{
			{0, false, 0o666 &^ mask},
			{0o777, false, 0o777 &^ mask},
			{0o600, false, 0o600},
			{0o777, true, 0o777},
			{0o444, true, 0o444},
		} {
			o.Perm, o.Exact = c.perm, c.exact
			if err := Write(at("a"), []byte("new"), o); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Mode() != c.want {
				t.Errorf("%v, exact %v: %v, %v", c.perm, c.exact, info.Mode(), err)
			}
		}
	})
}

// links reports whether this host lets the test make symbolic links; Windows may
// not, and Wine says that it made one.
func links(t *testing.T) bool {
	t.Helper()
	name := filepath.Join(t.TempDir(), "link")
	err := os.Symlink("target", name)
	if err == nil {
		_, err = os.Readlink(name)
	}
	if err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	return err == nil
}

func TestSymlink(t *testing.T) {
	if !links(t) {
		t.Skip("this host of Windows does not allow symbolic links")
	}
	everywhere(t, func(t *testing.T, dir string, at func(string) string, o Options) {
		o.Mkdir, o.SyncDir = 0o777, true
		if err := Write(at("d/a"), []byte("replaced"), o); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"b", "c"} {
			if err := Symlink(target, at("d/a"), o); err != nil {
				t.Fatal(err)
			}
			if got, err := os.Readlink(filepath.Join(dir, "d", "a")); err != nil || got != target {
				t.Errorf("%s, %v", got, err)
			}
		}
		if err := Symlink("b", at("d"), o); err == nil {
			t.Error("a link replaced a directory")
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("%v, %v", names, err)
		}
	})
}

// A Root is not left, over a link in a name or in the place of a file.
func TestRootIsNotLeft(t *testing.T) {
	if !links(t) {
		t.Skip("this host of Windows does not allow symbolic links")
	}
	outside := t.TempDir()
	dir, root := in(t)
	for name, target := range map[string]string{"dir": outside, "file": filepath.Join(outside, "victim")} {
		link := filepath.Join(dir, name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Root: root, Mkdir: 0o777}
	for _, name := range []string{"dir/a", "dir/b/a", "../a"} {
		if err := Write(filepath.FromSlash(name), []byte("out"), o); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if err := Write("file", []byte("in"), o); err != nil {
		t.Error(err)
	}
	holds(t, outside, map[string]string{})
}

// Readers see one of the files that several writers write at once, and whole.
func TestWritersAtOnce(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	texts := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 70_000), strings.Repeat("c", 10)}
	if err := Write(name, []byte(texts[0]), Options{}); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, text := range texts {
		writers.Go(func() {
			for range 20 {
				if err := Write(name, []byte(text), Options{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		b, err := os.ReadFile(name)
		if err != nil && runtime.GOOS != "windows" || err == nil && !slices.Contains(texts, string(b)) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	writers.Wait()
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestIsTemp(t *testing.T) {
	for name, want := range map[string]bool{
		".airbuild-x": true, ".airbuild-carried.json": false, "airbuild-x": false, "x.airbuild-x": false,
	} {
		if got := IsTemp(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	if err := SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := SyncDir(filepath.Join(dir, "missing")); runtime.GOOS != "windows" && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
