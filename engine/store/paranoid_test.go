package store

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// A byte that changes without its file's times changing, as bit rot does, is
// noticed by whoever reads; Paranoid reads.
func TestParanoidSeesBitRot(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := s.Put(t.Context(), strings.NewReader("sound"))
	if err != nil {
		t.Fatal(err)
	}
	name := s.BlobFile(d)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(name, 0o644), os.WriteFile(name, []byte("s0und"), 0o644), os.Chtimes(name, time.Time{}, info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if missing, err := s.Missing(t.Context(), []action.Digest{d}); err != nil || len(missing) != 0 {
		t.Fatalf("marked: %v, %v", missing, err)
	}
	s.Paranoid = true
	if missing, err := s.Missing(t.Context(), []action.Digest{d}); err != nil || len(missing) != 1 {
		t.Errorf("paranoid: %v, %v", missing, err)
	}
}
