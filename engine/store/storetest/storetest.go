// Package storetest holds what every engine.Store must do, as one suite.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// Run tests the stores that open makes. Each test gets one of its own; they
// may share their content, because every test uses bytes of its own.
func Run(t *testing.T, open func(*testing.T) engine.Store) {
	tests := []struct {
		name string
		test func(*testing.T, engine.Store)
	}{
		{"PutOpen", testPutOpen},
		{"PutTwice", testPutTwice},
		{"PutFails", testPutFails},
		{"OpenAbsent", testOpenAbsent},
		{"OpenInParts", testOpenInParts},
		{"Missing", testMissing},
		{"ResultAbsent", testResultAbsent},
		{"Result", testResult},
		{"ResultReplaced", testResultReplaced},
		{"Cancelled", testCancelled},
		{"Concurrent", testConcurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// content returns n bytes that only this test uses.
func content(t *testing.T, n int) []byte {
	b := []byte(t.Name())
	return append(b, bytes.Repeat([]byte{'.', 'x', 0}, n/3)...)
}

func put(t *testing.T, s engine.Store, b []byte) action.Digest {
	t.Helper()
	d, err := s.Put(t.Context(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if want := action.Of(b); d != want {
		t.Fatalf("Put returned %v, want %v", d, want)
	}
	return d
}

func get(ctx context.Context, s engine.Store, d action.Digest) ([]byte, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func testPutOpen(t *testing.T, s engine.Store) {
	blobs := [][]byte{{}, []byte("x"), content(t, 100), content(t, 32<<10), content(t, 5<<20)}
	for _, b := range blobs {
		d := put(t, s, b)
		got, err := get(t.Context(), s, d)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("blob of %d bytes came back with %d, %v", len(b), len(got), err)
		}
	}
}

func testPutTwice(t *testing.T, s engine.Store) {
	for _, n := range []int{10, 1 << 20} {
		if a, b := put(t, s, content(t, n)), put(t, s, content(t, n)); a != b {
			t.Errorf("%v and %v for the same bytes", a, b)
		}
	}
}

// A reader that fails leaves no blob, neither of the whole nor of the part.
func testPutFails(t *testing.T, s engine.Store) {
	for _, n := range []int{10, 1 << 20} {
		b := content(t, n)
		broken := errors.New("broken")
		r := io.MultiReader(bytes.NewReader(b), iotest.ErrReader(broken))
		if _, err := s.Put(t.Context(), r); !errors.Is(err, broken) {
			t.Errorf("%d bytes: error %v, want %v", n, err, broken)
		}
		missing, err := s.Missing(t.Context(), []action.Digest{action.Of(b)})
		if err != nil || len(missing) != 1 {
			t.Errorf("%d bytes: a part was stored: %v, %v", n, missing, err)
		}
	}
}

func testOpenAbsent(t *testing.T, s engine.Store) {
	for _, d := range []action.Digest{action.Of(content(t, 9)), {}} {
		if _, err := get(t.Context(), s, d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: error %v, want %v", d, err, fs.ErrNotExist)
		}
	}
}

func testOpenInParts(t *testing.T, s engine.Store) {
	b := content(t, 1000)
	d := put(t, s, b)
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(r, b); err != nil {
		t.Error(err)
	}
	r.Close()
	// Closing before the end is no error.
	if r, err = s.Open(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func testMissing(t *testing.T, s engine.Store) {
	here := put(t, s, content(t, 30))
	gone, other := action.Of(content(t, 40)), action.Of(content(t, 50))
	wrongSize := here
	wrongSize.Size++
	tests := []struct{ ask, want []action.Digest }{
		{nil, nil},
		{[]action.Digest{here}, nil},
		{[]action.Digest{other, here, gone}, []action.Digest{other, gone}},
		{[]action.Digest{gone, here, gone, here}, []action.Digest{gone}},
		{[]action.Digest{wrongSize, here}, []action.Digest{wrongSize}},
	}
	for _, tt := range tests {
		got, err := s.Missing(t.Context(), tt.ask)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Missing(%v) = %v, %v, want %v", tt.ask, got, err, tt.want)
		}
	}
	// A wrong size harms nobody who knows the right one.
	if _, err := get(t.Context(), s, wrongSize); err == nil {
		t.Error("a digest with a wrong size was served")
	}
	if _, err := get(t.Context(), s, here); err != nil {
		t.Error(err)
	}
}

func testResultAbsent(t *testing.T, s engine.Store) {
	r, err := s.Result(t.Context(), action.Of(content(t, 3)))
	if r != nil || err != nil {
		t.Errorf("got %v, %v", r, err)
	}
}

// result returns a result of every kind of output, whose blobs are stored.
func result(t *testing.T, s engine.Store) *action.Result {
	file := put(t, s, content(t, 5))
	dir := action.Directory{Files: []action.FileNode{{Name: "f", Digest: file}}}
	tree := action.Tree{Root: dir}
	return &action.Result{
		OutputFiles:       []action.OutputFile{{Path: "a", Digest: file, Executable: true}, {Path: "b/c", Digest: file}},
		OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: put(t, s, tree.Marshal()), Root: put(t, s, dir.Marshal())}},
		OutputSymlinks:    []action.OutputSymlink{{Path: "l", Target: "a"}},
		Stdout:            put(t, s, []byte("log of "+t.Name())),
	}
}

// same compares what must survive; servers add metadata of their own.
func same(a, b *action.Result) bool {
	x, y := *a, *b
	x.Metadata, y.Metadata = action.Metadata{}, action.Metadata{}
	return reflect.DeepEqual(x, y)
}

func testResult(t *testing.T, s engine.Store) {
	// The key of a real action: some servers look at what they are given.
	a := action.Action{Command: put(t, s, (&action.Command{Arguments: []string{t.Name()}}).Marshal()), InputRoot: put(t, s, nil)}
	key := put(t, s, a.Marshal())
	want := result(t, s)
	if err := s.PutResult(t.Context(), key, want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Result(t.Context(), key)
	if err != nil || got == nil || !same(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func testResultReplaced(t *testing.T, s engine.Store) {
	key := put(t, s, content(t, 8))
	want := result(t, s)
	if err := s.PutResult(t.Context(), key, want); err != nil {
		t.Fatal(err)
	}
	want.OutputSymlinks[0].Target = "b/c"
	if err := s.PutResult(t.Context(), key, want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Result(t.Context(), key); err != nil || got == nil || !same(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func testCancelled(t *testing.T, s engine.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, bytes.NewReader(content(t, 1<<20))); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Result(ctx, action.Of(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("Result: %v", err)
	}
}

// Many goroutines put and get the same few blobs and entries.
func testConcurrent(t *testing.T, s engine.Store) {
	key := put(t, s, content(t, 7))
	want := result(t, s)
	work := func(i int) error {
		b := fmt.Appendf(content(t, 60<<10), "%d", i%3)
		d, err := s.Put(t.Context(), bytes.NewReader(b))
		if err != nil {
			return err
		}
		if got, err := get(t.Context(), s, d); err != nil || !bytes.Equal(got, b) {
			return fmt.Errorf("%d bytes, %w", len(got), err)
		}
		if missing, err := s.Missing(t.Context(), []action.Digest{d}); err != nil || len(missing) > 0 {
			return fmt.Errorf("%v is missing, %w", missing, err)
		}
		if err := s.PutResult(t.Context(), key, want); err != nil {
			return err
		}
		if got, err := s.Result(t.Context(), key); err != nil || got == nil || !same(got, want) {
			return fmt.Errorf("result %+v, %w", got, err)
		}
		return nil
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := work(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
