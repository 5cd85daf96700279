package carry

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

func TestUsableTree(t *testing.T) {
	now := time.Now()
	one, two := map[string][]byte{"sum.example": []byte("one")}, map[string][]byte{"sum.example": []byte("two")}
	record := collectedTreeRecord{Time: now, Heads: one}
	for name, c := range map[string]struct {
		record collectedTreeRecord
		heads  map[string][]byte
		after  time.Duration
		want   bool
	}{
		"nobody's head":              {record, nil, 90 * lackingFor, true},
		"its own head":               {record, one, 0, true},
		"a head that it continues":   {collectedTreeRecord{Heads: one, Given: two}, two, 0, true},
		"another head":               {record, two, 0, false},
		"another database's":         {record, map[string][]byte{"other.example": nil}, 0, true},
		"lacking, today":             {collectedTreeRecord{Time: now, Lacking: true}, nil, time.Hour, true},
		"lacking, the day after":     {collectedTreeRecord{Time: now, Lacking: true}, nil, lackingFor + time.Hour, false},
		"lacking, clock turned back": {collectedTreeRecord{Time: now, Lacking: true}, nil, -time.Hour, false},
	} {
		if got := (&collectedModules{collectedTreeRecord: c.record}).usable(c.heads, now.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What was remembered comes back as it was; if a byte of it is gone it does not
// come back at all.
func TestRememberedTree(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	g := &collector{ContentSpec: ContentSpec{Store: s}}
	tree, key := t.TempDir(), collectedKey("k")
	write(t, tree, map[string]string{"example.org/x/@v/v1.0.0.zip": "zip", "sumdb/sum.example/latest": "head", "go.sum": ""})
	if c, err := g.recall(t.Context(), key); c != nil || err != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	c := &collectedModules{collectedTreeRecord: collectedTreeRecord{Version: 1, Notes: []string{"a note"}, Evidence: map[string]string{"proven": "1"}, Heads: map[string][]byte{"sum.example": []byte("head")}}}
	if err := g.remember(t.Context(), key, tree, c); err != nil {
		t.Fatal(err)
	}
	got, err := g.recall(t.Context(), key)
	if err != nil || got == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	var paths []string
	for _, f := range got.files {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	if want := []string{"example.org/x/@v/v1.0.0.zip", "go.sum", "sumdb/sum.example/latest"}; !slices.Equal(paths, want) {
		t.Errorf("%q", paths)
	}
	if got.Notes[0] != "a note" || got.Evidence["proven"] != "1" || string(got.Heads["sum.example"]) != "head" {
		t.Errorf("%+v", got.collectedTreeRecord)
	}
	file := s.BlobFile(action.Of([]byte("zip")))
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("zap"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := g.recall(t.Context(), key); c != nil || err != nil {
		t.Errorf("a changed module came back: %+v, %v", c, err)
	}
	if _, err := os.Stat(filepath.Join(tree, "go.sum")); err != nil {
		t.Error(err)
	}
}
