package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/internal/lists"
)

// SetTool makes s a run of the in-process tool of the given name. The version
// is the tool's own and changes only when the bytes it writes would.
//
// The spec becomes the command's last argument and thereby part of the key, so
// its JSON must come out the same every time: a struct of strings, numbers and
// slices, no maps. Fields that are not set are best left out (omitempty), so
// that a new one does not change old keys.
func SetTool(s *engine.Step, name, version string, spec any) error {
	text, err := canonjson.Compact(spec)
	if err != nil {
		return fmt.Errorf("encode the spec of airbuild:%s: %w", name, err)
	}
	s.Command.Arguments = []string{"airbuild:" + name, version, string(text)}
	return nil
}

// ToolStep makes s a run of an in-process tool as SetTool does, and returns it as
// the step of the stage unless one of diags is an error.
func (b *Block) ToolStep(s engine.Step, name, version string, spec any, diags hcl.Diagnostics) ([]engine.Step, hcl.Diagnostics) {
	if err := SetTool(&s, name, version, spec); err != nil {
		diags = append(diags, b.Error("", "Step cannot be described", err.Error()))
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return []engine.Step{s}, diags
}

// ReadSpec decodes the spec that SetTool wrote into spec. Fields it does not
// know are errors: they would change the output.
func ReadSpec(call *engine.ToolCall, spec any) error {
	if len(call.Args) != 1 {
		return fmt.Errorf("read spec: %d arguments, want 1", len(call.Args))
	}
	d := json.NewDecoder(strings.NewReader(call.Args[0]))
	d.DisallowUnknownFields()
	if err := d.Decode(spec); err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read spec: text after its end")
	}
	return nil
}

// A Tool is an in-process tool that gets a spec of its work.
type Tool[S any] func(ctx context.Context, call *engine.ToolCall, sp *S) error

// Run implements engine.Tool.
func (t Tool[S]) Run(ctx context.Context, call *engine.ToolCall) error {
	var sp S
	if err := ReadSpec(call, &sp); err != nil {
		return err
	}
	return t(ctx, call, &sp)
}

// Private is what the step's InputDiscoverer found for its tool alone: engine.Discovery.Private.
func Private[T any](call *engine.ToolCall) (T, error) {
	v, ok := call.Private.(T)
	if !ok { // the engine lists before it runs
		return v, fmt.Errorf("the step was not prepared: %T is missing", v)
	}
	return v, nil
}

// AddRefs makes the step depend on every step output that an attribute's value
// was computed from: outputs become inputs where they are in the project.
func AddRefs(s *engine.Step, refs []Ref) {
	ins := make([]engine.Input, 0, len(refs))
	for _, r := range refs {
		if r.Path == "" {
			s.After = append(s.After, r.Step)
			continue
		}
		ins = append(ins, engine.StepInput(r.Path, r.Step, r.Path))
	}
	AddInput(s, ins...)
}

// AddRefs adds what all attributes but some were computed from, as the function
// of that name does.
func (b *Block) AddRefs(s *engine.Step, but ...string) {
	for _, name := range slices.Sorted(maps.Keys(b.Values)) {
		if !slices.Contains(but, name) {
			AddRefs(s, b.Values[name].Refs)
		}
	}
}

// Follow makes the step run after the steps that all attributes but some were
// computed from: what these made is no input.
func (b *Block) Follow(s *engine.Step, but ...string) {
	for name, v := range b.Values {
		if !slices.Contains(but, name) {
			s.After = append(s.After, lists.Map(v.Refs, func(r Ref) engine.StepID { return r.Step })...)
		}
	}
	s.After = lists.Unique(s.After)
}

// Mask makes all texts in sensitive attributes ones that no log shows.
func (b *Block) Mask(s *engine.Step) {
	for _, v := range b.Values {
		if v.Sensitive {
			s.Mask = append(s.Mask, Texts(v.Cty)...)
		}
	}
	s.Mask = lists.Unique(s.Mask)
}

// Texts are the strings in a value, those that are empty left out.
func Texts(v cty.Value) (out []string) {
	if v == cty.NilVal {
		return nil
	}
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.IsKnown() && !v.IsNull() && v.Type() == cty.String && v.AsString() != "" {
			out = append(out, v.AsString())
		}
		return true, nil
	})
	return out
}

// AddPaths makes files, or outputs of other steps, inputs where they are.
func AddPaths(s *engine.Step, paths []PathValue) {
	ins := make([]engine.Input, 0, len(paths))
	for _, p := range paths {
		ins = append(ins, p.Input())
	}
	AddInput(s, ins...)
}

// AddInput adds inputs, each unless the step has the same one already. It
// looks through the step's inputs once a call, so many are best added by one.
func AddInput(s *engine.Step, ins ...engine.Input) {
	if len(ins) == 0 {
		return
	}
	have := make(map[inputName]bool, len(s.Inputs)+len(ins))
	for _, o := range s.Inputs {
		if n, ok := nameOf(o); ok {
			have[n] = true
		}
	}
	for _, in := range ins {
		n, ok := nameOf(in)
		if ok && have[n] {
			continue
		}
		if ok {
			have[n] = true
		}
		s.Inputs = append(s.Inputs, in)
	}
}

// An inputName is all of an input that tells it from others.
type inputName struct {
	kind             engine.InputKind
	path, file, from string
	step             engine.StepID
}

// nameOf returns an input's name. Patterns and contents have none: those
// inputs are never the same.
func nameOf(in engine.Input) (inputName, bool) {
	n := inputName{in.Kind, in.Path, in.File, in.From, in.Step}
	return n, len(in.Patterns) == 0 && in.Kind != engine.FromText && in.Kind != engine.FromBlob
}
