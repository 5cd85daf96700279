package rebuild

import (
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

func TestReadRebuilt(t *testing.T) {
	key := action.Of([]byte("key"))
	made, problem := readRebuilt(strings.NewReader(`{"event":"step","step":"bin","status":"running"}
{"event":"log","step":"bin","text":"one\n"}
no JSON
{"event":"log","step":"bin","text":"two\n"}
{"event":"diagnostic","severity":"warning","summary":"old","detail":"x"}
{"event":"step","step":"bin","status":"done","key":"` + key.Hex() + `"}
{"event":"step","step":"zip","status":"failed","error":"exit 1"}
{"event":"step","step":"tar","status":"skipped","reason":"zip failed"}
`))
	if len(made) != 3 || problem != "" {
		t.Fatalf("got %v, problem %q", made, problem)
	}
	if bin := made["bin"]; bin.status != "done" || bin.key.Hash != key.Hash || bin.log != "one\ntwo\n" || bin.err != "" {
		t.Errorf("bin: %+v", bin)
	}
	if zip := made["zip"]; zip.status != "failed" || zip.err != "exit 1" || !zip.key.IsZero() {
		t.Errorf("zip: %+v", zip)
	}
	if tar := made["tar"]; tar.err != "zip failed" {
		t.Errorf("tar: %+v", tar)
	}
	_, problem = readRebuilt(strings.NewReader(`{"event":"diagnostic","severity":"error","summary":"no Go","detail":"install it"}`))
	if problem != "no Go: install it" {
		t.Errorf("problem %q", problem)
	}
}

func TestUnion(t *testing.T) {
	a := map[string]outputFile{"b": {}, "d": {}}
	b := map[string]outputFile{"a": {}, "b": {}, "c": {}}
	if got := union(a, b); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("got %q", got)
	}
}

func TestCompilesGoOnly(t *testing.T) {
	for _, test := range []struct {
		toolchain bool
		cgo       string
		want      bool
	}{{true, "0", true}, {true, "1", false}, {false, "0", false}} {
		s := &engine.Step{Traits: engine.Traits{ToolchainOnly: test.toolchain}}
		s.Command.Env = []action.EnvVar{{Name: "CGO_ENABLED", Value: test.cgo}}
		if got := compilesGoOnly(s); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

// seen is an audit of four hits and a result that was made.
func seen(rate float64) *Hits {
	h := &Hits{Rate: rate, Keys: map[engine.StepID]action.Digest{}}
	key := action.Of([]byte("key"))
	for id := range engine.StepID(4) {
		h.See(engine.Event{Kind: engine.StepFinished, ID: id, Status: engine.Hit, Key: key})
	}
	h.See(engine.Event{Kind: engine.StepFinished, ID: 4, Status: engine.Done, Key: key})
	h.See(engine.Event{Kind: engine.StepFinished, ID: 5, Status: engine.Hit}) // without a key
	h.See(engine.Event{Kind: engine.StepStarted, ID: 6, Status: engine.Hit, Key: key})
	h.See(engine.Event{Kind: engine.StepFinished, ID: 7, Status: engine.Failed, Key: key})
	return h
}

func TestSample(t *testing.T) {
	any := func(engine.StepID) bool { return true }
	h := seen(1)
	if len(h.Keys) != 5 {
		t.Errorf("keys of %v", h.Keys)
	}
	if got := h.sample(any); len(got) != 4 || got[4] {
		t.Errorf("all: got %v", got)
	}
	if got := h.sample(func(id engine.StepID) bool { return id == 2 }); len(got) != 1 || !got[2] {
		t.Errorf("only 2: got %v", got)
	}
	if got := h.sample(func(engine.StepID) bool { return false }); len(got) != 0 {
		t.Errorf("none suits: got %v", got)
	}
	if got := seen(0).sample(any); len(got) != 1 {
		t.Errorf("at least one: got %v", got)
	}
}
