package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

func pinOf(name string, keys ...action.Digest) *Pin {
	p := &Pin{Name: name, Project: "/home/größe", Targets: []string{"release"}, Time: time.Unix(1772600767, 0).UTC(), Results: []Pinned{}}
	for i, k := range keys {
		p.Results = append(p.Results, Pinned{Step: "bin[" + string(rune('a'+i)) + "]", Key: k.String()})
	}
	return p
}

func TestPins(t *testing.T) {
	s := open(t, t.TempDir())
	keys := small(t, s)
	if pins, damaged, err := s.Pins(); len(pins)+len(damaged) > 0 || err != nil {
		t.Fatalf("a new store has pins: %v %v %v", pins, damaged, err)
	}
	a, b := pinOf("a", keys...), pinOf("b", keys[1])
	for _, p := range []*Pin{b, pinOf("a", keys[0]), a} { // the last replaces
		if err := s.PutPin(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if pins, damaged, err := s.Pins(); !reflect.DeepEqual(pins, []*Pin{a, b}) || damaged != nil || err != nil {
		t.Errorf("%v %v %v", pins, damaged, err)
	}
	if err := s.Unpin("a"); err != nil {
		t.Error(err)
	}
	if _, err := s.Pin("a"); !errors.Is(err, ErrNoPin) {
		t.Errorf("a pin that was taken away: %v", err)
	}
	if err := s.Unpin("a"); !errors.Is(err, ErrNoPin) {
		t.Errorf("taken away twice: %v", err)
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestPinRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	keys := small(t, s)
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, ".a", "a.", "a b", "ü", "a:b", strings.Repeat("a", 101), "a\x00"} {
		if err := s.PutPin(t.Context(), pinOf(name, keys...)); err == nil {
			t.Errorf("name %q is taken", name)
		}
		if err := s.Unpin(name); err == nil || errors.Is(err, ErrNoPin) {
			t.Errorf("name %q is looked for: %v", name, err)
		}
	}
	if err := s.PutPin(t.Context(), pinOf("a", action.Of([]byte("x")))); err == nil || !strings.Contains(err.Error(), "bin[a]: its result is not in the store") {
		t.Errorf("result that is not there: %v", err)
	}
	if err := os.Remove(s.BlobFile(action.Of(nil))); err != nil { // keys[1] needs it
		t.Fatal(err)
	}
	if err := s.PutPin(t.Context(), pinOf("a", keys...)); err == nil || !strings.Contains(err.Error(), "bin[b]: blob e3b0c44298fc of its result") {
		t.Errorf("blob that is not there: %v", err)
	}
	if pins, damaged, err := s.Pins(); len(pins)+len(damaged) > 0 || err != nil {
		t.Errorf("%v %v %v", pins, damaged, err)
	}
}

// What is pinned stays, whatever its age and size, until it is unpinned.
func TestPruneKeepsPins(t *testing.T) {
	s, keys := aged(t)
	if err := s.PutPin(t.Context(), pinOf("kept", keys[2])); err != nil {
		t.Fatal(err)
	}
	for _, o := range []PruneOptions{{MaxBytes: 1}, {MaxAge: time.Hour}} {
		if r, err := s.Prune(t.Context(), o); err != nil || r.KeptEntries != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := s.Verify(t.Context(), nil); err != nil || !r.OK() || r.Entries != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if err := s.Unpin("kept"); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Prune(t.Context(), PruneOptions{MaxBytes: 1}); err != nil || r.KeptEntries != 0 {
		t.Errorf("after it was unpinned: %+v, %v", r, err)
	}
}

// While a pin cannot be read nothing is pruned: it may have kept anything.
func TestDamagedPin(t *testing.T) {
	s, keys := aged(t)
	if err := s.PutPin(t.Context(), pinOf("good", keys[0])); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(string){
		"flipped": func(f string) { edit(t, f, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) },
		"cut":     func(f string) { edit(t, f, func(b []byte) []byte { return b[:10] }) },
		"newer": func(f string) {
			edit(t, f, func(b []byte) []byte { return bytes.Replace(b, []byte("pin-1"), []byte("pin-2"), 1) })
		},
		"renamed":  func(f string) { os.Rename(s.pinFile("good"), f) },
		"a folder": func(f string) { os.Remove(f); os.Mkdir(f, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(s.PutPin(t.Context(), pinOf("good", keys[0])), s.PutPin(t.Context(), pinOf("bad", keys[1]))); err != nil {
				t.Fatal(err)
			}
			damage(s.pinFile("bad"))
			for _, dry := range []bool{true, false} {
				r, err := s.Prune(t.Context(), PruneOptions{MaxBytes: 1, DryRun: dry})
				var bad *DamagedPin
				if !errors.As(err, &bad) || bad.Name != "bad" || r.Entries+r.Blobs != 0 {
					t.Errorf("%+v, %v", r, err)
				}
			}
			r, err := s.Verify(t.Context(), nil)
			if err != nil || r.OK() || len(r.DamagedPins) != 1 || r.DamagedPins[0].Name != "bad" || r.Entries != 3 {
				t.Errorf("%+v, %v", r, err)
			}
			if err := s.Unpin("bad"); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Verify(t.Context(), nil); err != nil || !r.OK() {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Verify tells which pin no longer keeps what it was made for.
func TestLostPin(t *testing.T) {
	s := open(t, t.TempDir())
	keys := small(t, s)
	if err := s.PutPin(t.Context(), pinOf("a", keys...)); err != nil {
		t.Fatal(err)
	}
	edit(t, s.entryFile(keys[1]), func(b []byte) []byte { b[20] ^= 1; return b })
	for _, damaged := range []int{1, 0} {
		r, err := s.Verify(t.Context(), nil)
		want := []LostPin{{"a", "bin[b]", "its result is not in the store"}}
		if err != nil || len(r.Damaged) != damaged || !slices.Equal(r.LostPins, want) || r.OK() {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

const pinFixture = "../../testdata/formats/pin-1"

func TestPinFixture(t *testing.T) {
	want := pinOf("yq-release", action.Of([]byte("a")), action.Of(nil))
	b, err := encodePin(want)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(pinFixture, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(pinFixture)
	if err != nil || !bytes.Equal(b, frozen) {
		t.Errorf("wrote\n%s\nwant\n%s\n%v", b, frozen, err)
	}
	if p, err := decodePin(frozen); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, %v", p, err)
	}
	for i := range frozen {
		bad := bytes.Clone(frozen)
		bad[i] ^= 1
		if _, err := decodePin(bad); err == nil {
			t.Fatalf("byte %d flipped and not noticed", i)
		}
	}
}

// FuzzPin: what is read can be written and is the same when read again.
func FuzzPin(f *testing.F) {
	b, err := os.ReadFile(filepath.FromSlash(pinFixture))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePin(b)
		if err != nil {
			return
		}
		w, err := encodePin(p)
		if err != nil {
			t.Skip("too many results, or a time that JSON has no form for")
		}
		if again, err := decodePin(w); err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
	})
}
