package dsl

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"
)

// Secrets returns the texts that sensitive values were found to hold so far,
// longest first, so that replacing them in order leaves no remainder of one
// that has another in it.
func (s *Scope) Secrets() []string { return s.secrets.all() }

// secrets are the texts that must not be shown. The function sensitive adds to
// them while expressions are evaluated, maybe by several goroutines.
type secrets struct {
	mu    sync.Mutex
	texts []string // longest first, those of one length sorted
}

func (s *secrets) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts)
}

// keep adds the texts of a value.
func (s *secrets) keep(v cty.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ = v.UnmarkDeep()
	// The callback never fails.
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		if text, ok := primitiveText(v); ok && text != "" && !slices.Contains(s.texts, text) {
			s.texts = append(s.texts, text)
		}
		return true, nil
	})
	slices.SortFunc(s.texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
}

// primitiveText is the text of a string or number. A bool is too common a
// word to be hidden.
func primitiveText(v cty.Value) (string, bool) {
	if !v.IsKnown() || v.IsNull() {
		return "", false
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), true
	case cty.Number:
		return v.AsBigFloat().Text('f', -1), true
	}
	return "", false
}

// leastSecret is the shortest text, in bytes, that redact hides: hiding a
// single letter makes a message unreadable and thereby tells the letter.
const leastSecret = 3

// redact replaces the secrets in a message.
func (s *secrets) redact(text string) string {
	for _, secret := range s.all() {
		if len(secret) >= leastSecret {
			text = strings.ReplaceAll(text, secret, "(sensitive)")
		}
	}
	return text
}
