// Package pattern finds files by patterns with *, ?, [a-z], {a,b} and **, as
// the doublestar library defines them. Patterns may come from anybody: one
// whose braces stand for too many patterns is refused, and a walk reads each
// directory once, whatever the pattern is.
package pattern

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/airbuild/airbuild/internal/lists"
)

const (
	maxLength       = 4096 // bytes of a pattern
	maxAlternatives = 1000 // patterns without braces that one stands for
)

// ErrMalformed is the error of Check for a text that is not a pattern.
var ErrMalformed = errors.New("a [ or { is not closed, or it ends with a backslash")

// Check is an error for a pattern that is malformed or stands for too many.
func Check(pattern string) error {
	_, err := compile(pattern)
	return err
}

// Match reports whether a pattern that Check accepts matches a path.
func Match(pattern, name string) bool { return doublestar.MatchUnvalidated(pattern, name) }

// Quote returns the pattern that matches just the path.
func Quote(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "{", `\{`, "}", `\}`).Replace(name)
}

// Base returns the directory before the first part with a wildcard, "." if that
// is the first part, and the rest.
func Base(pattern string) (base, rest string) { return doublestar.SplitPattern(pattern) }

// Glob returns the files that the pattern names, sorted, each once. It follows
// links in the parts before the first wildcard only; another link is a file.
func Glob(fsys fs.FS, pattern string) ([]string, error) {
	var found []string
	err := Walk(fsys, pattern, func(name string, dir bool) error {
		if !dir {
			found = append(found, name)
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// Walk calls visit for each file and directory that the pattern names, once, in
// no certain order. It returns the first error: that of visit, fs.SkipAll
// aside, or of a directory that cannot be read.
func Walk(fsys fs.FS, pattern string, visit func(name string, dir bool) error) error {
	alternatives, err := compile(pattern)
	if err != nil {
		return err
	}
	w := walker{fsys, alternatives, visit}
	states := make([]state, len(alternatives))
	for i := range states {
		states[i] = state{alternative: i}
	}
	if err := w.walk(".", states); err != nil && !errors.Is(err, fs.SkipAll) {
		return err
	}
	return nil
}

// A part of a pattern matches one name of a path, or any number of them.
type part struct {
	text string // a name if literal, else a pattern
	kind kind
}

type kind int

const (
	literal kind = iota
	wildcard
	anyDepth
)

func (p part) matches(name string) bool {
	return p.kind == literal && p.text == name || p.kind == wildcard && doublestar.MatchUnvalidated(p.text, name)
}

// compile returns the patterns without braces that a pattern stands for.
func compile(pattern string) ([][]part, error) {
	if len(pattern) > maxLength {
		return nil, fmt.Errorf("it has %d bytes; a pattern has at most %d", len(pattern), maxLength)
	}
	if !doublestar.ValidatePattern(pattern) {
		return nil, ErrMalformed
	}
	texts, err := expand(pattern)
	if err != nil {
		return nil, err
	}
	out := make([][]part, len(texts))
	for i, text := range texts {
		if out[i], err = split(text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// expand replaces each group in braces by its alternatives.
func expand(pattern string) ([]string, error) {
	done, open := []string{}, []string{pattern}
	for len(open) > 0 {
		p := open[len(open)-1]
		open = open[:len(open)-1]
		start := firstBrace(p)
		if start < 0 {
			done = append(done, p)
		} else {
			choices, rest := alternatives(p[start+1:])
			for _, c := range slices.Backward(choices) {
				open = append(open, p[:start]+c+rest)
			}
		}
		if len(done)+len(open) > maxAlternatives {
			return nil, fmt.Errorf("its braces stand for more than %d patterns", maxAlternatives)
		}
	}
	return done, nil
}

// firstBrace returns where the first group in braces begins, -1 without one.
func firstBrace(p string) int {
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			i += class(p[i:])
		case '{':
			return i
		}
	}
	return -1
}

// class returns the index of the bracket that ends the character class at the
// begin of p, which is valid.
func class(p string) int {
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case ']':
			return i
		}
	}
	return len(p) - 1
}

// alternatives splits what follows an opening brace into the alternatives and
// what follows the closing one.
func alternatives(p string) (choices []string, rest string) {
	depth, from := 0, 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			i += class(p[i:])
		case '{':
			depth++
		case ',':
			if depth == 0 {
				choices, from = append(choices, p[from:i]), i+1
			}
		case '}':
			if depth == 0 {
				return append(choices, p[from:i]), p[i+1:]
			}
			depth--
		}
	}
	return append(choices, p[from:]), ""
}

// split makes the parts of a pattern without braces. A last ** is every file
// and directory below.
func split(pattern string) ([]part, error) {
	var parts []part
	for text := range strings.SplitSeq(strings.ReplaceAll(pattern, `\/`, "/"), "/") {
		switch {
		case !doublestar.ValidatePattern(text):
			return nil, ErrMalformed
		case text == "**":
			if len(parts) == 0 || parts[len(parts)-1].kind != anyDepth {
				parts = append(parts, part{kind: anyDepth})
			}
		case strings.ContainsAny(unescaped(text), "*?["):
			parts = append(parts, part{text, wildcard})
		default:
			parts = append(parts, part{literalText(text), literal})
		}
	}
	if parts[len(parts)-1].kind == anyDepth {
		parts = append(parts, part{"*", wildcard})
	}
	return parts, nil
}

// unescaped is the text without what a backslash stands before.
func unescaped(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// literalText is the name that a part without wildcards means.
func literalText(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// A state is how far an alternative has matched the path of a directory: its
// part next is to match the next name.
type state struct {
	alternative, next int
	free              bool // a wildcard was before: links are not followed
}

type walker struct {
	fsys         fs.FS
	alternatives [][]part
	visit        func(string, bool) error
}

// walk looks for what is in dir. The states are those of dir itself.
func (w *walker) walk(dir string, states []state) error {
	states = w.closure(states)
	names, wild := w.wanted(states)
	if wild {
		return w.list(dir, states)
	}
	for _, name := range names {
		info, err := fs.Stat(w.fsys, path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = w.enter(dir, name, info.IsDir(), false, states)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// closure adds the states in which a ** has matched nothing. States of one
// alternative stay beside each other.
func (w *walker) closure(states []state) []state {
	var out []state
	for _, s := range states {
		out = add(out, s)
		if w.part(s).kind == anyDepth {
			out = add(out, state{s.alternative, s.next + 1, true})
		}
	}
	return out
}

// add appends a state that is not among those of its alternative.
func add(states []state, s state) []state {
	for i := len(states) - 1; i >= 0 && states[i].alternative == s.alternative; i-- {
		if states[i] == s {
			return states
		}
	}
	return append(states, s)
}

func (w *walker) part(s state) part { return w.alternatives[s.alternative][s.next] }

// wanted returns the names that the states name, or that a directory must be
// listed to know them.
func (w *walker) wanted(states []state) (names []string, wild bool) {
	for _, s := range states {
		p := w.part(s)
		if p.kind != literal || s.free {
			return nil, true
		}
		if p.text != "" && p.text != "." && p.text != ".." {
			names = append(names, p.text)
		}
	}
	return lists.Unique(names), false
}

func (w *walker) list(dir string, states []state) error {
	entries, err := fs.ReadDir(w.fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		isDir, link := e.IsDir(), e.Type()&fs.ModeSymlink != 0
		if link && slices.ContainsFunc(states, func(s state) bool { return w.names(s, e.Name()) }) {
			info, err := fs.Stat(w.fsys, path.Join(dir, e.Name()))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			isDir = err == nil && info.IsDir()
		}
		if err := w.enter(dir, e.Name(), isDir, link, states); err != nil {
			return err
		}
	}
	return nil
}

// names reports whether a state, before any wildcard, asks for just that name.
func (w *walker) names(s state, name string) bool {
	p := w.part(s)
	return !s.free && p.kind == literal && p.text == name
}

// enter visits what is called name in dir if the states say so, and what is
// below it. A link is a directory for those states only that name it.
func (w *walker) enter(dir, name string, isDir, link bool, states []state) error {
	var below []state
	matched, file := false, false
	for _, s := range states {
		p := w.part(s)
		enters := isDir && (!link || w.names(s, name))
		switch {
		case p.kind == anyDepth:
			if enters {
				below = add(below, state{s.alternative, s.next, true})
			}
		case !p.matches(name):
		case s.next+1 == len(w.alternatives[s.alternative]):
			matched, file = true, file || !enters
		case enters:
			below = add(below, state{s.alternative, s.next + 1, s.free || p.kind != literal})
		}
	}
	full := path.Join(dir, name)
	if matched {
		if err := w.visit(full, !file); err != nil {
			return err
		}
	}
	if len(below) > 0 {
		return w.walk(full, below)
	}
	return nil
}
