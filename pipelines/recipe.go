package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/tasks"
)

// recipe says what the plan came from, if a stage states it: files, the user's
// variables but for sensitive ones, and the commit.
func (p *planner) recipe(git func([]string) (*dsl.Git, error)) *tasks.Recipe {
	if !p.anyStage(func(t tasks.Traits) bool { return t.Recipe }) {
		return nil
	}
	r := &tasks.Recipe{}
	own := p.plan.Module.Name
	for _, name := range slices.SortedFunc(maps.Keys(p.written), func(a, b string) int {
		if (a == own) != (b == own) {
			return map[bool]int{true: -1, false: 1}[a == own]
		}
		return strings.Compare(a, b)
	}) {
		sum := sha256.Sum256(p.written[name])
		r.Files = append(r.Files, tasks.RecipeFile{Name: name, SHA256: hex.EncodeToString(sum[:])})
	}
	if p.user.Vars.IsKnown() && !p.user.Vars.IsNull() {
		for name, v := range p.user.Vars.AsValueMap() {
			if v.ContainsMarked() || !v.IsWhollyKnown() {
				continue // sensitive, or a mistake of the file
			}
			if text, err := ctyjson.Marshal(v, v.Type()); err == nil {
				r.Variables = append(r.Variables, tasks.Variable{Name: name, Value: string(text)})
			}
		}
	}
	slices.SortFunc(r.Variables, func(a, b tasks.Variable) int { return strings.Compare(a.Name, b.Name) })
	if git == nil {
		return r
	}
	if g, err := git([]string{"commit", "dirty"}); err == nil && g != nil {
		r.Commit, r.Dirty = g.Commit, g.Dirty
	}
	return r
}
