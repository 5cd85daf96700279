package workcopy

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/pipelines"
)

// A secret is of a step that signs with a key that is not here.
type secret struct{}

func (secret) Discover(context.Context, engine.Files) (engine.Discovery, error) {
	return engine.Discovery{}, nil
}

func (secret) Lacking() string { return "key site" }

// session is that of a project whose steps need one another as in
//
//	fetch ─► build ─► sign ─► publish ─► announce
//	           └────► stamp ─► notes
func session(t *testing.T) *project.Session {
	t.Helper()
	g := &engine.Graph{}
	for _, s := range []engine.Step{
		{Name: "fetch", Network: true},
		{Name: "build", After: []engine.StepID{0}},
		{Name: "sign", After: []engine.StepID{1}, Discoverer: secret{}},
		{Name: "publish", After: []engine.StepID{2}, Traits: engine.Traits{SideEffects: true}},
		{Name: "announce", After: []engine.StepID{3}},
		{Name: "stamp", After: []engine.StepID{1}, NoCache: true},
		{Name: "notes", After: []engine.StepID{5}},
	} {
		if _, err := g.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	return &project.Session{Project: &project.Project{Plan: &pipelines.Plan{Graph: g}}}
}

func TestSelect(t *testing.T) {
	v := Select(session(t), []engine.StepID{4, 6}, nil)
	for id, want := range []string{
		"may use the network", "", "does not have the secret of key site", "outside the project",
		"needs publish, which is left out", "never cached", "needs stamp, which is left out",
	} {
		got := v.Left[engine.StepID(id)]
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", v.Plan.Graph.Steps[id].Name, got, want)
		}
	}
	if got := v.StepNames(); !slices.Equal(got, []string{"build"}) {
		t.Errorf("made again: %q", got)
	}
}

// Of a sample the recorded results of all others are used, but not of what is never cached.
func TestSelectOnly(t *testing.T) {
	v := Select(session(t), []engine.StepID{1, 6}, map[engine.StepID]bool{1: true, 6: true})
	if got := v.StepNames(); !slices.Equal(got, []string{"build"}) {
		t.Errorf("made again: %q", got)
	}
	if v.Left[0] != notSampled || !v.reused(0) {
		t.Errorf("fetch: %q, reused %v", v.Left[0], v.reused(0))
	}
	if v.Left[5] != notSampled || v.reused(5) || v.Left[6] == "" {
		t.Errorf("stamp: %q, reused %v; notes: %q", v.Left[5], v.reused(5), v.Left[6])
	}
}

func TestRemember(t *testing.T) {
	v := Select(session(t), nil, nil)
	key := action.Of([]byte("key"))
	g := v.Plan.Graph
	for id, status := range []engine.Status{engine.Hit, engine.Done, engine.Failed} {
		v.remember(engine.Event{Kind: engine.StepFinished, ID: engine.StepID(id), Step: &g.Steps[id], Status: status, Key: key})
	}
	v.remember(engine.Event{Kind: engine.StepFinished, ID: 3, Step: &g.Steps[3], Status: engine.Done}) // without a key
	if got := slices.Sorted(maps.Keys(v.Keys)); !slices.Equal(got, []engine.StepID{0, 1}) {
		t.Errorf("keys of %v", got)
	}
	if !slices.Equal(v.Made, []string{"build"}) {
		t.Errorf("made %q", v.Made)
	}
}
