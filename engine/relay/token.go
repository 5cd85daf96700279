package relay

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

// minToken is the shortest token, in bytes: what `openssl rand -hex 16` gives is
// twice that.
const minToken = 16

// Tokens are secrets, each of which opens a door. Their hashes alone are kept.
// The zero value opens to nobody.
type Tokens struct{ sums [][sha256.Size]byte }

// ParseTokens reads a token a line, so that an old and a new one can hold while
// they are exchanged. Blank lines and lines that begin with # do not count.
func ParseTokens(text string) (Tokens, error) {
	var t Tokens
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case len(line) < minToken:
			return Tokens{}, fmt.Errorf("line %d: a token has at least %d characters; `openssl rand -hex 32` makes one", n, minToken)
		case strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' }):
			return Tokens{}, fmt.Errorf("line %d: a token is one word of printable ASCII characters", n)
		}
		t.sums = append(t.sums, sha256.Sum256([]byte(line)))
	}
	if len(t.sums) == 0 {
		return Tokens{}, fmt.Errorf("there is no token in it")
	}
	return t, nil
}

// Empty reports whether there is no token at all.
func (t Tokens) Empty() bool { return len(t.sums) == 0 }

// match compares with all tokens, in a time that does not depend on how much of
// one is right.
func (t Tokens) match(token string) bool {
	got, ok := sha256.Sum256([]byte(token)), 0
	for _, want := range t.sums {
		ok |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return ok == 1
}

// allows reports whether a request bears one of the tokens: as a bearer token,
// or as the password of any user, which is how Bazel and the go command send
// what stands in a URL.
func (t Tokens) allows(r *http.Request) bool {
	if _, password, ok := r.BasicAuth(); ok {
		return t.match(password)
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && strings.EqualFold(scheme, "Bearer") && t.match(strings.TrimSpace(token))
}
