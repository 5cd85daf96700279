package dsl

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// HCL's parser and evaluation recurse, and a Go program that runs out of stack
// dies without a word. These limits keep a hostile file far from that; no file
// that people write comes near them.
const (
	maxSize    = 1 << 20 // bytes
	maxDepth   = 1000    // brackets open at one place
	maxSigns   = 1000    // "!" and "-" in a row
	maxChained = 20000   // "?" and "%{" in one file
)

// checkLimits reports a text that is too large or too deeply nested to be
// parsed, or no text at all. It counts bytes, so brackets in strings count too.
func checkLimits(src []byte, name string) hcl.Diagnostics {
	if at, detail := notText(src); detail != "" {
		return hcl.Diagnostics{errorAt(hcl.Range{Filename: name, Start: at, End: at}, "Not a text in UTF-8", detail)}
	}
	if len(src) > maxSize {
		return hcl.Diagnostics{errorAt(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos},
			"File too large", fmt.Sprintf("It has %d bytes; an Airbuildfile has at most %d.", len(src), maxSize))}
	}
	depth, signs, chained := 0, 0, 0
	pos, lineStart := hcl.InitialPos, 0
	for i, c := range src {
		switch c {
		case '(', '[', '{':
			depth++
			if c == '{' && i > 0 && src[i-1] == '%' {
				chained++
			}
		case ')', ']', '}':
			depth = max(0, depth-1)
		case '?':
			chained++
		case '\n':
			pos.Line++
			lineStart = i + 1
		}
		switch c {
		case '!', '-':
			signs++
		case ' ', '\t', '\r', '\n':
		default:
			signs = 0
		}
		if depth > maxDepth || signs > maxSigns || chained > maxChained {
			pos.Byte, pos.Column = i, i-lineStart+1
			return hcl.Diagnostics{errorAt(hcl.Range{Filename: name, Start: pos, End: pos},
				"Nesting too deep", "There are more brackets or operators inside each other here than airbuild reads.")}
		}
	}
	return nil
}

// notText says where src stops being UTF-8, and what to do. The parser would
// report every byte of such a file.
func notText(src []byte) (hcl.Pos, string) {
	const remedy = " Save the file as UTF-8."
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		return hcl.InitialPos, "The file is in UTF-16, which editors on Windows call Unicode." + remedy
	}
	pos := hcl.InitialPos
	for pos.Byte < len(src) {
		r, size := utf8.DecodeRune(src[pos.Byte:])
		switch {
		case r == utf8.RuneError && size == 1:
			return pos, fmt.Sprintf("The byte %#x here is not valid UTF-8."+remedy, src[pos.Byte])
		case r == 0:
			return pos, "There is a zero byte here: this is not text, or it is UTF-16." + remedy
		case r == '\n':
			pos.Line, pos.Column = pos.Line+1, 0
		}
		pos.Byte, pos.Column = pos.Byte+size, pos.Column+1
	}
	return pos, ""
}
