package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
)

// correctAll fixes what can be fixed in the files of the project. Each is written
// whole or not at all; if the Airbuildfile does not validate afterwards, all are
// put back.
func (u *auditor) correctAll(ctx context.Context) error {
	before := map[string][]byte{}
	restore := func() error {
		var errs []error
		for name, b := range before {
			errs = append(errs, u.o.Replace(name, b))
		}
		return errors.Join(errs...)
	}
	for i := range u.report.Steps {
		v := &u.report.Steps[i]
		if v.Status != Findings { // of a step that failed half is not known
			continue
		}
		for j := range v.Findings {
			if err := u.correct(v.step, &v.Findings[j], before); err != nil {
				return errors.Join(err, restore())
			}
		}
	}
	if len(before) == 0 {
		return nil
	}
	// The file is read anew, as validate would.
	if _, err := project.Load(ctx, u.o.Reload); err != nil {
		if rerr := restore(); rerr != nil {
			return errors.Join(err, rerr)
		}
		return fmt.Errorf("the changes did not validate, and were taken back: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		rel, err := filepath.Rel(u.Root, name)
		if err != nil {
			rel = name
		}
		u.report.Written = append(u.report.Written, filepath.ToSlash(rel))
	}
	return nil
}

// correct changes one stage for one finding. Another finding, of another cell, may
// have done it already. What has no place in a file of the project is left.
func (u *auditor) correct(s *engine.Step, f *Finding, before map[string][]byte) error {
	if f.attr == "" {
		return nil
	}
	name, _, ok := strings.Cut(s.Origin, ":")
	if !ok {
		return nil
	}
	name = filepath.Join(u.Root, filepath.FromSlash(name))
	src, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a ready-made pipeline
	}
	if err != nil {
		return fmt.Errorf("fix %s: %w", s.Stage, err)
	}
	out, err := editStage(src, s.Type, s.Stage, f.attr, f.add, f.remove)
	if errors.Is(err, errNoStage) || errors.Is(err, errNotLiteral) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fix %s: %w", s.Stage, err)
	}
	f.Corrected = true
	if bytes.Equal(out, src) {
		return nil
	}
	if _, ok := before[name]; !ok {
		before[name] = src
	}
	return u.o.Replace(name, out)
}

var errNotLiteral = errors.New("the attribute is not a list of strings")

// editStage adds an element to a list attribute of a stage, or takes one away.
// Everything else stays as it is, comments and line breaks too; a file that was
// formatted stays formatted.
func editStage(src []byte, kind, stage, attr, add, remove string) ([]byte, error) {
	file, diags := hclsyntax.ParseConfig(src, "Airbuildfile", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	var block *hclsyntax.Block
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "stage" && slices.Equal(b.Labels, []string{kind, stage}) {
			block = b
		}
	}
	if block == nil {
		return nil, errNoStage
	}
	out, err := editList(src, block, attr, add, remove)
	if err != nil {
		return nil, err
	}
	if same, diags := dsl.Format(src, "Airbuildfile"); !diags.HasErrors() && bytes.Equal(same, src) {
		if formatted, diags := dsl.Format(out, "Airbuildfile"); !diags.HasErrors() {
			out = formatted
		}
	}
	return out, nil
}

func editList(src []byte, block *hclsyntax.Block, attr, add, remove string) ([]byte, error) {
	splice := func(from, to int, text string) []byte {
		return slices.Concat(src[:from], []byte(text), src[to:])
	}
	quoted := dsl.Quote(add)
	a := block.Body.Attributes[attr]
	if a == nil {
		if remove != "" {
			return nil, errNotLiteral
		}
		return insertAttribute(src, block, attr, quoted), nil
	}
	list, ok := a.Expr.(*hclsyntax.TupleConsExpr)
	at := -1
	if ok {
		at = slices.IndexFunc(list.Exprs, func(e hclsyntax.Expression) bool { return isText(e, add+remove) })
	}
	switch {
	case remove != "" && at < 0:
		return nil, errNotLiteral
	case remove != "":
		from, to := elementRange(src, list, at)
		return splice(from, to, ""), nil
	case at >= 0:
		return src, nil
	case !ok:
		r := a.Expr.Range()
		return splice(r.Start.Byte, r.End.Byte, "concat("+string(src[r.Start.Byte:r.End.Byte])+", ["+quoted+"])"), nil
	case len(list.Exprs) == 0:
		r := list.Range()
		return splice(r.Start.Byte, r.End.Byte, "["+quoted+"]"), nil
	}
	last := list.Exprs[len(list.Exprs)-1].Range()
	if last.End.Line == list.Range().End.Line {
		return splice(last.End.Byte, last.End.Byte, ", "+quoted), nil
	}
	// A list over several lines: a line of its own, indented as the last, which
	// may lack its comma.
	line := last.Start.Byte - (last.Start.Column - 1)
	indent := src[line:last.Start.Byte]
	indent = indent[:len(indent)-len(bytes.TrimLeft(indent, " \t"))]
	end := last.End.Byte
	next := end + bytes.IndexByte(src[end:], '\n') + 1 // there is one: the list ends on a later line
	comma := ","
	if bytes.HasPrefix(bytes.TrimLeft(src[end:], " \t"), []byte(",")) {
		comma = ""
	}
	return slices.Concat(src[:end], []byte(comma), src[end:next], indent, []byte(quoted+",\n"), src[next:]), nil
}

// insertAttribute puts a new attribute on a line of its own after the opening
// of the block.
func insertAttribute(src []byte, block *hclsyntax.Block, attr, quoted string) []byte {
	open := block.OpenBraceRange.End.Byte
	text := "\n  " + attr + " = [" + quoted + "]"
	if block.OpenBraceRange.Start.Line == block.CloseBraceRange.Start.Line {
		// stage "…" "…" { a = 1 }: what is there moves to its own line.
		inner := strings.TrimSpace(string(src[open:block.CloseBraceRange.Start.Byte]))
		if inner != "" {
			text += "\n  " + inner
		}
		return slices.Concat(src[:open], []byte(text+"\n"), src[block.CloseBraceRange.Start.Byte:])
	}
	return slices.Concat(src[:open], []byte(text), src[open:])
}

// isText reports whether an expression is just this text.
func isText(e hclsyntax.Expression, text string) bool {
	v, diags := e.Value(nil)
	return !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String && v.AsString() == text
}

// elementRange is where an element of a list stands, with what parts it from
// the others: a line of its own goes as a whole.
func elementRange(src []byte, list *hclsyntax.TupleConsExpr, at int) (from, to int) {
	r := list.Exprs[at].Range()
	from, to = r.Start.Byte, r.End.Byte
	for to < len(src) && (src[to] == ' ' || src[to] == '\t') {
		to++
	}
	comma := to < len(src) && src[to] == ','
	if comma {
		to++
	}
	lineStart := bytes.LastIndexByte(src[:from], '\n') + 1
	lineEnd := to + max(0, bytes.IndexByte(src[to:], '\n'))
	if len(bytes.TrimSpace(src[lineStart:from])) == 0 && len(bytes.TrimSpace(src[to:lineEnd])) == 0 && src[lineEnd] == '\n' {
		return lineStart, lineEnd + 1
	}
	for comma && to < len(src) && (src[to] == ' ' || src[to] == '\t') {
		to++
	}
	if !comma && at > 0 { // the last one: the comma before it goes
		from = list.Exprs[at-1].Range().End.Byte
	}
	return from, to
}
