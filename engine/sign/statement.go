package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// PayloadStatement is the payload type of in-toto statements.
const PayloadStatement = "application/vnd.in-toto+json"

const (
	statementType = "https://in-toto.io/Statement/v1"
	// PredicateFile is the predicate of statements that say of files no more
	// than that they are signed. Its predicate has the field "comment".
	PredicateFile = "https://github.com/airbuild/airbuild/signed-file/v1"
)

// A Statement is an in-toto statement: what is said (the predicate) of which
// files (https://in-toto.io/Statement/v1). Fields stand in the order of
// canonical JSON.
type Statement struct {
	Type          string          `json:"_type"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
	PredicateType string          `json:"predicateType"`
	Subject       []Subject       `json:"subject"`
}

// A Subject is a file that a Statement is about.
type Subject struct {
	Digest map[string]string `json:"digest"` // algorithm to lower-case hexadecimal
	Name   string            `json:"name"`
}

// FileStatement is the statement that a file with this SHA-256 is signed, as
// canonical JSON.
func FileStatement(name string, sum [sha256.Size]byte, comment string) ([]byte, error) {
	predicate, err := canonjson.Compact(struct {
		Comment string `json:"comment"`
	}{comment})
	if err != nil {
		return nil, err
	}
	return canonjson.Compact(Statement{
		Type:          statementType,
		Predicate:     predicate,
		PredicateType: PredicateFile,
		Subject:       []Subject{{Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}, Name: name}},
	})
}

// Statement is the statement that the envelope holds, or nil if it holds
// something else. Call it after Verify.
func (e *Envelope) Statement() (*Statement, error) {
	if e.PayloadType != PayloadStatement {
		return nil, nil
	}
	var s Statement
	if err := json.Unmarshal(e.Payload, &s); err != nil {
		return nil, refuse("the envelope's statement cannot be read: %w", err)
	}
	return &s, nil
}

// Comment is what a person may want to know of a verified envelope: the
// comment of a FileStatement, or the type of what it holds.
func (e *Envelope) Comment() string {
	s, err := e.Statement()
	if err != nil || s == nil {
		return e.PayloadType
	}
	var p struct{ Comment string }
	if s.PredicateType == PredicateFile && json.Unmarshal(s.Predicate, &p) == nil && CheckComment(p.Comment) == nil {
		return p.Comment
	}
	return s.PredicateType
}

// Covers checks that a verified envelope is about the file whose content is
// given: it holds these bytes, or a statement of a file with their SHA-256.
// The error wraps ErrUnverified if it is about something else.
func (e *Envelope) Covers(ctx context.Context, content io.Reader) error {
	h := sha256.New()
	if _, err := io.CopyBuffer(h, ctxio.Reader(ctx, content), make([]byte, 256<<10)); err != nil {
		return err
	}
	sum := h.Sum(nil)
	if held := sha256.Sum256(e.Payload); bytes.Equal(held[:], sum) {
		return nil
	}
	s, err := e.Statement()
	if err != nil {
		return err
	}
	if s == nil {
		return refuse("the envelope holds other bytes, of type %s", e.PayloadType)
	}
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] == hex.EncodeToString(sum) {
			return nil
		}
	}
	return refuse("the envelope's statement is about other files: %s", subjectNames(s))
}

func subjectNames(s *Statement) string {
	names := ""
	for i, subject := range s.Subject {
		if i == 3 {
			return names + fmt.Sprintf(" and %d more", len(s.Subject)-i)
		}
		if i > 0 {
			names += ", "
		}
		names += fmt.Sprintf("%.80q", subject.Name)
	}
	return names
}
