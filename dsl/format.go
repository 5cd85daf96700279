package dsl

import (
	"bytes"
	"slices"
	"strings"

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
