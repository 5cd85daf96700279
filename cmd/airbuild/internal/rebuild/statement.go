package rebuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/canonjson"
)

// predicateType is the type of the statement that verify signs. docs/verify.md
// describes it.
const predicateType = "https://github.com/airbuild/airbuild/rebuild/v1"

// A predicate says how files came to be called the same.
type predicate struct {
	Airbuild  string      `json:"airbuild"`
	Builder   string      `json:"builder"`
	Host      string      `json:"host,omitempty"` // SHA-256 of the host's fingerprint
	Against   string      `json:"against"`
	Commit    string      `json:"commit,omitempty"`
	Describe  string      `json:"describe,omitempty"`
	Finished  string      `json:"finished"`
	Identical bool        `json:"identical"` // nothing differed and nothing failed
	Different []string    `json:"different"` // paths
	LeftOut   []string    `json:"left_out"`  // steps
	Varied    []Condition `json:"varied"`
	Constant  []Condition `json:"not_varied"`
}

// Statement is a statement of what came out the same, in its canonical form; nil
// if nothing did.
func Statement(ctx context.Context, r *Report, airbuild, builder string) ([]byte, error) {
	p := predicate{
		Airbuild: airbuild, Builder: builder, Against: r.Against,
		Finished: time.Now().UTC().Format(time.RFC3339), Identical: r.OK,
		Different: []string{}, LeftOut: []string{}, Varied: r.Varied, Constant: r.Constant,
	}
	if s := r.Source; s != nil {
		p.Commit, p.Describe = s.Commit, s.Describe
	}
	if f, err := host.Take(ctx, host.Options{}); err == nil {
		if b, err := f.Encode(); err == nil {
			sum := sha256.Sum256(b)
			p.Host = hex.EncodeToString(sum[:])
		}
	}
	statement := sign.Statement{Type: "https://in-toto.io/Statement/v1", PredicateType: predicateType}
	for _, s := range r.Steps {
		if s.Status == LeftOut {
			p.LeftOut = append(p.LeftOut, s.Step)
		}
		for _, o := range s.Outputs {
			if !o.Same {
				p.Different = append(p.Different, o.Path)
			} else if o.New != "" {
				statement.Subject = append(statement.Subject, sign.Subject{Name: o.Path, Digest: map[string]string{"sha256": o.New}})
			}
		}
	}
	if len(statement.Subject) == 0 {
		return nil, nil
	}
	var err error
	if statement.Predicate, err = canonjson.Compact(p); err != nil {
		return nil, err
	}
	return canonjson.Compact(statement)
}
