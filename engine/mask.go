package engine

import (
	"bytes"
	"slices"
	"strings"
)

// shownSecret is so short that masking it would mask half a log.
const shownSecret = 2

// maskLog takes a step's secrets out of a stored log. The log was masked when it
// was made, but a value may have become sensitive since: that changes no key.
func maskLog(log []byte, s *Step) []byte {
	if len(log) == 0 {
		return log
	}
	var texts []string
	hide := func(text string) {
		for line := range strings.Lines(text) {
			texts = append(texts, strings.TrimRight(line, "\r\n"))
		}
		texts = append(texts, text)
	}
	for _, v := range s.Secrets {
		hide(v.Value)
	}
	for _, m := range s.Mask {
		hide(m)
	}
	// The longest first: a secret may hold another.
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	for _, t := range slices.Compact(texts) {
		if len(t) > shownSecret {
			log = bytes.ReplaceAll(log, []byte(t), []byte("***"))
		}
	}
	return log
}
