package engine

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// shownSecret is so short that masking it would mask half a log.
const shownSecret = 2

// leastForm is the length, in bytes, from which a part of an encoded secret is
// masked: fewer letters may be anything.
const leastForm = 6

// SecretForms are the texts in which a secret may appear in a log, the longest
// first: as it is, each of its lines, and what common encodings make of it. Of
// base64 those parts are among them that are the same whatever stands before
// and behind the secret.
func SecretForms(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	out = append(out, text, strings.TrimSpace(text))
	out = slices.DeleteFunc(out, func(s string) bool { return len(s) <= shownSecret })
	for _, plain := range slices.Clone(out) {
		for _, form := range encoded(plain) {
			if len(form) >= leastForm {
				out = append(out, form)
			}
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(out)
}

// encoded is what encodings make of a text.
func encoded(text string) []string {
	query := url.QueryEscape(text)
	out := []string{
		query, strings.ReplaceAll(query, "+", "%20"), lowerEscapes(query), url.PathEscape(text), url.UserPassword("", text).String()[1:],
		hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))),
		strings.Trim(strconv.Quote(text), `"`), strings.ReplaceAll(text, "'", `'\''`),
	}
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(text) == nil {
			quoted := strings.TrimSpace(b.String())
			out = append(out, quoted[1:len(quoted)-1])
		}
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			out = append(out, stableBase64(enc, text, shift))
		}
		whole := enc.EncodeToString([]byte(text))
		for _, width := range []int{64, 76} { // lines
			for line := range slices.Chunk([]byte(whole), width) {
				if len(whole) > width && len(line) >= leastForm+4 {
					out = append(out, string(line[:len(line)/4*4]))
				}
			}
		}
	}
	return out
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// stableBase64 is the part of a text's base64 that is the same whatever stands
// before it, as long as that has a length of shift modulo three, and behind it.
func stableBase64(enc *base64.Encoding, text string, shift int) string {
	s := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + text))
	from := [...]int{0, 2, 3}[shift]
	to := (shift + len(text)) * 8 / 6
	if from >= to {
		return ""
	}
	return s[from:to]
}

// Masked is a text about a step without the step's secrets.
func Masked(text string, s *Step) string { return string(maskLog([]byte(text), s)) }

// maskLog takes a step's secrets out of a stored log. The log was masked when it
// was made, but a value may have become sensitive since: that changes no key.
func maskLog(log []byte, s *Step) []byte {
	if len(log) == 0 {
		return log
	}
	var texts []string
	for _, v := range s.Secrets {
		texts = append(texts, SecretForms(v.Value)...)
	}
	for _, m := range s.Mask {
		texts = append(texts, SecretForms(m)...)
	}
	// The longest first: a secret may hold another.
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, t := range slices.Compact(texts) {
		log = bytes.ReplaceAll(log, []byte(t), []byte("***"))
	}
	return log
}
