package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"

	"github.com/airbuild/airbuild/engine/action"
)

// A Scope tells results apart that count for some projects only: those that came
// from somebody who is not trusted for all of them. The entry of a scoped result
// lies under another key (see Key), so that nobody finds it by the key of the
// action alone. The zero Scope is that of results which count everywhere.
type Scope [sha256.Size]byte

// scopedEntry begins what the key of a scoped entry is a hash of.
const scopedEntry = "airbuild scoped entry 1\n"

// NewScope is the scope with the given name, which says for what it is.
func NewScope(name string) Scope { return sha256.Sum256([]byte("airbuild scope 1\n" + name)) }

// Key is the key under which the scope has the result of the action with digest
// key. Its size is that of key, and says nothing.
func (c Scope) Key(key action.Digest) action.Digest {
	if c.IsZero() {
		return key
	}
	h := sha256.New()
	h.Write([]byte(scopedEntry))
	h.Write(c[:])
	h.Write(key.Hash[:])
	scoped := action.Digest{Size: key.Size}
	h.Sum(scoped.Hash[:0])
	return scoped
}

// IsZero reports whether results count everywhere.
func (c Scope) IsZero() bool { return c == Scope{} }

// String is 64 hexadecimal digits, or empty for the zero Scope.
func (c Scope) String() string {
	if c.IsZero() {
		return ""
	}
	return hex.EncodeToString(c[:])
}

// ParseScope is the inverse of String.
func ParseScope(s string) (Scope, error) {
	if s == "" {
		return Scope{}, nil
	}
	h, err := action.ParseHash(s)
	return Scope(h), err
}

// Withheld implements engine.Withholder: of the results of other scopes.
func (s *entries) Withheld(_ context.Context, key action.Digest) string {
	s.scopes.Do(func() {
		if s.Scopes != nil {
			s.found = s.Scopes()
		}
	})
	for _, scope := range s.found {
		if scope == s.Scope {
			continue
		}
		if _, err := os.Lstat(s.files.entryFile(scope.Key(key))); err == nil {
			return "its result came with a bundle, and counts only in the source of that"
		}
	}
	return ""
}

// EntryKey is the key of the entry that Result returns for the action with digest
// key: that of the store's Scope if there is one, else key. Pins and whoever
// else names entries need it.
func (s *entries) EntryKey(ctx context.Context, key action.Digest) (action.Digest, error) {
	if s.Scope.IsZero() {
		return key, nil
	}
	scoped := s.Scope.Key(key)
	r, err := s.result(ctx, scoped)
	if _, ok := errors.AsType[*action.Damaged](err); r == nil || ok {
		return key, nil
	}
	return scoped, err
}
