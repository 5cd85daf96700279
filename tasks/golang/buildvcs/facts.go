package buildvcs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
)

// Names of the facts of a step whose program is stamped: all that is written, and
// nothing else of the repository, is in the key.
const (
	commitFact    = "vcs"
	versionPrefix = "version of "
)

// Facts are the stamp in the key of a step.
func (s *Stamp) Facts() []engine.Fact {
	text := "git " + s.Hash + " " + s.Time.UTC().Format(time.RFC3339)
	if s.Modified {
		text += " modified"
	}
	facts := []engine.Fact{{Name: commitFact, Value: text}}
	for _, p := range slices.Sorted(maps.Keys(s.Versions)) {
		facts = append(facts, engine.Fact{Name: versionPrefix + p, Value: s.Versions[p]})
	}
	return facts
}

// Of returns the stamp of a step; nil if it has none.
func Of(facts []engine.Fact) (*Stamp, error) {
	var s *Stamp
	for _, f := range facts {
		if f.Name != commitFact {
			continue
		}
		words := strings.Fields(f.Value)
		if len(words) < 3 {
			return nil, fmt.Errorf("read the stamped commit: %q", f.Value)
		}
		at, err := time.Parse(time.RFC3339, words[2])
		if err != nil {
			return nil, fmt.Errorf("read the stamped commit: %w", err)
		}
		s = &Stamp{Hash: words[1], Time: at, Modified: len(words) > 3, Versions: map[string]string{}}
	}
	if s == nil {
		return nil, nil
	}
	for _, f := range facts {
		if p, ok := strings.CutPrefix(f.Name, versionPrefix); ok {
			s.Versions[p] = f.Value
		}
	}
	return s, nil
}

// From reports whether versions of all modules can be derived where the module at the
// top of the repository has the given path.
func (s *Stamp) From(root string) bool {
	for p, version := range s.Versions {
		if _, ok := place(root, p); !ok && version != Devel {
			return false
		}
	}
	return true
}

// Common is a path for the module at the top from which the versions can be derived:
// what the paths of the modules begin with. Empty: there are no versions.
func (s *Stamp) Common() string {
	var common []string
	for _, p := range slices.Sorted(maps.Keys(s.Versions)) {
		if s.Versions[p] == Devel {
			continue
		}
		elems := strings.Split(p, "/")
		if common == nil {
			common = elems
		}
		n := 0
		for n < min(len(common), len(elems)) && common[n] == elems[n] {
			n++
		}
		common = common[:n]
	}
	return strings.Join(common, "/")
}
