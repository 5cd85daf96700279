package pipelines

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// A suspect is a path that a user wrote out. When all outputs are known it is
// checked whether a stage makes it, and if not, whether it is there.
type suspect struct {
	suspicion
	path string
}

// A suspicion is what a place gives rise to: one for all cells of a stage.
type suspicion struct {
	at   hcl.Range
	by   *stage
	kind suspectKind
}

type suspectKind uint8

const (
	aPath    suspectKind = iota
	aText                // a string that is no path by its kind: it need not exist
	aPattern             // one that matches nothing yet, and is expanded again in the run
	aList                // one that matches nothing, and is not
)

// suspects are a set of them, by their places: ten thousand cells suspect a
// path each at one place. The zero suspects is empty and ready to use.
type suspects struct {
	paths map[suspicion]map[string]struct{}
	last  suspicion // the one that was added to last, and its paths
	of    map[string]struct{}
}

func (s *suspects) add(path string, by suspicion) {
	s.at(by)[path] = struct{}{}
}

// at returns the paths of a place.
func (s *suspects) at(by suspicion) map[string]struct{} {
	if s.of != nil && s.last == by {
		return s.of
	}
	of := s.paths[by]
	if of == nil {
		if s.paths == nil {
			s.paths = map[suspicion]map[string]struct{}{}
		}
		of = map[string]struct{}{}
		s.paths[by] = of
	}
	s.last, s.of = by, of
	return of
}

// join adds all that other has.
func (s *suspects) join(other *suspects) {
	for by, paths := range other.paths {
		maps.Copy(s.at(by), paths)
	}
}

// sorted goes through the places in the order of the source, with the paths of
// each, sorted.
func (s *suspects) sorted() iter.Seq2[suspicion, []string] {
	places := slices.SortedFunc(maps.Keys(s.paths), func(a, b suspicion) int {
		return cmp.Or(
			cmp.Compare(a.at.Filename, b.at.Filename), cmp.Compare(a.at.Start.Byte, b.at.Start.Byte),
			cmp.Compare(a.at.End.Byte, b.at.End.Byte), cmp.Compare(a.kind, b.kind),
			cmp.Compare(a.by.decl.Name, b.by.decl.Name))
	})
	return func(yield func(suspicion, []string) bool) {
		for _, by := range places {
			if !yield(by, slices.Sorted(maps.Keys(s.paths[by]))) {
				return
			}
		}
	}
}
