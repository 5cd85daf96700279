package dsl

import (
	"fmt"

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
// parsed. It counts bytes, so brackets in strings count too.
func checkLimits(src []byte, name string) hcl.Diagnostics {
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
