package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// SetTool makes s a run of the in-process tool of the given name. The version
// is the tool's own and changes only when the bytes it writes would.
//
// The spec becomes the command's last argument and thereby part of the key, so
// its JSON must come out the same every time: a struct of strings, numbers and
// slices, no maps. Fields that are not set are best left out (omitempty), so
// that a new one does not change old keys.
func SetTool(s *engine.Step, name, version string, spec any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(spec); err != nil {
		return fmt.Errorf("encode the spec of airbuild:%s: %w", name, err)
	}
	s.Command.Arguments = []string{"airbuild:" + name, version, strings.TrimSuffix(b.String(), "\n")}
	return nil
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

// AddRefs makes the step depend on every step output that an attribute's value
// was computed from: outputs become inputs where they are in the project.
func AddRefs(s *engine.Step, refs []Ref) {
	for _, r := range refs {
		if r.Path == "" {
			s.After = append(s.After, r.Step)
			continue
		}
		AddInput(s, engine.StepInput(r.Path, r.Step, r.Path))
	}
}

// AddInput adds an input unless the step has the same one already.
func AddInput(s *engine.Step, in engine.Input) {
	same := func(o engine.Input) bool {
		return o.Kind == in.Kind && o.Path == in.Path && o.File == in.File && o.Step == in.Step && o.From == in.From &&
			len(o.Patterns) == 0 && len(in.Patterns) == 0 && o.Kind != engine.FromText && o.Kind != engine.FromBlob
	}
	if !slices.ContainsFunc(s.Inputs, same) {
		s.Inputs = append(s.Inputs, in)
	}
}
