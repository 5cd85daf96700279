package outputs

import (
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/paths"
)

// A Step is what a step declares.
type Step struct {
	Name     string
	WorkDir  string // directory that it runs in
	Outputs  []Declared
	OwnsDirs bool // its output directories outside dist are wholly its own
}

// A Declared is an output that a step declares.
type Declared struct {
	Path    string // relative to the project
	Dir     bool
	InPlace bool // the step reads it too: it is a source that the step changes
}

// An Index is what the steps of a graph declare, by path. All of it is known
// before anything runs. It does not change, so any goroutine may use it.
type Index struct {
	Steps    []Step
	outputs  map[string]Output
	outside  []string        // the outputs outside dist, sorted
	workDirs map[string]bool // directories that steps run in
}

// An Output is an output, and the step that makes it.
type Output struct {
	Path string
	Step int
	Dir  bool
}

// NewIndex makes an Index. What a step reads and writes back is a source, not an
// output. A step whose outputs do not appear in the project has none.
func NewIndex(dist string, steps []Step) *Index {
	x := &Index{Steps: steps, outputs: make(map[string]Output, len(steps)), workDirs: map[string]bool{}}
	for i := range steps {
		x.workDirs[steps[i].WorkDir] = true
		for _, out := range steps[i].Outputs {
			if out.InPlace {
				continue
			}
			x.outputs[out.Path] = Output{out.Path, i, out.Dir}
			if !paths.Below(dist, out.Path) {
				x.outside = append(x.outside, out.Path)
			}
		}
	}
	slices.Sort(x.outside)
	return x
}

// All returns the outputs by path. The caller must not change the map.
func (x *Index) All() map[string]Output { return x.outputs }

// Outside returns the outputs outside dist, sorted. The caller must not change the
// list.
func (x *Index) Outside() []string { return x.outside }

// Of returns the output that p is, or is in.
func (x *Index) Of(p string) (Output, bool) {
	for ; p != "." && p != "/"; p = path.Dir(p) {
		if out, ok := x.outputs[p]; ok {
			return out, true
		}
	}
	return Output{}, false
}

// Near lists the outputs outside dist that are p, are in it, or that it is in.
func (x *Index) Near(p string) []string {
	if p == "." {
		return x.outside
	}
	var out []string
	if around, ok := x.Of(p); ok && around.Path != p {
		out = append(out, around.Path)
	}
	from, _ := slices.BinarySearch(x.outside, p)
	for _, q := range x.outside[from:] {
		switch {
		case paths.Below(p, q):
			out = append(out, q)
		case !strings.HasPrefix(q, p):
			return out
		}
	}
	return out
}

// without leaves out what is an output file now.
func (x *Index) without(list []recordedFile) []recordedFile {
	return slices.DeleteFunc(list, func(f recordedFile) bool {
		out, ok := x.outputs[f.Path]
		return ok && !out.Dir
	})
}
