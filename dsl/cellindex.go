package dsl

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/internal/lists"
)

// HCL has no index of several parts, so stage.bin["linux/amd64", "yq"] is
// parsed from a copy of the source in which each such comma is a "%": the
// same length, so that every range stays exact. The index then parses as a
// remainder of its parts, which is replaced by the template that joins them
// with commas: the name of the cell.

// A cellIndex is one bracket of several parts, by byte offsets in the file.
type cellIndex struct {
	open   int   // of "["
	commas []int // of the commas that part it
	blank  []int // of a comma after the last part, a mistake
}

// parsePart parses text that starts at a position of its file and may hold
// cell indexes of several parts. The body is usable, if incomplete, even when
// there are errors.
func parsePart(src []byte, name string, start hcl.Pos) (*hclsyntax.Body, hcl.Diagnostics) {
	indexes, diags := findCellIndexes(src, name, start)
	file, parseDiags := hclsyntax.ParseConfig(maskCommas(src, indexes, start), name, start)
	diags = append(diags, parseDiags...)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return &hclsyntax.Body{}, diags
	}
	if len(indexes) > 0 {
		diags = append(diags, joinCellIndexes(body, indexes)...)
	}
	return body, diags
}

// maybeCellIndex matches at least all that opensCellIndex accepts.
var maybeCellIndex = regexp.MustCompile(`stage` + gap + `\.` + gap + `[^\s.,\[\](){}"]+` + gap + `\[`)

// gap is white space and comments, as a regular expression.
const gap = `(?:\s|/\*(?s:.*?)\*/|(?:#|//)[^\n]*\n)*`

// findCellIndexes finds every `stage.name[a, b]`, in templates too.
func findCellIndexes(src []byte, name string, start hcl.Pos) ([]cellIndex, hcl.Diagnostics) {
	if !maybeCellIndex.Match(src) {
		return nil, nil // lexing twice is what takes the time of a load
	}
	// The parser reports what the lexer finds wrong.
	tokens, _ := hclsyntax.LexConfig(src, name, start)
	tokens = slices.DeleteFunc(tokens, func(t hclsyntax.Token) bool { return t.Type == hclsyntax.TokenComment })
	var found []cellIndex
	var diags hcl.Diagnostics
	for i := range tokens {
		if !opensCellIndex(tokens, i) {
			continue
		}
		index, trailing := scanCellIndex(tokens, i)
		if index.open < 0 {
			diags = append(diags, errorAt(tokens[i].Range, summaryUnclosedIndex, "There is no closing bracket for this index."))
			continue
		}
		if trailing != nil {
			diags = append(diags, errorAt(*trailing, "Trailing comma in an index",
				"The last part of a cell's index has no comma after it: remove it."))
		}
		if len(index.commas)+len(index.blank) > 0 {
			found = append(found, index)
		}
	}
	return found, diags
}

// opensCellIndex reports whether tokens[i] is the bracket of `stage.name[`.
func opensCellIndex(tokens hclsyntax.Tokens, i int) bool {
	if i < 3 || tokens[i].Type != hclsyntax.TokenOBrack {
		return false
	}
	root, dot, name := tokens[i-3], tokens[i-2], tokens[i-1]
	return root.Type == hclsyntax.TokenIdent && string(root.Bytes) == "stage" &&
		dot.Type == hclsyntax.TokenDot && name.Type == hclsyntax.TokenIdent &&
		(i < 4 || tokens[i-4].Type != hclsyntax.TokenDot)
}

// scanCellIndex collects the bracket's own commas; open is -1 if the bracket is
// not closed. A comma after the last part
// is also returned as a range, to be reported.
func scanCellIndex(tokens hclsyntax.Tokens, open int) (index cellIndex, trailing *hcl.Range) {
	index.open = tokens[open].Range.Start.Byte
	depth := 0
	for i := open; i < len(tokens); i++ {
		switch tokens[i].Type {
		case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOBrace, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if depth--; depth > 0 {
				continue
			}
			if tokens[i].Type != hclsyntax.TokenCBrack {
				return cellIndex{open: -1}, nil
			}
			return index, trailing
		case hclsyntax.TokenComma:
			if depth != 1 {
				continue
			}
			if i+1 < len(tokens) && tokens[i+1].Type == hclsyntax.TokenCBrack {
				index.blank = append(index.blank, tokens[i].Range.Start.Byte)
				trailing = &tokens[i].Range
				continue
			}
			index.commas = append(index.commas, tokens[i].Range.Start.Byte)
		}
	}
	return cellIndex{open: -1}, nil
}

// maskCommas returns the source with the commas of the indexes replaced, or
// the source itself if there are none.
func maskCommas(src []byte, indexes []cellIndex, start hcl.Pos) []byte {
	if len(indexes) == 0 {
		return src
	}
	masked := bytes.Clone(src)
	for _, index := range indexes {
		for _, at := range index.commas {
			masked[at-start.Byte] = '%'
		}
		for _, at := range index.blank {
			masked[at-start.Byte] = ' '
		}
	}
	return masked
}

// joinCellIndexes replaces the key of every index of several parts.
func joinCellIndexes(body *hclsyntax.Body, indexes []cellIndex) hcl.Diagnostics {
	byOpen := lists.By(indexes, func(index cellIndex) int { return index.open })
	return hclsyntax.VisitAll(body, func(node hclsyntax.Node) hcl.Diagnostics {
		expr, ok := node.(*hclsyntax.IndexExpr)
		if !ok {
			return nil
		}
		index, ok := byOpen[expr.OpenRange.Start.Byte]
		if !ok || len(index.commas) == 0 {
			return nil
		}
		parts := splitAtCommas(expr.Key, index.commas)
		if len(parts) != len(index.commas)+1 {
			subject := expr.Key.Range()
			expr.Key = &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: subject}
			return hcl.Diagnostics{errorAt(subject, "Operator in an index",
				"The parts of a cell's index may use operators only in parentheses, as in stage.bin[(a + b), \"yq\"].")}
		}
		expr.Key = joinParts(parts, expr.Key.Range())
		return nil
	})
}

// splitAtCommas takes apart the remainders that stand for commas.
func splitAtCommas(expr hclsyntax.Expression, commas []int) []hclsyntax.Expression {
	op, ok := expr.(*hclsyntax.BinaryOpExpr)
	if !ok || op.Op != hclsyntax.OpModulo || !hasBetween(commas, op.LHS.Range().End.Byte, op.RHS.Range().Start.Byte) {
		return []hclsyntax.Expression{expr}
	}
	return append(splitAtCommas(op.LHS, commas), op.RHS)
}

func hasBetween(offsets []int, from, to int) bool {
	return slices.ContainsFunc(offsets, func(at int) bool { return from <= at && at < to })
}

func joinParts(parts []hclsyntax.Expression, subject hcl.Range) hclsyntax.Expression {
	joined := &hclsyntax.TemplateExpr{SrcRange: subject}
	for i, part := range parts {
		if i > 0 {
			joined.Parts = append(joined.Parts, &hclsyntax.LiteralValueExpr{Val: cty.StringVal(","), SrcRange: subject})
		}
		joined.Parts = append(joined.Parts, part)
	}
	return joined
}
