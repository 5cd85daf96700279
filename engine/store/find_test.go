package store

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
)

func TestFind(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	want, err := s.PutBytes(ctx, []byte("blob"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(ctx, want.Hash); err != nil || got != want {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if _, err := s.Find(ctx, action.Of([]byte("none")).Hash); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
