package provenance

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/tasks/gobinary"
)

// Names of the forms, as those who read statements know them.
const (
	statementType  = "https://in-toto.io/Statement/v1"
	predicateType  = "https://slsa.dev/provenance/v1"
	buildType      = "https://github.com/airbuild/airbuild/build/v1"
	defaultBuilder = "https://github.com/airbuild/airbuild"
)

// A Predicate is SLSA's provenance, version 1, as far as airbuild writes and
// reads it.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// A BuildDefinition says what was built from what.
type BuildDefinition struct {
	BuildType            string       `json:"buildType"`
	ExternalParameters   External     `json:"externalParameters"`
	InternalParameters   Internal     `json:"internalParameters"`
	ResolvedDependencies []Dependency `json:"resolvedDependencies"`
}

// External is what the user decided.
type External struct {
	Airbuildfile Dependency                 `json:"airbuildfile"`
	Includes     []Dependency               `json:"includes,omitempty"`
	Variables    map[string]json.RawMessage `json:"variables,omitempty"` // without sensitive ones
	Dirty        bool                       `json:"dirty,omitempty"`     // the sources were not those of the commit
}

// Internal is what airbuild did: the actions of all steps that the files come
// from, by their keys, and the host if it was asked for.
type Internal struct {
	Actions []Action    `json:"actions"`
	Host    *Dependency `json:"host,omitempty"`
}

// An Action is a step with the SHA-256 of its Remote Execution API action.
type Action struct {
	Step   string            `json:"step"`
	Type   string            `json:"type"`
	Digest map[string]string `json:"digest"`
}

// A Dependency is something that went in, by URI and digest.
type Dependency struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
	Name   string            `json:"name,omitempty"`
}

// RunDetails say who built. There is no time in them: it would make every
// statement another one.
type RunDetails struct {
	Builder Builder `json:"builder"`
}

// A Builder is who built.
type Builder struct {
	ID string `json:"id"`
}

// sha256Of is a digest set.
func sha256Of(hex string) map[string]string { return map[string]string{"sha256": hex} }

// dependency is a module as in-toto's digests have it: dirHash is Go's h1.
func dependency(m gobinary.Module) Dependency {
	d := Dependency{URI: m.PURL(), Name: m.String()}
	if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
		if raw, err := base64.StdEncoding.DecodeString(sum); err == nil {
			d.Digest = map[string]string{"dirHash": hex.EncodeToString(raw)}
		}
	}
	return d
}

// encode is a statement as JSON without white space.
func encode(subjects []sign.Subject, p *Predicate) ([]byte, error) {
	predicate, err := canonjson.Compact(p)
	if err != nil {
		return nil, err
	}
	return canonjson.Compact(sign.Statement{Type: statementType, Subject: subjects, PredicateType: predicateType, Predicate: predicate})
}
