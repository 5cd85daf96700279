package dsl

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// parse parses a file. HCL's parser is silent about all that follows the first
// syntax error, and an unclosed brace swallows the rest of the file; so a file
// with errors is parsed again, top-level block by block, and its body is put
// together from those.
func parse(src []byte, name string) (*hclsyntax.Body, hcl.Diagnostics) {
	if diags := checkLimits(src, name); diags.HasErrors() {
		return &hclsyntax.Body{}, diags
	}
	body, diags := parsePart(src, name, hcl.InitialPos)
	if !diags.HasErrors() {
		return body, diags
	}
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: body.SrcRange, EndRange: body.EndRange}
	diags = nil
	for _, p := range splitBlocks(src) {
		part, partDiags := parsePart(p.text, name, p.start)
		diags = append(diags, p.moveFromEnd(firstMistakes(partDiags))...)
		whole.Blocks = append(whole.Blocks, part.Blocks...)
		for name, attr := range part.Attributes {
			if _, ok := whole.Attributes[name]; !ok {
				whole.Attributes[name] = attr
			}
		}
	}
	return whole, diags
}

// firstMistakes drops what only follows from another syntax error: a second one
// at the same place, and what an unclosed string or index leads to.
func firstMistakes(diags hcl.Diagnostics) hcl.Diagnostics {
	var kept hcl.Diagnostics
	places, summaries := map[int]bool{}, map[string]bool{}
	for _, d := range diags {
		if d.Subject == nil {
			continue
		}
		follows := places[d.Subject.Start.Byte] ||
			summaries[summaryUnclosedString] && (d.Summary == summaryUnclosedString || strings.HasPrefix(d.Summary, "Un")) ||
			summaries[summaryUnclosedIndex] && d.Summary == "Missing close bracket on index"
		if !follows {
			kept = append(kept, d)
		}
		places[d.Subject.Start.Byte] = true
		summaries[d.Summary] = true
	}
	return kept
}

// The summaries of mistakes that bring others along; the first is HCL's.
const (
	summaryUnclosedString = "Invalid multi-line string"
	summaryUnclosedIndex  = "Unclosed index"
)

// A part is a run of whole lines.
type part struct {
	text  []byte
	start hcl.Pos
}

// moveFromEnd puts what the parser missed at the end of a part onto the last
// character of the part: the end itself is the start of the next block, which
// is innocent.
func (p part) moveFromEnd(diags hcl.Diagnostics) hcl.Diagnostics {
	written := bytes.TrimRight(p.text, " \t\r\n")
	if len(written) == 0 {
		return diags
	}
	for _, d := range diags {
		if d.Subject.Start.Byte >= p.start.Byte+len(written) {
			d.Subject.Start, d.Subject.End = p.lastCharacter(written)
			d.Detail = strings.Replace(d.Detail, "end of the file", "end of the block", 1)
		}
	}
	return diags
}

// lastCharacter is where the text, which is not empty, has its last character.
func (p part) lastCharacter(text []byte) (start, end hcl.Pos) {
	lineStart := bytes.LastIndexByte(text, '\n') + 1
	line := cells(text[lineStart:])
	last := len(line) - 1
	start = hcl.Pos{
		Line:   p.start.Line + bytes.Count(text, []byte("\n")),
		Column: 1 + last,
		Byte:   p.start.Byte + len(text) - line[last].bytes,
	}
	end = hcl.Pos{Line: start.Line, Column: start.Column + 1, Byte: p.start.Byte + len(text)}
	return start, end
}

// blockStart matches the first line of a top-level block that is written, as
// all are, from the start of the line.
var blockStart = regexp.MustCompile(`^(airbuild|variable|locals|toolchain|stage|pipeline|environment|bundle|host|include)[ \t]*["{]`)

// heredocStart matches a line that opens a heredoc; what is in it starts no
// block.
var heredocStart = regexp.MustCompile(`<<-?([A-Za-z_][A-Za-z0-9_-]*)\r?\n$`)

// splitBlocks cuts a file before each line that starts a top-level block.
func splitBlocks(src []byte) []part {
	parts := []part{{start: hcl.InitialPos}}
	from, at, heredoc := 0, 0, ""
	line := 1
	for text := range bytes.Lines(src) {
		if heredoc == "" && blockStart.Match(text) && at > from {
			parts[len(parts)-1].text = src[from:at]
			parts = append(parts, part{start: hcl.Pos{Line: line, Column: 1, Byte: at}})
			from = at
		}
		if heredoc == "" {
			if m := heredocStart.FindSubmatch(text); m != nil {
				heredoc = string(m[1])
			}
		} else if strings.TrimSpace(string(text)) == heredoc {
			heredoc = ""
		}
		at += len(text)
		line++
	}
	parts[len(parts)-1].text = src[from:]
	return parts
}

// A damage is the places of a file's syntax errors. What seems missing near
// one may be what the parser had to skip.
type damage []hcl.Range

func damageOf(diags hcl.Diagnostics) damage {
	var d damage
	for _, diag := range diags {
		if diag.Severity == hcl.DiagError && diag.Subject != nil {
			d = append(d, *diag.Subject)
		}
	}
	return d
}

// loses reports whether names may be missing: a syntax error in a block costs
// only what is in the block, but in locals those are names.
func (d damage) loses(body *hclsyntax.Body) bool {
	for _, at := range d {
		kept := false
		for _, block := range body.Blocks {
			kept = kept || block.Type != "locals" && damage{at}.in(block)
		}
		if !kept {
			return true
		}
	}
	return false
}

// in reports whether there is a syntax error in a block.
func (d damage) in(block *hclsyntax.Block) bool {
	from, to := block.TypeRange.Start.Byte, block.CloseBraceRange.End.Byte
	for _, at := range d {
		if at.Filename == block.TypeRange.Filename && from <= at.Start.Byte && (at.Start.Byte <= to || to <= from) {
			return true
		}
	}
	return false
}

// doubleKeys reports keys that an object has twice. HCL takes the last of them
// without a word, so that a line of a file has no effect. Keys that are
// computed are known only when the object is evaluated, and are left out.
func doubleKeys(node hclsyntax.Node) hcl.Diagnostics {
	return hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		object, ok := n.(*hclsyntax.ObjectConsExpr)
		if !ok || len(object.Items) < 2 {
			return nil
		}
		var diags hcl.Diagnostics
		first := make(map[string]hcl.Range, len(object.Items))
		for _, item := range object.Items {
			key, ok := writtenKey(item.KeyExpr)
			if !ok {
				continue
			}
			at := item.KeyExpr.Range()
			before, double := first[key]
			if !double {
				first[key] = at
				continue
			}
			d := errorAt(at, "Duplicate key", fmt.Sprintf("The object has the key %q already, in line %d. Remove one of the two.", key, before.Start.Line))
			d.Extra = Related{{Range: before, Note: "set first"}}
			diags = append(diags, d)
		}
		return diags
	})
}

// writtenKey is the key of an object's item, if it is written out. A number
// and a string of its digits are one key.
func writtenKey(expr hclsyntax.Expression) (string, bool) {
	v, diags := expr.Value(nil)
	if diags.HasErrors() || !v.IsWhollyKnown() || v.IsNull() || v.IsMarked() {
		return "", false
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), true
	case cty.Number:
		return v.AsBigFloat().Text('f', -1), true
	case cty.Bool:
		return fmt.Sprint(v.True()), true
	}
	return "", false
}
