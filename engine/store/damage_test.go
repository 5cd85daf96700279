package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// Whatever happens to the bytes of a blob, it is not served, it is gone
// afterwards, it is reported once, and putting it again mends it.
func TestDamagedBlob(t *testing.T) {
	const text = "what the blob holds"
	d := action.Of([]byte(text))
	damages := map[string]func(t *testing.T, name string){
		"emptied":  func(t *testing.T, name string) { edit(t, name, func([]byte) []byte { return nil }) },
		"cut":      func(t *testing.T, name string) { edit(t, name, func(b []byte) []byte { return b[:5] }) },
		"longer":   func(t *testing.T, name string) { edit(t, name, func(b []byte) []byte { return append(b, 0) }) },
		"replaced": func(t *testing.T, name string) { edit(t, name, func(b []byte) []byte { return bytes.ToUpper(b) }) },
		"a folder": func(t *testing.T, name string) {
			if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "x"), 0o755)); err != nil {
				t.Fatal(err)
			}
		},
		"a link": func(t *testing.T, name string) {
			good := filepath.Join(t.TempDir(), "good")
			if err := errors.Join(os.WriteFile(good, []byte(text), 0o644), os.Remove(name), os.Symlink(good, name)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for i := range text {
		damages["byte "+text[:i]] = func(t *testing.T, name string) {
			edit(t, name, func(b []byte) []byte { b[i] ^= 1; return b })
		}
	}
	uses := map[string]func(t *testing.T, s *Disk, dst string) error{
		"Missing": func(t *testing.T, s *Disk, _ string) error {
			missing, err := s.Missing(t.Context(), []action.Digest{d})
			if len(missing) == 1 {
				return errors.Join(err, &action.Damaged{What: "blob"})
			}
			return err
		},
		"Open": func(t *testing.T, s *Disk, _ string) error {
			r, err := s.Open(t.Context(), d)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		},
		"CopyTo": func(t *testing.T, s *Disk, dst string) error {
			return s.CopyTo(t.Context(), d, openRoot(t, filepath.Dir(dst)), filepath.Base(dst), false)
		},
		"Verify": func(t *testing.T, s *Disk, _ string) error {
			r, err := s.Verify(t.Context(), nil)
			if len(r.Damaged) == 1 {
				return errors.Join(err, r.Damaged[0])
			}
			return err
		},
	}
	for use, f := range uses {
		for name, damage := range damages {
			t.Run(use+" "+name, func(t *testing.T) {
				s := open(t, t.TempDir())
				put(t, s, text)
				damage(t, s.BlobFile(d))
				dst := filepath.Join(t.TempDir(), "dst")
				var damaged *action.Damaged
				if err := f(t, s, dst); !errors.As(err, &damaged) {
					t.Errorf("it was not noticed: %v", err)
				}
				if _, err := os.Lstat(s.BlobFile(d)); err == nil {
					t.Error("it is still there")
				}
				if _, err := os.Lstat(dst); err == nil {
					t.Error("it was restored")
				}
				if n := len(s.TakeDamaged()); n != 1 {
					t.Errorf("it was reported %d times", n)
				}
				put(t, s, text)
				if err := s.CopyTo(t.Context(), d, openRoot(t, filepath.Dir(dst)), filepath.Base(dst), false); err != nil {
					t.Errorf("it is not mended: %v", err)
				}
			})
		}
	}
}

// Putting a blob again replaces a damaged one without being asked.
func TestPutMends(t *testing.T) {
	s := open(t, t.TempDir())
	d := put(t, s, "text")
	edit(t, s.BlobFile(d), func([]byte) []byte { return []byte("TEXT") })
	put(t, s, "text")
	if missing, err := s.Missing(t.Context(), []action.Digest{d}); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
	if len(s.TakeDamaged()) != 1 {
		t.Error("the damage was not reported")
	}
}

// One bit of each byte of each file of a small store is flipped in turn.
func TestFlippedBit(t *testing.T) {
	if testing.Short() {
		t.Skip("damages every file of a store")
	}
	s := open(t, t.TempDir())
	keys := small(t, s)
	blobs, entries := contents(t, s)
	for _, x := range entries {
		good, err := os.ReadFile(x.name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			edit(t, x.name, func(b []byte) []byte { b[i] ^= 1 << (i % 8); return b })
			var damaged *action.Damaged
			if r, err := s.Result(t.Context(), x.digest); r != nil || !errors.As(err, &damaged) {
				t.Fatalf("entry %s, byte %d: result %v, error %v", x.digest.Hex(), i, r, err)
			}
			if r, err := s.Result(t.Context(), x.digest); r != nil || err != nil {
				t.Fatalf("entry %s, byte %d: it was not thrown away: %v, %v", x.digest.Hex(), i, r, err)
			}
			if err := os.WriteFile(x.name, good, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.TakeDamaged()
	for _, x := range blobs {
		for i := range x.info.Size() {
			b, err := os.ReadFile(x.name)
			if err != nil {
				t.Fatal(err)
			}
			edit(t, x.name, func(b []byte) []byte { b[i] ^= 1 << (i % 8); return b })
			if missing, err := s.Missing(t.Context(), []action.Digest{x.digest}); err != nil || len(missing) != 1 {
				t.Fatalf("blob %s, byte %d: missing %v, %v", x.digest, i, missing, err)
			}
			put(t, s, string(b))
		}
	}
	if r, err := s.Verify(t.Context(), nil); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
	for _, key := range keys {
		if r, err := s.Result(t.Context(), key); r == nil || err != nil {
			t.Errorf("entry %s is lost: %v", key.Hex(), err)
		}
	}
}

// An entry put in the place of another is not that action's result.
func TestExchangedEntries(t *testing.T) {
	s := open(t, t.TempDir())
	keys := small(t, s)
	if err := os.Rename(s.entryFile(keys[0]), s.entryFile(keys[1])); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Result(t.Context(), keys[1]); r != nil || err == nil {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestMark(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d := put(t, s, "text")
	state := func(s *Disk) blobState {
		t.Helper()
		state, err := s.glance(d)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	info, err := os.Stat(s.BlobFile(d))
	if err != nil {
		t.Fatal(err)
	}
	if m := info.ModTime(); m.Unix()%2 != 0 || m.Nanosecond() != 0 || m.Unix() < 1_000_000_000 || m.Unix() > 2_100_000_000 {
		t.Errorf("mark %v does not fit every file system", m)
	}
	if state(s) != verified {
		t.Error("a blob that was just written is not trusted")
	}
	lasting := runtime.GOOS == "linux" || runtime.GOOS == "darwin"
	if other := open(t, dir); (state(other) == verified) != lasting {
		t.Errorf("another process trusts it: %v, want %v", !lasting, lasting)
	}

	// Any other time makes it be read, once.
	if err := os.Chtimes(s.BlobFile(d), time.Time{}, info.ModTime().Add(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	if state(s) != unverified {
		t.Error("another time is trusted")
	}
	if missing, err := s.Missing(t.Context(), []action.Digest{d}); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
	if state(s) != verified {
		t.Error("a verified blob was not marked")
	}

	// A reader that comes to the end has verified it too.
	if err := os.Chtimes(s.BlobFile(d), time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.read(t.Context(), d); err != nil || state(s) != verified {
		t.Errorf("state %v after reading, %v", state(s), err)
	}

	// Another boot.
	s.mark = s.mark.Add(2 * time.Second)
	if state(s) != unverified {
		t.Error("the mark of another boot is trusted")
	}
}

// A copy of a store that keeps times, as cp -a makes, is not trusted.
func TestMarkOfCopiedStore(t *testing.T) {
	s := open(t, t.TempDir())
	dir := t.TempDir()
	version := filepath.Join(dir, "VERSION")
	info, err := os.Stat(filepath.Join(s.Dir(), "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(version, []byte(Version), 0o644), os.Chtimes(version, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if mark, err := newMark(version); err != nil || mark.Equal(s.mark) {
		t.Errorf("the copy has the mark %v of the original, %v", mark, err)
	}
}

// Where the mark cannot be set, the process remembers for itself.
func TestKnownWithoutMark(t *testing.T) {
	s := open(t, t.TempDir())
	d := put(t, s, "text")
	odd := time.Unix(1234567, 0)
	s.known[d] = odd
	if s.trusts(d, odd.Add(1)) || !s.trusts(d, odd) {
		t.Error("a blob is trusted by another time than that of its verification")
	}
}

func FuzzEntry(f *testing.F) {
	key := action.Of([]byte("key"))
	f.Add(encodeEntry(key, &action.Result{}))
	f.Add(encodeEntry(key, &action.Result{ExitCode: 1, StdoutRaw: []byte("x")}))
	f.Add([]byte(entryMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeEntry(key, b)
		if err != nil {
			return
		}
		if again := encodeEntry(key, r); !bytes.Equal(again, b) {
			// Only a payload that is not canonical may differ, and it must
			// carry a checksum of its own, which nobody finds by chance.
			t.Errorf("decoded and encoded %x to %x", b, again)
		}
	})
}
