package langserver

import (
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// A position counts lines and, in a line, UTF-16 units, both from zero.
type position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

type span struct {
	Start position `json:"start"`
	End   position `json:"end"`
}

// offsetOf is the byte that a position is before; what is behind the end of a line
// or of the text counts as the end.
func offsetOf(text string, p position) int {
	start := 0
	for range p.Line {
		i := strings.IndexByte(text[start:], '\n')
		if i < 0 {
			return len(text)
		}
		start += i + 1
	}
	units := 0
	for i, r := range text[start:] {
		if r == '\n' || units >= p.Character {
			return start + i
		}
		units += unitsOf(r)
	}
	return len(text)
}

// positionOf is where a byte is.
func positionOf(text string, offset int) position {
	offset = min(max(offset, 0), len(text))
	line := strings.Count(text[:offset], "\n")
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	units := 0
	for _, r := range text[start:offset] {
		units += unitsOf(r)
	}
	return position{line, units}
}

func unitsOf(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

func spanOf(text string, r hcl.Range) span {
	return span{positionOf(text, r.Start.Byte), positionOf(text, r.End.Byte)}
}

func isWord(b byte) bool {
	return b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= utf8.RuneSelf
}

// wordAt is the name that a byte is in or behind, with the names before it that
// dots join to it: "stage.bin".
func wordAt(text string, offset int) string {
	start, end := offset, offset
	for start > 0 && (isWord(text[start-1]) || text[start-1] == '.') {
		start--
	}
	for end < len(text) && isWord(text[end]) {
		end++
	}
	return text[start:end]
}
