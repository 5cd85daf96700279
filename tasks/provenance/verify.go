package provenance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	signing "github.com/airbuild/airbuild/engine/sign"
)

// A Policy is what a statement must be to be believed.
type Policy struct {
	Keys []signing.PublicKey
	// Admit says why a key that signed does not count, and nil if it does. Nil:
	// all keys count.
	Admit     func(signing.PublicKey) error
	Threshold int    // how many of the keys must have signed; zero means one
	Unsigned  bool   // a bare statement is taken too
	Builder   string // wanted builder; empty: any
	Source    string // wanted repository; empty: any
	Commit    string // wanted commit, or its beginning; empty: any
}

// A Statement is one that the policy holds of.
type Statement struct {
	Subjects  []signing.Subject
	Predicate Predicate
	SignedBy  []signing.PublicKey // none if it is not signed
}

// MaxStatement bounds a statement's file, in bytes.
const MaxStatement = signing.MaxEnvelope

// Open reads a statement, signed or bare, and holds it against a policy. The
// error wraps sign.ErrUnverified if it is not to be believed.
func Open(text []byte, o Policy) (*Statement, error) {
	s := &Statement{}
	st, err := s.verifyEnvelope(bytes.TrimSpace(text), o)
	if err != nil {
		return nil, err
	}
	if st.Type != statementType || st.PredicateType != predicateType {
		return nil, refuse("it is not a statement of SLSA provenance v1, but %q", st.PredicateType)
	}
	if err := json.Unmarshal(st.Predicate, &s.Predicate); err != nil {
		return nil, refuse("its predicate cannot be read: %v", err)
	}
	s.Subjects = st.Subject
	return s, s.fits(o)
}

func (s *Statement) verifyEnvelope(text []byte, o Policy) (*signing.Statement, error) {
	var bare signing.Statement
	if json.Unmarshal(text, &bare) == nil && bare.Type != "" {
		if !o.Unsigned {
			return nil, refuse("it is not signed")
		}
		return &bare, nil
	}
	e, err := signing.ParseEnvelope(text)
	if err != nil {
		return nil, err
	}
	if o.Admit == nil {
		o.Admit = func(signing.PublicKey) error { return nil }
	}
	if s.SignedBy, err = e.VerifyAs(max(o.Threshold, 1), o.Keys, o.Admit); err != nil {
		return nil, err
	}
	st, err := e.Statement()
	if err == nil && st == nil {
		err = refuse("the envelope holds %s, and no statement", e.PayloadType)
	}
	return st, err
}

func (s *Statement) fits(o Policy) error {
	if id := s.Predicate.RunDetails.Builder.ID; o.Builder != "" && id != o.Builder {
		return refuse("it was built by %q, and not by %q", id, o.Builder)
	}
	if o.Source == "" && o.Commit == "" {
		return nil
	}
	uri, commit := s.Source()
	if o.Source != "" && strings.TrimPrefix(uri, "git+") != strings.TrimPrefix(o.Source, "git+") {
		return refuse("it is of the source %q, and not of %q", uri, o.Source)
	}
	if o.Commit != "" && (len(o.Commit) < 7 || !strings.HasPrefix(commit, strings.ToLower(o.Commit))) {
		return refuse("it is of the commit %q, and not of %q", commit, o.Commit)
	}
	if o.Commit != "" && s.Predicate.BuildDefinition.ExternalParameters.Dirty {
		return refuse("the sources had changes in addition to commit %s", commit)
	}
	return nil
}

// Source is the repository and the commit that the statement names.
func (s *Statement) Source() (uri, commit string) {
	for _, d := range s.Predicate.BuildDefinition.ResolvedDependencies {
		if c := d.Digest["gitCommit"]; c != "" {
			return d.URI, c
		}
	}
	return "", ""
}

// Covers checks that the statement is about a file, or an image in OCI layout,
// of the disk. Names do not count, content does. The error wraps
// sign.ErrUnverified if it is about something else.
func (s *Statement) Covers(name string) error {
	dir, base := filepath.Split(filepath.Clean(name))
	dir = cmp.Or(dir, ".")
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	in := os.DirFS(dir)
	of := base
	if info.IsDir() {
		in, of = os.DirFS(filepath.Clean(name)), "."
	}
	want, err := subjectsOf(in, of)
	if err != nil {
		return err
	}
	for _, w := range want {
		if !slices.ContainsFunc(s.Subjects, func(x signing.Subject) bool { return x.Digest["sha256"] == w.Digest["sha256"] }) {
			return refuse("the statement is not about these bytes (SHA-256 %s)", w.Digest["sha256"])
		}
	}
	return nil
}

// A refusal says why something is not to be believed.
type refusal string

func refuse(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

func (r refusal) Error() string { return string(r) }

// Is makes a refusal one of sign's.
func (refusal) Is(target error) bool { return target == signing.ErrUnverified }
