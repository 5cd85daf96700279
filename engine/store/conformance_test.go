package store_test

import (
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/store/storetest"
)

var (
	_ engine.Store          = (*store.Disk)(nil)
	_ engine.Locker         = (*store.Disk)(nil)
	_ engine.Copier         = (*store.Disk)(nil)
	_ engine.DamageReporter = (*store.Disk)(nil)

	_ engine.Withholder = (*store.Disk)(nil)
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) engine.Store {
		s, err := store.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	})
}

// A store that is open for a scope behaves like any other.
func TestStoreScoped(t *testing.T) {
	storetest.Run(t, func(t *testing.T) engine.Store {
		s, err := store.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.Scope = store.NewScope("a project")
		t.Cleanup(func() { s.Close() })
		return s
	})
}

// A second run over the same directory finds all blobs there.
func TestStoreShared(t *testing.T) {
	dir := t.TempDir()
	open := func(t *testing.T) engine.Store {
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	storetest.Run(t, open)
}
