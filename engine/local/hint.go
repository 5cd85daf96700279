package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/internal/lists"
)

// hints explain a failed step by its log: with what the sandbox kept it from, and
// which files and programs it does not declare.
type hints struct {
	*layout
	log      *logFile
	sandbox  *confinement
	testDirs map[string]bool // directories of inputs that are tests; nil until needed
}

// write ends the log with what the sandbox kept the step from, and if the
// step failed with what would fix that. It comes below the programs' own
// words, never instead of them.
func (h *hints) write(ctx context.Context, err error) {
	var exit *engine.ExitError
	failed := errors.As(err, &exit)
	h.sandbox.reported.Lock()
	attempts := slices.Clone(h.sandbox.attempts)
	h.sandbox.reported.Unlock()
	shown := 10
	if err == nil {
		shown = 1 // it did without: worth a line, and no more
	}
	for i, a := range attempts {
		if i == shown {
			h.print("blocked: %d more", len(attempts)-shown)
			break
		}
		done := ""
		if err == nil {
			done = "; the step succeeded without it"
		}
		h.print("blocked: %s%s", sandbox.Attempt{Program: a.Program, PID: a.PID, Op: sandbox.Op(a.Op), Address: a.Address, Host: a.Host}, done)
	}
	tests := h.p.Step.LogFormat == testLog
	switch {
	case !failed:
	case len(attempts) > 0:
		h.print("the network is off for this step; if it needs it, %s", h.networkFix(attempts))
	case tests && !h.p.Step.Network && h.sandbox.e.Sandbox != nil && h.testFailed():
		// A program that a test starts may say nothing of it: the go command
		// stops by GOPROXY=off before it tries anything.
		h.print("tests have no network here: if they need it, %s", withNetwork)
	}
	if !failed || h.p.Step.Mode != engine.Staged && !h.copied {
		return
	}
	missed := h.missed()
	for _, p := range h.undeclared(missed) {
		h.print("%s exists in the project, but the step does not declare it; add to the stage: inputs = [%q]", p.project, p.input)
	}
	for _, p := range h.hiddenPrograms(ctx, missed) {
		h.print("%s is on this host (%s), and the step does not declare it: add it to the stage: tools = [%q]", p.name, p.path, p.name)
	}
}

// testLog is the LogFormat of what go test -json prints.
const testLog = "go-test-json"

// allowNetwork gives a step the network; withNetwork is what to do for tests.
const (
	allowNetwork = "sandbox { network = true }"
	withNetwork  = "allow it with " + allowNetwork + ", or leave those tests out with short = true or skip"
)

// testFailed reports whether a test failed, and not only a compilation.
func (h *hints) testFailed() bool {
	return slices.ContainsFunc(h.lines(), func(l line) bool { return l.failed })
}

// networkFix says what to do for a step that wants the network.
func (h *hints) networkFix(attempts []engine.Attempt) string {
	isGo := func(a engine.Attempt) bool { return a.Program == "go" }
	switch {
	case h.p.Step.LogFormat == testLog:
		return withNetwork
	case h.p.Step.Traits.Go || slices.ContainsFunc(attempts, isGo):
		return "run it where the modules are in the module cache, give it a tree of them (modules = stage.<a go_download or go_vendor stage>), or allow it with " + allowNetwork
	}
	return "declare what it fetches as inputs, take it from a stage that may fetch, or allow it with " + allowNetwork
}

// print writes a line of airbuild's own into the log.
func (h *hints) print(format string, args ...any) {
	fmt.Fprintf(h.log, "airbuild: "+format+"\n", args...)
}

// An undeclared file is named in the log and missing among the inputs.
type undeclared struct{ project, input string }

// missing matches lines in which programs say that there is no such file.
//
// It and named are compiled when a step has failed: at every start of airbuild
// they would cost 0.2 ms.
const missing = `(?i)no such file( or directory)?|((executable )?file|command|directory|folder|module|package|program)? ?not found|cannot (find|open|read|stat|access|load)|can't (find|open|read|stat|load)|could not (find|open|read|load)|couldn't (find|open|read|load)|does ?n[o']t exist|unable to (find|open|read|load)|ENOENT|FileNotFound|failed to (find|open|read|load)|no matching files|no rule to make|permission denied|must be run from|no Go files`

// named matches what may be a path in such a line.
const named = `[^\s'"` + "`" + `’‘“”()\[\]{}<>:,;=|*?]+`

// hintLog is how much of the end of a log is looked at, bytes, and hintCount
// how many files are reported at most.
const (
	hintLog   = 256 << 10
	hintCount = 5
)

// A line is one line of a log.
type line struct {
	text   string
	dir    string // of the package whose tests printed it; empty if that is not known
	failed bool   // it says that a test failed
}

// lines are the end of the log, line by line.
func (h *hints) lines() []line {
	var out []line
	for b := range bytes.Lines(h.log.tail(hintLog)) {
		l := line{text: string(b)}
		if h.p.Step.LogFormat == testLog {
			var e struct{ Action, Package, Test, Output string }
			if json.Unmarshal(b, &e) == nil {
				l = line{text: e.Output, dir: h.packageDir(e.Package), failed: e.Action == "fail" && e.Test != ""}
			}
		}
		out = append(out, l)
	}
	return out
}

// packageDir is the directory of the project in which a package has its tests:
// of those whose names end the import path, the longest.
func (h *hints) packageDir(pkg string) string {
	if h.testDirs == nil {
		h.testDirs = map[string]bool{}
		for _, f := range h.p.Inputs.Files {
			if strings.HasSuffix(f.Path, "_test.go") {
				h.testDirs[path.Dir(f.Path)] = true
			}
		}
	}
	for rest := pkg; rest != ""; {
		if h.testDirs[rest] {
			return rest
		}
		_, rest, _ = strings.Cut(rest, "/")
	}
	return ""
}

// A word of a log may be a path; dir is where it may be relative to, beside
// the step's own directory.
type word struct{ text, dir string }

// missed are the words of those lines of the log in which programs said that
// something was not there, without the words that say so.
func (h *hints) missed() []word {
	var out []word
	missing, named := regexp.MustCompile(missing), regexp.MustCompile(named)
	for _, l := range h.lines() {
		out = append(out, missedIn(l, missing, named)...)
	}
	return out
}

func missedIn(l line, missing, named *regexp.Regexp) []word {
	said := missing.FindAllStringIndex(l.text, -1)
	if said == nil {
		return nil
	}
	var out []word
	for _, at := range named.FindAllStringIndex(l.text, -1) {
		text := l.text[at[0]:at[1]]
		within := slices.ContainsFunc(said, func(s []int) bool { return at[0] < s[1] && s[0] < at[1] })
		if within || !strings.ContainsAny(text, `./\`) && !isObject(l.text, at, said) {
			continue
		}
		out = append(out, word{strings.TrimRight(text, ".!"), l.dir})
	}
	return out
}

// isObject reports whether a word that does not look like a path stands where
// programs name what is missing: in quotes, or next to the words that say so
// with a colon between them. Other words are the program's prose, though
// directories may be called so too.
func isObject(text string, at []int, said [][]int) bool {
	const quotes = "'\"`’‘“”"
	before, after := text[:at[0]], text[at[1]:]
	if b, _ := utf8.DecodeLastRuneInString(before); strings.ContainsRune(quotes, b) {
		a, _ := utf8.DecodeRuneInString(after)
		return strings.ContainsRune(quotes, a)
	}
	switch text[at[0]:at[1]] {
	case "error", "fatal", "warning", "note":
		return false
	}
	follows := func(said string) bool { // "cannot open x", and not "x: no such file"
		said = strings.ToLower(said)
		return strings.HasPrefix(said, "can") || strings.HasPrefix(said, "could") || strings.HasPrefix(said, "unable") || strings.HasPrefix(said, "failed")
	}
	between := func(s string) bool { return strings.Contains(s, ":") && strings.Trim(s, ": \t") == "" }
	return slices.ContainsFunc(said, func(s []int) bool {
		return s[0] >= at[1] && between(text[at[1]:s[0]]) && !follows(text[s[0]:s[1]]) || s[1] <= at[0] && between(text[s[1]:at[0]])
	})
}

// undeclared are the files and directories of the project among words.
func (h *hints) undeclared(words []word) []undeclared {
	var out []undeclared
	for _, w := range words {
		u, ok := h.lookUp(w)
		if ok && !slices.Contains(out, u) && len(out) < hintCount {
			out = append(out, u)
		}
	}
	return out
}

// A program of the host, by what it is called and where it is.
type program struct{ name, path string }

// hiddenPrograms are the programs on PATH among words that the sandbox did not
// show.
func (h *hints) hiddenPrograms(ctx context.Context, words []word) []program {
	if !h.sandbox.hidden {
		return nil
	}
	spec, err := h.sandbox.spec(ctx, nil)
	if err != nil {
		return nil
	}
	var out []program
	names := lists.Map(words, func(w word) string { return w.text })
	for _, word := range lists.Unique(names) {
		if strings.ContainsAny(word, `/\`) || len(out) == hintCount {
			continue
		}
		if at, err := exec.LookPath(word); err == nil && filepath.IsAbs(at) && !spec.Shows(at, false) {
			out = append(out, program{word, at})
		}
	}
	return out
}

// lookUp takes a word of the log for a path: absolute in the project or in the
// copy of it that the step saw, or relative to the step's directory, to that of
// a tested package, or to the project.
func (h *hints) lookUp(w word) (undeclared, bool) {
	word := w.text
	root := h.project
	wd := filepath.FromSlash(h.p.Command.WorkingDirectory)
	tries := []string{filepath.Join(wd, word), word}
	if w.dir != "" {
		tries = slices.Insert(tries, 0, filepath.Join(filepath.FromSlash(w.dir), word))
	}
	if filepath.IsAbs(word) {
		tries = nil
		for _, base := range [...]string{h.out, root} {
			if within(base, word) {
				rel, _ := filepath.Rel(base, word)
				tries = append(tries, rel)
			}
		}
	}
	for _, rel := range tries {
		if !filepath.IsLocal(rel) || filepath.Clean(rel) == "." {
			continue
		}
		info, err := os.Stat(filepath.Join(root, rel))
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			continue
		}
		p := filepath.ToSlash(filepath.Clean(rel))
		if first, _, _ := strings.Cut(p, "/"); first == ".git" || h.declares(p) {
			continue
		}
		in, err := filepath.Rel(filepath.Join(root, wd), filepath.Join(root, rel))
		if err != nil {
			continue
		}
		in = filepath.ToSlash(in)
		if info.IsDir() {
			in += "/**"
		}
		return undeclared{p, in}, true
	}
	return undeclared{}, false
}

// declares reports whether the project's path p is an input, holds one, or is
// an output.
func (h *hints) declares(p string) bool {
	for _, f := range h.p.Inputs.Files {
		if f.Path == p || strings.HasPrefix(f.Path, p+"/") {
			return true
		}
	}
	for _, l := range h.p.Inputs.Links {
		if l.Path == p || strings.HasPrefix(p, l.Path+"/") {
			return true
		}
	}
	return slices.ContainsFunc(h.p.Command.OutputPaths, func(o string) bool {
		o = path.Join(h.p.Command.WorkingDirectory, o)
		return o == p || strings.HasPrefix(p, o+"/")
	})
}
