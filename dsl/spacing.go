package dsl

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// spaceUnits sets the spaces between the units of a line.
func spaceUnits(units []unit) {
	for i := 1; i < len(units); i++ {
		if needsSpace(units, i) {
			units[i].pad = 1
		}
	}
}

// needsSpace reports whether a space stands before units[i], which is not the
// first.
func needsSpace(units []unit, i int) bool {
	before, after := units[i-1], units[i]
	switch {
	case before.kind == hclsyntax.TokenComment || after.kind == hclsyntax.TokenComment:
		return true
	case isOneOfKinds(before.kind, hclsyntax.TokenDot, hclsyntax.TokenDoubleColon, hclsyntax.TokenBang, hclsyntax.TokenOParen, hclsyntax.TokenOBrack),
		isOneOfKinds(after.kind, hclsyntax.TokenDot, hclsyntax.TokenDoubleColon, hclsyntax.TokenComma, hclsyntax.TokenEllipsis, hclsyntax.TokenCParen, hclsyntax.TokenCBrack):
		return false
	case before.kind == hclsyntax.TokenOBrace && after.kind == hclsyntax.TokenCBrace:
		return false
	case before.kind == hclsyntax.TokenMinus && isSign(units, i-1):
		return false
	case isOneOfKinds(after.kind, hclsyntax.TokenOParen, hclsyntax.TokenOBrack):
		return !isOperand(units, i-1)
	}
	return true
}

func isOneOfKinds(kind hclsyntax.TokenType, kinds ...hclsyntax.TokenType) bool {
	return slices.Contains(kinds, kind)
}

// isSign reports whether the minus at units[i] belongs to the number behind it
// rather than between two operands.
func isSign(units []unit, i int) bool {
	return i == 0 || !isOperand(units, i-1)
}

// isOperand reports whether units[i] can be called, indexed or subtracted from.
// The words of a for expression cannot; a star can only as a splat.
func isOperand(units []unit, i int) bool {
	switch u := units[i]; u.kind {
	case hclsyntax.TokenIdent:
		return !slices.Contains([]string{"for", "in", "if"}, u.text)
	case hclsyntax.TokenStar:
		return i > 0 && units[i-1].kind == hclsyntax.TokenDot
	case hclsyntax.TokenNumberLit, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
		hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace:
		return true
	}
	return false
}

// alignLines pads a column of neighbouring lines to the same place. at returns
// the index of the unit that is moved, or 0 for a line that has none and so
// parts its neighbours.
func alignLines(lines []layoutLine, at func(layoutLine) int) {
	for start := 0; start < len(lines); {
		end := start
		widest := 0
		for end < len(lines) && at(lines[end]) > 0 && lines[end].indent == lines[start].indent {
			widest = max(widest, lines[end].columnsBefore(at(lines[end])))
			end++
		}
		for i := start; i < end; i++ {
			n := at(lines[i])
			lines[i].units[n].pad = widest - lines[i].columnsBefore(n) + 1
		}
		start = max(end, start+1)
	}
}

// columnsBefore is the width of the first n units.
func (l layoutLine) columnsBefore(n int) int {
	width := 2 * l.indent
	for i, u := range l.units[:n] {
		if i > 0 {
			width += u.pad
		}
		width += columns(cells([]byte(u.text)))
	}
	return width
}

// lead is the index of the equals sign of an attribute that is whole on its
// line, or 0.
func (l layoutLine) lead() int {
	open := 0
	for _, u := range l.units {
		if isOpening(u.kind) {
			open++
		} else if isClosing(u.kind) {
			open--
		}
		if strings.ContainsRune(u.text, '\n') {
			return 0
		}
	}
	if open != 0 || len(l.units) < 3 || l.units[1].kind != hclsyntax.TokenEqual {
		return 0
	}
	return 1
}

// beforeComment is the index of a comment that ends a line of code, or 0.
func (l layoutLine) beforeComment() int {
	last := len(l.units) - 1
	if last < 1 || l.units[last].kind != hclsyntax.TokenComment || strings.ContainsRune(l.joined(), '\n') {
		return 0
	}
	return last
}

func (l layoutLine) joined() string {
	var b strings.Builder
	for _, u := range l.units {
		b.WriteString(u.text)
	}
	return b.String()
}
