// Package diagnose turns the output of a program that failed into a cause and
// what to do about it. It knows the texts of go, gcc, ld, git, tar, upx, docker,
// the dynamic loaders, shells and the kernel.
//
// Classify is pure: text and context in, diagnosis out. The rules are data, in
// the files rules_*.go, in the order in which they are tried: what says more
// comes first. A diagnosis stands below the original output and never instead
// of it; so a rule that is not sure must not match.
package diagnose

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/internal/lists"
)

// maxText is how much of the end of an output is looked at, in bytes, and
// lastLines how much of that the rules look at that know texts of the kernel:
// these occur in the output of many programs that go on.
const (
	maxText   = 64 << 10
	lastLines = 40
	maxDetail = 300 // bytes of one captured detail
)

// A Context is what is known beside the text. The zero value is fine.
type Context struct {
	Offline bool // no step may use the network
	// Look tells who owns the file at an absolute path; nil: nobody is asked.
	Look func(path string) (Access, bool)
}

// An Access is who may do what with a file.
type Access struct {
	Path  string
	Owner string // "root", "uid 1000"
	Mode  string // "-rw-------"
	User  string // who we are
}

// A Diagnosis is the cause of a failure and what mends it.
type Diagnosis struct {
	Kind    string            `json:"kind"` // "go.sum-missing": stable, for programs
	Cause   string            `json:"cause"`
	Fix     string            `json:"fix"`
	Details map[string]string `json:"details,omitempty"` // what was captured: module, file, version, …
}

// A rule knows one failure. In cause and fix "{name}" stands for the detail of
// that name. A group of the expression is a detail; one that took no part is
// left out, and a clause in "[…]" that uses it goes too.
type rule struct {
	kind string
	// has are texts of which one must be there, in lower case, before the
	// expression is tried.
	has []string
	// match is tried on every line, or on the whole text if it names "\n".
	match string
	cause string
	fix   string
	// offline replaces fix where there is no network.
	offline string
	// late rules look at the last lines only.
	late bool
	// refine adds to the details; false: the rule does not match after all.
	refine func(details map[string]string, c Context) bool
}

// compiled are the rules with their expressions.
type compiled struct {
	rule
	re *regexp.Regexp
}

// compileRules is done when something first failed: most runs need none of it.
// The result does not change.
var compileRules = sync.OnceValue(func() []compiled {
	return lists.Map(rules(), func(r rule) compiled { return compiled{r, regexp.MustCompile(`(?m)` + r.match)} })
})

func rules() []rule {
	return slices.Concat(specificRules(), goRules(), gitRules(), cRules(), loaderRules(), toolRules(), networkRules(), kernelRules())
}

// Classify says what the output of a failed program means; nil if it is none of
// the known failures. The output is not trusted; it should be free of control
// characters. Only its end is looked at.
func Classify(output []byte, c Context) *Diagnosis {
	if len(output) > maxText {
		output = output[len(output)-maxText:]
		if i := bytes.IndexByte(output, '\n'); i >= 0 {
			output = output[i+1:]
		}
	}
	text := strings.ReplaceAll(string(output), "\r\n", "\n")
	lower := strings.ToLower(text)
	end, lowerEnd := lastOf(text), lastOf(lower)
	for _, r := range compileRules() {
		in, low := text, lower
		if r.late {
			in, low = end, lowerEnd
		}
		if !hasAny(low, r.has) {
			continue
		}
		if d := r.try(in, c); d != nil {
			return d
		}
	}
	return nil
}

// lastOf are the last lines of a text.
func lastOf(text string) string {
	at := len(text)
	for range lastLines {
		i := strings.LastIndexByte(text[:max(at-1, 0)], '\n')
		if i < 0 {
			return text
		}
		at = i + 1
	}
	return text[at:]
}

func hasAny(text string, needles []string) bool {
	return slices.ContainsFunc(needles, func(n string) bool { return strings.Contains(text, n) })
}

// try matches the rule, at most a few times: where refine says no, a later line
// may be what is meant.
func (r *compiled) try(text string, c Context) *Diagnosis {
	for _, m := range r.re.FindAllStringSubmatch(text, 20) {
		details := map[string]string{}
		for i, name := range r.re.SubexpNames() {
			if name != "" && m[i] != "" {
				details[name] = shorten(strings.TrimSpace(m[i]))
			}
		}
		if r.refine != nil && !r.refine(details, c) {
			continue
		}
		fix := r.fix
		if c.Offline && r.offline != "" {
			fix = r.offline
		}
		return &Diagnosis{Kind: r.kind, Cause: fill(r.cause, details), Fix: fill(fix, details), Details: details}
	}
	return nil
}

func shorten(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail], "") + "…"
}

// fill puts details into a text, and takes out the clauses in brackets of which
// a detail is missing.
func fill(text string, details map[string]string) string {
	var b strings.Builder
	for text != "" {
		open := strings.IndexByte(text, '[')
		if open < 0 {
			break
		}
		length := strings.IndexByte(text[open:], ']')
		if length < 0 {
			break
		}
		b.WriteString(replace(text[:open], details))
		if clause, whole := replaceAll(text[open+1:open+length], details); whole {
			b.WriteString(clause)
		}
		text = text[open+length+1:]
	}
	b.WriteString(replace(text, details))
	return b.String()
}

func replace(text string, details map[string]string) string {
	s, _ := replaceAll(text, details)
	return s
}

// replaceAll reports whether all placeholders had a detail. Braces around
// anything but a name stand for themselves.
func replaceAll(text string, details map[string]string) (string, bool) {
	var b strings.Builder
	whole := true
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), whole
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			b.WriteByte('{')
			text = rest
			continue
		}
		if details[name] == "" {
			whole = false
		}
		b.WriteString(details[name])
		text = after
	}
}

// Text is the diagnosis as people read it: two lines.
func (d *Diagnosis) Text() string { return "cause: " + d.Cause + "\nfix: " + d.Fix }

// DetailNames are the names of the details, sorted.
func (d *Diagnosis) DetailNames() []string { return slices.Sorted(maps.Keys(d.Details)) }

// owner tells who owns the captured path, where it is absolute.
func owner(details map[string]string, c Context) bool {
	name := strings.Trim(details["path"], "'\"`‘’")
	details["path"] = name
	if c.Look == nil || !path.IsAbs(name) {
		return true
	}
	if a, ok := c.Look(name); ok {
		details["owner"], details["mode"], details["user"] = a.Owner, a.Mode, a.User
		if a.Path != name {
			details["where"] = a.Path
		}
	}
	return true
}
