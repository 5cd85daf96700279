package signatures

import (
	"io"
	"os"

	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks/provenance"
)

// A Stated is a statement that was checked.
type Stated struct {
	OK      bool     `json:"ok"`
	Keys    []string `json:"keys"`  // ids
	Names   []string `json:"names"` // what the keyring calls them
	Builder string   `json:"builder"`
	Source  string   `json:"source"`
	Commit  string   `json:"commit"`
	Dirty   bool     `json:"dirty"`
	Actions int      `json:"actions"`
	Files   []string `json:"files"` // those that it is about
}

func OpenStatement(name string, o provenance.Policy) (*provenance.Statement, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, provenance.MaxStatement+1))
	if err != nil {
		return nil, err
	}
	return provenance.Open(text, o)
}

func ReportOf(s *provenance.Statement, ring *sign.Keyring) *Stated {
	b := &s.Predicate.BuildDefinition
	out := &Stated{
		Builder: s.Predicate.RunDetails.Builder.ID, Dirty: b.ExternalParameters.Dirty, Actions: len(b.InternalParameters.Actions),
		Keys: []string{}, Names: []string{}, Files: []string{},
	}
	out.Source, out.Commit = s.Source()
	for _, k := range s.SignedBy {
		out.Keys = append(out.Keys, k.ID().String())
		out.Names = append(out.Names, ring.Name(k))
	}
	return out
}
