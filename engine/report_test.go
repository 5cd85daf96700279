package engine

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// damages is a DamageReporter with something to report once.
type damages []*action.Damaged

func (d *damages) TakeDamaged() []*action.Damaged {
	list := *d
	*d = nil
	return list
}

// TestReporter: what happened is counted, remembered and reported, notes on
// compiling once.
func TestReporter(t *testing.T) {
	g := &Graph{Steps: []Step{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	var got []string
	p := reporter{
		g: g, hist: loadHistory(t.TempDir()), noted: map[string]bool{},
		damaged: &damages{{What: "blob", Reason: "its content changed"}},
		onEvent: func(e Event) {
			text := e.Reason
			if e.Step != nil {
				text = e.Step.Name
			}
			if e.Time.IsZero() {
				t.Errorf("%s: no time", text)
			}
			got = append(got, text)
		},
	}
	notes := Compiled{Hits: 2, Misses: 1, Notes: []string{"slow"}, Damaged: []string{"an object"}}
	p.finished(&Event{ID: 0, Status: Done, Duration: time.Second, Compiled: notes, Outputs: []Output{{Size: 7}}})
	p.finished(&Event{ID: 1, Status: Hit, Saved: time.Minute, Compiled: Compiled{Notes: []string{"slow"}}})
	p.finished(&Event{ID: 2, Status: Failed, Err: errors.New("broken")})

	if len(got) < 1 || got[0] == "a" {
		t.Fatalf("damage is not reported first: %q", got)
	}
	if want := []string{"store: an object", "compile cache: slow", "a", "b", "c"}; !slices.Equal(got[1:], want) {
		t.Errorf("events %q, want %q", got[1:], want)
	}
	s := p.sum
	if s.Ran != 1 || s.Hits != 1 || s.Failed != 1 || s.Saved != time.Minute || s.Damaged != 2 || s.CompileHits != 2 || s.CompileMisses != 1 {
		t.Errorf("summary %+v", s)
	}
	if len(s.Failures) != 1 || s.Failures[0].Step != &g.Steps[2] || s.Failures[0].Err == nil {
		t.Errorf("failures %+v", s.Failures)
	}
	a, ok := p.hist.last("a")
	if b, hit := p.hist.last("b"); !ok || !hit || a.MS != 1000 || !slices.Equal(a.Sizes, []int64{7}) || b.MS != 60_000 {
		t.Errorf("history %+v, %+v", a, b)
	}
	if _, ok := p.hist.last("c"); ok {
		t.Error("a failure is remembered")
	}

	dry := reporter{g: g, dry: true, hist: loadHistory(t.TempDir())}
	dry.finished(&Event{ID: 0, Status: Hit})
	if _, ok := dry.hist.last("a"); ok {
		t.Error("a dry run is remembered")
	}
}
