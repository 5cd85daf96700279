package decode

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// A Suspicion is what a place gives rise to: one for all cells of a stage.
type Suspicion struct {
	At   hcl.Range
	By   *eval.Stage
	Kind SuspectKind
}

type SuspectKind uint8

const (
	APath    SuspectKind = iota
	AText                // a string that is no path by its kind: it need not exist
	APattern             // one that matches nothing yet, and is expanded again in the run
	AList                // one that matches nothing, and is not
)

// Suspects are a set of them, by their places: ten thousand cells suspect a
// path each at one place. The zero Suspects is empty and ready to use.
type Suspects struct {
	paths map[Suspicion]map[string]struct{}
	last  Suspicion // the one that was added to last, and its paths
	of    map[string]struct{}
}

// Add notes a path and what gives rise to it.
func (s *Suspects) Add(path string, by Suspicion) {
	s.at(by)[path] = struct{}{}
}

// at returns the paths of a place.
func (s *Suspects) at(by Suspicion) map[string]struct{} {
	if s.of != nil && s.last == by {
		return s.of
	}
	of := s.paths[by]
	if of == nil {
		if s.paths == nil {
			s.paths = map[Suspicion]map[string]struct{}{}
		}
		of = map[string]struct{}{}
		s.paths[by] = of
	}
	s.last, s.of = by, of
	return of
}

// Join adds all that other has.
func (s *Suspects) Join(other *Suspects) {
	for by, paths := range other.paths {
		maps.Copy(s.at(by), paths)
	}
}

// Sorted goes through the places in the order of the source, with the paths of
// each, sorted.
func (s *Suspects) Sorted() iter.Seq2[Suspicion, []string] {
	places := slices.SortedFunc(maps.Keys(s.paths), func(a, b Suspicion) int {
		return cmp.Or(
			cmp.Compare(a.At.Filename, b.At.Filename), cmp.Compare(a.At.Start.Byte, b.At.Start.Byte),
			cmp.Compare(a.At.End.Byte, b.At.End.Byte), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.By.Decl.Name, b.By.Decl.Name))
	})
	return func(yield func(Suspicion, []string) bool) {
		for _, by := range places {
			if !yield(by, slices.Sorted(maps.Keys(s.paths[by]))) {
				return
			}
		}
	}
}
