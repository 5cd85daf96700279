package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// explain ends the log with what the sandbox kept the step from, and if the
// step failed with what would mend that. It comes below the programs' own
// words, never instead of them.
func (j *job) explain(ctx context.Context, err error) {
	var exit *engine.ExitError
	failed := errors.As(err, &exit)
	j.boxes.told.Lock()
	attempts := slices.Clone(j.boxes.attempts)
	j.boxes.told.Unlock()
	const shown = 10
	for i, a := range attempts {
		if i == shown {
			j.say("blocked: %d more", len(attempts)-shown)
			break
		}
		j.say("blocked: %s", sandbox.Attempt{Program: a.Program, PID: a.PID, Op: sandbox.Op(a.Op), Address: a.Address, Host: a.Host})
	}
	if failed && len(attempts) > 0 {
		j.say("the network is off for this step: %s", j.mend(attempts))
	}
	if failed && j.p.Step.Mode == engine.Staged {
		words := j.missed()
		for _, p := range j.undeclared(words) {
			j.say("%s is there in the project, and the step does not declare it: add it to the stage: inputs = [%q]", p.project, p.input)
		}
		for _, p := range j.hiddenPrograms(ctx, words) {
			j.say("%s is on this host (%s), and the step does not declare it: add it to the stage: tools = [%q]", p.name, p.path, p.name)
		}
	}
}

// mend says what to do for a step that wants the network.
func (j *job) mend(attempts []engine.Attempt) string {
	const allow = "sandbox { network = true }"
	isGo := func(a engine.Attempt) bool { return a.Program == "go" }
	if strings.HasPrefix(j.p.Step.Type, "go_") || slices.ContainsFunc(attempts, isGo) {
		return "run it where the modules are in the module cache, give it a tree of them (modules = stage.<a go_download or go_vendor stage>), or allow it with " + allow
	}
	return "declare what it fetches as inputs, take it from a stage that may fetch, or allow it with " + allow
}

// say writes a line of airbuild's own into the log.
func (j *job) say(format string, args ...any) {
	fmt.Fprintf(j.log, "airbuild: "+format+"\n", args...)
}

// An undeclared file is named in the log and missing among the inputs.
type undeclared struct{ project, input string }

// missing matches lines in which programs say that there is no such file.
//
// It and named are compiled when a step has failed: at every start of airbuild
// they would cost 0.2 ms.
const missing = `(?i)no such file|not found|cannot (find|open|read|stat|access|load)|can't (find|open|read|stat|load)|could not (find|open|read|load)|couldn't (find|open|read|load)|does ?n[o']t exist|unable to (find|open|read|load)|ENOENT|FileNotFound|failed to (find|open|read|load)|no matching files|no rule to make|permission denied|must be run from|no Go files`

// named matches what may be a path in such a line.
const named = `[^\s'"` + "`" + `’‘“”()\[\]{}<>:,;=|*?]+`

// hintLog is how much of the end of a log is looked at, bytes, and hintCount
// how many files are told at most.
const (
	hintLog   = 256 << 10
	hintCount = 5
)

// missed are the words of those lines of the log in which programs said that
// something was not there.
func (j *job) missed() []string {
	var out []string
	missing, named := regexp.MustCompile(missing), regexp.MustCompile(named)
	for line := range bytes.Lines(j.log.tail(hintLog)) {
		if !missing.Match(line) {
			continue
		}
		for _, word := range named.FindAllString(string(line), -1) {
			out = append(out, strings.TrimRight(word, ".!"))
		}
	}
	return out
}

// undeclared are the files and directories of the project among words.
func (j *job) undeclared(words []string) []undeclared {
	var out []undeclared
	for _, word := range words {
		u, ok := j.lookUp(word)
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
func (j *job) hiddenPrograms(ctx context.Context, words []string) []program {
	if !j.boxes.hidden {
		return nil
	}
	spec, err := j.spec(ctx)
	if err != nil {
		return nil
	}
	var out []program
	slices.Sort(words)
	for _, word := range slices.Compact(words) {
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
// copy of it that the step saw, or relative to the step's directory, or to the
// project.
func (j *job) lookUp(word string) (undeclared, bool) {
	root := j.e.Workspace.Root()
	wd := filepath.FromSlash(j.p.Command.WorkingDirectory)
	tries := []string{filepath.Join(wd, word), word}
	if filepath.IsAbs(word) {
		tries = nil
		for _, base := range [...]string{j.out, root} {
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
		if first, _, _ := strings.Cut(p, "/"); first == ".git" || j.declares(p) {
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
func (j *job) declares(p string) bool {
	for _, f := range j.p.Inputs.Files {
		if f.Path == p || strings.HasPrefix(f.Path, p+"/") {
			return true
		}
	}
	for _, l := range j.p.Inputs.Links {
		if l.Path == p || strings.HasPrefix(p, l.Path+"/") {
			return true
		}
	}
	return slices.ContainsFunc(j.p.Command.OutputPaths, func(o string) bool {
		o = path.Join(j.p.Command.WorkingDirectory, o)
		return o == p || strings.HasPrefix(p, o+"/")
	})
}

// tail is the end of what was logged so far, secrets masked.
func (l *logFile) tail(limit int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := max(0, l.size-limit)
	b := make([]byte, l.size-from)
	n, err := l.file.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return b[:n]
}
