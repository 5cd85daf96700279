package dsl

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Format returns a file in the canonical layout: two spaces of indentation a
// level, one space round operators, equals signs and trailing comments of
// neighbouring lines aligned. Tokens, line breaks, templates and comments stay
// as they are, so formatting the result again changes nothing. A file with
// syntax errors is not formatted.
func Format(src []byte, filename string) ([]byte, hcl.Diagnostics) {
	if body, diags := parse(src, filename); diags.HasErrors() {
		return nil, explainSyntax(diags, body)
	}
	// The parser has reported what the lexer finds wrong.
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	lines := layoutLines(src, tokens)
	indentLines(lines)
	alignLines(lines, layoutLine.lead)
	alignLines(lines, layoutLine.beforeComment)
	var out bytes.Buffer
	for _, l := range lines {
		l.write(&out)
	}
	return out.Bytes(), nil
}

// A unit is what the layout moves as a whole: a token, or a template with all
// that is in it.
type unit struct {
	kind hclsyntax.TokenType // of the first token
	text string
	// pad is the number of spaces before it; not used for the first in a line.
	pad int
}

// A layoutLine is a line of the source; one with a heredoc or a long comment
// goes on over several.
type layoutLine struct {
	units  []unit
	indent int    // levels
	end    string // the line break, "" only where a unit has it or at the end
}

// layoutLines groups the tokens.
func layoutLines(src []byte, tokens hclsyntax.Tokens) []layoutLine {
	var lines []layoutLine
	var line layoutLine
	finish := func(end string) {
		line.end = end
		spaceUnits(line.units)
		lines = append(lines, line)
		line = layoutLine{}
	}
	for i := 0; i < len(tokens); {
		n := unitLength(tokens[i:])
		text := src[tokens[i].Range.Start.Byte:tokens[i+n-1].Range.End.Byte]
		u := unit{kind: tokens[i].Type, text: string(text)}
		i += n
		switch u.kind {
		case hclsyntax.TokenEOF:
		case hclsyntax.TokenNewline:
			finish(u.text)
		case hclsyntax.TokenComment:
			body, end := cutLineEnd(u.text)
			u.text = body
			line.units = append(line.units, u)
			if end != "" {
				finish(end)
			}
		default:
			line.units = append(line.units, u)
		}
	}
	if len(line.units) > 0 {
		finish("\n")
	}
	return lines
}

// unitLength is the number of tokens of the first unit.
func unitLength(tokens hclsyntax.Tokens) int {
	depth := 0
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth--
		}
		if depth <= 0 {
			return i + 1
		}
	}
	return len(tokens)
}

// cutLineEnd splits a comment's text from the line break that its token ends
// with, and drops white space before that. A /* */ comment stays as it is.
func cutLineEnd(text string) (body, end string) {
	if strings.HasPrefix(text, "/*") {
		return text, ""
	}
	end = text[len(strings.TrimRight(text, "\r\n")):]
	return strings.TrimRight(text, " \t\r\n"), end
}

func (l layoutLine) write(out *bytes.Buffer) {
	for i, u := range l.units {
		if i == 0 {
			out.Write(bytes.Repeat([]byte("  "), l.indent))
		} else {
			out.Write(bytes.Repeat([]byte(" "), u.pad))
		}
		out.WriteString(u.text)
	}
	out.WriteString(l.end)
}

// indentLines counts open brackets. Several that open on one line are one
// level, that of the last, as in `merge({`; a line is as deep as what is open after the closing
// brackets that it starts with.
func indentLines(lines []layoutLine) {
	var open []int // the levels, 0 or 1, that each open bracket adds
	level := 0
	for i := range lines {
		leading, opened := true, len(open)
		lines[i].indent = level
		for _, u := range lines[i].units {
			leading = leading && isClosing(u.kind)
			switch {
			case isOpening(u.kind):
				open = append(open, 0)
			case isClosing(u.kind) && len(open) > 0:
				level -= open[len(open)-1]
				open = open[:len(open)-1]
				opened = min(opened, len(open))
			}
			if leading {
				lines[i].indent = level
			}
		}
		if len(open) > opened {
			open[len(open)-1] = 1
			level++
		}
	}
}

func isOpening(kind hclsyntax.TokenType) bool {
	return slices.Contains([]hclsyntax.TokenType{hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen}, kind)
}

func isClosing(kind hclsyntax.TokenType) bool {
	return slices.Contains([]hclsyntax.TokenType{hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen}, kind)
}

// Quote writes a text as a quoted string of the language, without templates in
// it. What is no UTF-8 becomes U+FFFD: no file can hold it.
func Quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(text[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

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
