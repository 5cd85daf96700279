package tasks_test

import (
	"slices"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

func TestSpec(t *testing.T) {
	type spec struct {
		B string `json:"b"`
		A int    `json:"a,omitempty"`
	}
	var s engine.Step
	if err := tasks.SetTool(&s, "x", "2", spec{B: "<&>\u2028"}); err != nil {
		t.Fatal(err)
	}
	argv := s.Command.Arguments
	if len(argv) != 3 || argv[0] != "airbuild:x" || argv[1] != "2" || argv[2] != `{"b":"<&>\u2028"}` {
		t.Fatalf("%q", argv)
	}
	for text, ok := range map[string]bool{argv[2]: true, `{"b":"","c":1}`: false, `{} {}`: false, ``: false} {
		var got spec
		if err := tasks.ReadSpec(&engine.ToolCall{Args: []string{text}}, &got); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := tasks.ReadSpec(&engine.ToolCall{}, &spec{}); err == nil {
		t.Error("no argument, no error")
	}
}

func TestAddRefs(t *testing.T) {
	var s engine.Step
	tasks.AddRefs(&s, []tasks.Ref{{Step: 1, Path: "a"}, {Step: 1, Path: "a"}, {Step: 2}})
	if len(s.Inputs) != 1 || s.Inputs[0].From != "a" || len(s.After) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAddInput(t *testing.T) {
	text := engine.TextInput("t", []byte("x"))
	glob := engine.GlobInput(".", "*.go")
	var s engine.Step
	tasks.AddInput(&s, engine.FileInput("a"), engine.FileInput("a"), text, text, glob, glob)
	tasks.AddInput(&s, engine.FileInput("a"), engine.StepInput("a", 1, "a"), engine.StepInput("a", 2, "a"), engine.StepInput("a", 1, "a"))
	tasks.AddInput(&s)
	var got []engine.InputKind
	for _, in := range s.Inputs {
		got = append(got, in.Kind)
	}
	want := []engine.InputKind{engine.FromFile, engine.FromText, engine.FromText, engine.FromGlob, engine.FromGlob, engine.FromStep, engine.FromStep}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
