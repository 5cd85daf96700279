package tasks

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/lists"
)

// Has reports whether the attribute is set and not null. Attributes of nested
// blocks are named "block.attr" or "block.label.attr".
func (b *Block) Has(name string) bool {
	_, ok := b.Values[name]
	return ok
}

// String returns a String or Output attribute, or "" if it is not set.
func (b *Block) String(name string) string { return b.StringOr(name, "") }

// StringOr returns a String or Output attribute, or def if it is not set.
func (b *Block) StringOr(name, def string) string {
	if v, ok := b.Values[name]; ok {
		return v.Cty.AsString()
	}
	return def
}

// Bool returns a Bool attribute, or def if it is not set.
func (b *Block) Bool(name string, def bool) bool {
	if v, ok := b.Values[name]; ok {
		return v.Cty.True()
	}
	return def
}

// Int returns a Number attribute, or def if it is not set.
func (b *Block) Int(name string, def int) int {
	v, ok := b.Values[name]
	if !ok {
		return def
	}
	n, _ := v.Cty.AsBigFloat().Int64()
	return int(n)
}

// Duration returns a Duration attribute, or zero if it is not set.
func (b *Block) Duration(name string) time.Duration { return b.Values[name].Duration }

// Strings returns a Strings or Outputs attribute, or nil if it is not set.
func (b *Block) Strings(name string) []string {
	v, ok := b.Values[name]
	if !ok {
		return nil
	}
	return lists.Map(v.Cty.AsValueSlice(), func(e cty.Value) string { return e.AsString() })
}

// Map returns a StringMap attribute, or nil if it is not set.
func (b *Block) Map(name string) map[string]string {
	v, ok := b.Values[name]
	if !ok {
		return nil
	}
	out := map[string]string{}
	for k, e := range v.Cty.AsValueMap() {
		out[k] = e.AsString()
	}
	return out
}

// Cty returns an Any attribute, or cty.NilVal if it is not set.
func (b *Block) Cty(name string) cty.Value { return b.Values[name].Cty }

// Paths returns a Path or Paths attribute with its patterns expanded.
func (b *Block) Paths(name string) []PathValue { return b.Values[name].Paths }

// Stages returns what a StageRef attribute refers to: one element, or none; of
// a StageRefs attribute one element for each.
func (b *Block) Stages(name string) []StageValue { return b.Values[name].Stages }

// RangeOf returns where an attribute's expression stands, or the stage's
// header if it is not set.
func (b *Block) RangeOf(name string) hcl.Range {
	if v, ok := b.Values[name]; ok {
		return v.Range
	}
	return b.Range
}

// ReadyMadeDir begins the names of the files of ready-made pipelines.
const ReadyMadeDir = "airbuild/pipelines"

// ReadyMade reports whether an attribute is written in a ready-made pipeline,
// so that the user has not chosen its value.
func (b *Block) ReadyMade(name string) bool {
	return strings.HasPrefix(b.RangeOf(name).Filename, ReadyMadeDir+"/")
}

// Error makes an error diagnostic at an attribute (or at the stage's header
// for a name that is not set). The summary is terse; the detail says what to do.
func (b *Block) Error(attr, summary, detail string) *hcl.Diagnostic {
	r := b.RangeOf(attr)
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &r}
}

// NoFiles is the error of an attribute that lists paths, and lists none.
func (b *Block) NoFiles(attr, summary string) *hcl.Diagnostic {
	why := cmp.Or(b.Values[attr].Empty, "An empty pattern is often a misspelt one.")
	return b.Error(attr, summary, attr[strings.LastIndexByte(attr, '.')+1:]+" names no file. "+why)
}

// DistPath is where an output of a stage type that writes to dist/ lands.
func (b *Block) DistPath(p string) string { return path.Join(b.Project.Dist, p) }

// DirPath is where a path relative to the stage's dir lands.
func (b *Block) DirPath(p string) string { return path.Join(b.Meta.Dir, p) }

// WorkingDirectory is Meta.Dir in the form of a Command: "" for the root.
func (b *Block) WorkingDirectory() string {
	if b.Meta.Dir == "." {
		return ""
	}
	return b.Meta.Dir
}

// NewStep returns a step with everything filled in that the meta-arguments
// say: names, environment, secrets, declared inputs, time limit, retries.
// The task adds the command, further inputs and facts.
func (b *Block) NewStep(mode engine.Mode) engine.Step {
	s := engine.Step{
		Name:        b.StepName,
		Stage:       b.Name,
		Cell:        b.Cell,
		Type:        b.Type,
		Description: b.Description,
		Mode:        mode,
		Timeout:     b.Meta.Timeout,
		Retries:     b.Meta.Retries,
		CPU:         b.Meta.CPU,
		Memory:      b.Meta.Memory,
		NoCache:     !b.Meta.Cache,
		Origin:      b.Range.String(),
	}
	if b.Meta.Network != nil {
		s.Network = *b.Meta.Network
	}
	env := maps.Clone(b.Meta.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, b.Meta.PassEnv)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		v := action.EnvVar{Name: name, Value: env[name]}
		if _, secret := b.Meta.Secrets[name]; secret {
			s.Secrets = append(s.Secrets, v)
		} else {
			s.Command.Env = append(s.Command.Env, v)
		}
	}
	if len(b.Meta.Inputs) > 0 {
		s.Inputs = append(s.Inputs, engine.GlobInput(b.Meta.Dir, b.Meta.Inputs...))
	}
	for _, p := range b.Meta.InputRefs {
		s.Inputs = append(s.Inputs, p.Input())
	}
	for _, name := range slices.Sorted(maps.Keys(b.Values)) {
		if v := b.Values[name]; v.Sensitive && v.Cty.Type() == cty.String {
			s.Mask = append(s.Mask, v.Cty.AsString())
		}
	}
	return s
}

// Input is the path as a step's input, landing where it is in the project.
func (p PathValue) Input() engine.Input {
	if p.Ref != nil {
		return engine.StepInput(p.Path, p.Ref.Step, p.Path)
	}
	return engine.FileInput(p.Path)
}

// SetEnv sets a variable of the command's environment, unless the user's own
// env or pass_env set it already.
func SetEnv(s *engine.Step, name, value string) {
	has := func(e action.EnvVar) bool { return e.Name == name }
	if slices.ContainsFunc(s.Command.Env, has) || slices.ContainsFunc(s.Secrets, has) {
		return
	}
	s.Command.Env = append(s.Command.Env, action.EnvVar{Name: name, Value: value})
}

// SetOutputs declares the command's outputs, relative to its working
// directory, in both forms of the API.
func SetOutputs(s *engine.Step, files, dirs []string) {
	s.Command.OutputFiles = slices.Sorted(slices.Values(files))
	s.Command.OutputDirectories = slices.Sorted(slices.Values(dirs))
	s.Command.OutputPaths = slices.Sorted(slices.Values(slices.Concat(files, dirs)))
	if len(dirs) > 0 {
		s.Command.OutputDirectoryFormat = action.TreeAndDirectory
	}
}
