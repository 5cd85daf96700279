package load

import (
	"bytes"
	"errors"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"
	"unicode"
)

// A fact is what a source file says of itself, for whatever target.
type fact struct {
	bad        string   // why the file cannot be understood, or ""
	constraint string   // the //go:build line
	plus       []string // the // +build lines, if there is no constraint
	pkg        string
	imports    []string // in order; "C" too
	cgo        []string // the #cgo lines
	embeds     []string // patterns
	debug      []string // the //go:debug lines
}

// uses reports whether the file imports path.
func (f *fact) uses(path string) bool {
	for _, p := range f.imports {
		if p == path {
			return true
		}
	}
	return false
}

// scanGo reads a Go file.
func scanGo(text []byte) *fact {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	f := scanHeader(text)
	if f.bad != "" {
		return f
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", text, parser.ImportsOnly|parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		f.bad = err.Error()
		return f
	}
	f.pkg = file.Name.Name
	if err := f.addImports(file); err != nil {
		f.bad = err.Error()
		return f
	}
	for _, group := range file.Comments {
		if group.Pos() >= file.Package {
			break
		}
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:debug") {
				f.debug = append(f.debug, c.Text)
			}
		}
	}
	if f.uses("embed") {
		f.embeds = embedPatterns(text)
	}
	return f
}

func (f *fact) addImports(file *ast.File) error {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range decl.Specs {
			spec, ok := s.(*ast.ImportSpec)
			if !ok {
				continue
			}
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !validImport(path) {
				return errors.New("invalid import path " + spec.Path.Value)
			}
			f.imports = append(f.imports, path)
			if path != "C" {
				continue
			}
			doc := spec.Doc
			if doc == nil && len(decl.Specs) == 1 {
				doc = decl.Doc
			}
			f.cgo = append(f.cgo, cgoLines(doc.Text())...)
		}
	}
	return nil
}

// validImport reports whether the language allows an import path.
func validImport(path string) bool {
	const illegal = "!\"#$%&'()*,:;<=>?[\\]^{|}`\uFFFD"
	for _, r := range path {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(illegal, r) {
			return false
		}
	}
	return path != ""
}

// cgoLines returns the #cgo lines of a comment.
func cgoLines(doc string) []string {
	var out []string
	for line := range strings.SplitSeq(doc, "\n") {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "#cgo"); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			out = append(out, line)
		}
	}
	return out
}

// embedPatterns returns the patterns of all //go:embed lines. Those that are
// malformed are the compiler's to report.
func embedPatterns(text []byte) []string {
	var out []string
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return out
		}
		if tok != token.COMMENT || !strings.HasPrefix(lit, "//go:embed") {
			continue
		}
		d, ok := ast.ParseDirective(pos, lit)
		if !ok || d.Tool != "go" || d.Name != "embed" {
			continue
		}
		args, err := d.ParseArgs()
		if err != nil {
			continue
		}
		for _, a := range args {
			out = append(out, a.Arg)
		}
	}
}

// scanHeader reads the comments that a file begins with, in Go or any language
// with the same comments, for build constraints.
//
// A //go:build line counts wherever it is alone on a line outside /* */ before
// the first text; // +build lines count only in the leading run of // comments
// and empty lines, above its last empty line.
func scanHeader(text []byte) *fact {
	f := &fact{}
	var plus []string // seen since the last empty line
	leading := true
	block := false // inside /* */
	for rest := text; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		line = bytes.TrimSpace(line)
		if bytes.IndexByte(line, 0) >= 0 {
			f.bad = "a NUL byte"
			return f
		}
		if len(line) == 0 {
			if leading {
				f.plus, plus = append(f.plus, plus...), nil
			}
			continue
		}
		if !bytes.HasPrefix(line, []byte("//")) {
			leading = false
		}
		if !block {
			if err := f.constrain(string(line)); err != nil {
				f.bad = err.Error()
				return f
			}
			if leading && constraint.IsPlusBuild(string(line)) {
				plus = append(plus, string(line))
			}
		}
		var end bool
		if block, end = skipComments(line, block); end {
			break
		}
	}
	if f.constraint != "" {
		f.plus = nil
	}
	return f
}

// constrain takes a //go:build line in.
func (f *fact) constrain(line string) error {
	rest, ok := strings.CutPrefix(line, "//go:build")
	if !ok || rest != "" && strings.TrimSpace(rest) == rest {
		return nil
	}
	if f.constraint != "" {
		return errors.New("several //go:build lines")
	}
	f.constraint = line
	_, err := constraint.Parse(line)
	return err
}

// skipComments reads over the comments of a line. It reports whether the line
// ends inside a /* comment, and whether it has other text.
func skipComments(line []byte, block bool) (in, text bool) {
	for len(line) > 0 {
		switch {
		case block:
			i := bytes.Index(line, []byte("*/"))
			if i < 0 {
				return true, false
			}
			block, line = false, bytes.TrimSpace(line[i+2:])
		case bytes.HasPrefix(line, []byte("//")):
			return false, false
		case bytes.HasPrefix(line, []byte("/*")):
			block, line = true, bytes.TrimSpace(line[2:])
		default:
			return false, true
		}
	}
	return block, false
}

// scanOther reads a file of another language.
func scanOther(text []byte) *fact {
	return scanHeader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
}
