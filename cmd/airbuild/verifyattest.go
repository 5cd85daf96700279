package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/sign"
)

// predicateRebuild is the type of the statement that verify signs. docs/verify.md
// describes it.
const predicateRebuild = "https://github.com/airbuild/airbuild/rebuild/v1"

// A rebuildPredicate says how files came to be called the same.
type rebuildPredicate struct {
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
	Varied    []variation `json:"varied"`
	Constant  []variation `json:"not_varied"`
}

// attest writes the statement of what came out the same, signed. Without any
// such file there is nothing to state, and no file is written.
func (v *verification) attest(ctx context.Context, keys []*sign.SecretKey) error {
	if v.f.attest == "" {
		return nil
	}
	p := rebuildPredicate{
		Airbuild: readVersion().Version, Builder: actor(), Against: v.report.Against,
		Finished: time.Now().UTC().Format(time.RFC3339), Identical: v.report.OK,
		Different: []string{}, LeftOut: []string{}, Varied: v.report.Varied, Constant: v.report.Constant,
	}
	if s := v.world.Source; s != nil {
		p.Commit, p.Describe = s.Commit, s.Describe
	}
	if f, err := host.Take(ctx, host.Options{}); err == nil {
		if b, err := f.Encode(); err == nil {
			sum := sha256.Sum256(b)
			p.Host = hex.EncodeToString(sum[:])
		}
	}
	statement := sign.Statement{Type: "https://in-toto.io/Statement/v1", PredicateType: predicateRebuild}
	for _, s := range v.report.Steps {
		if s.Status == stepLeft {
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
		fmt.Fprintf(v.app.err, "nothing came out the same, so %s is not written\n", v.f.attest)
		return nil
	}
	var err error
	if statement.Predicate, err = jsonBytes(p); err != nil {
		return err
	}
	payload, err := jsonBytes(statement)
	if err != nil {
		return err
	}
	envelope, err := sign.Seal(sign.PayloadStatement, payload, keys...)
	if err != nil {
		return fmt.Errorf("sign the statement: %w", err)
	}
	text, err := envelope.Encode()
	if err != nil {
		return fmt.Errorf("sign the statement: %w", err)
	}
	return ui.WriteFile(v.f.attest, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// jsonBytes is JSON without escapes for HTML.
func jsonBytes(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
