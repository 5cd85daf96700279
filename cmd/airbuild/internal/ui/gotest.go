package ui

import (
	"bytes"
	"encoding/json"
	"strings"
)

// GoTestJSON is the Step.LogFormat of logs that `go test -json` wrote.
const GoTestJSON = "go-test-json"

// A TestEvent is one line of `go test -json`; see `go doc test2json`.
type testEvent struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// A testPackage is what a test run said of one package.
type testPackage struct {
	Name    string
	Status  string // pass, fail, skip, or "" if it never ended
	Elapsed float64
	Output  string // of the package itself
	Build   string // compiler output, if the package could not be built
	Tests   []*testCase
	byName  map[string]*testCase
	failed  string // FailedBuild
}

// A testCase is one test function, subtest, example or fuzz seed.
type testCase struct {
	Name    string
	Status  string // pass, fail, skip, or "" if it never ended
	Elapsed float64
	Output  string
}

// A testRun is a parsed log. Other holds the lines that were no JSON, in order.
type testRun struct {
	Packages []*testPackage
	Other    string
	builds   map[string]string // compiler output by import path
}

// parseGoTest reads a log of `go test -json`. Nothing in it is an error: what
// is not an event is kept as text.
func parseGoTest(log []byte) *testRun {
	run := &testRun{builds: map[string]string{}}
	pkgs := map[string]*testPackage{}
	for line := range bytes.Lines(log) {
		var e testEvent
		if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil || e.Action == "" {
			run.Other += string(line)
			continue
		}
		if e.ImportPath != "" {
			run.builds[e.ImportPath] += e.Output
			continue
		}
		p := pkgs[e.Package]
		if p == nil {
			p = &testPackage{Name: e.Package, byName: map[string]*testCase{}}
			pkgs[e.Package] = p
			run.Packages = append(run.Packages, p)
		}
		p.add(e)
	}
	for _, p := range run.Packages {
		p.Build = run.builds[p.failed]
	}
	return run
}

func (p *testPackage) add(e testEvent) {
	if e.FailedBuild != "" {
		p.failed = e.FailedBuild
	}
	if e.Test == "" {
		p.Output += e.Output
		if ended(e.Action) {
			p.Status, p.Elapsed = e.Action, e.Elapsed
		}
		return
	}
	t := p.byName[e.Test]
	if t == nil {
		t = &testCase{Name: e.Test}
		p.byName[e.Test] = t
		p.Tests = append(p.Tests, t)
	}
	if !frame(e.Output) {
		t.Output += e.Output
	}
	if ended(e.Action) {
		t.Status, t.Elapsed = e.Action, e.Elapsed
	}
}

func ended(action string) bool { return action == "pass" || action == "fail" || action == "skip" }

// frame reports whether a line only says which test runs now.
func frame(line string) bool {
	l := strings.TrimLeft(line, " ")
	return strings.HasPrefix(l, "=== RUN ") || strings.HasPrefix(l, "=== PAUSE ") ||
		strings.HasPrefix(l, "=== CONT ") || strings.HasPrefix(l, "=== NAME ")
}

// Broke reports whether the test failed, or was running when its package died.
func (t *testCase) broke(p *testPackage) bool {
	return t.Status == "fail" || t.Status == "" && p.Status != "pass"
}

// text is the run as `go test` without -json would have shown it: compiler
// output, the output of failed tests, one line a package.
func (r *testRun) text() string {
	var b strings.Builder
	b.WriteString(r.Other)
	shown := map[string]bool{}
	for _, p := range r.Packages {
		if p.Build != "" && !shown[p.failed] {
			shown[p.failed] = true
			b.WriteString(p.Build)
		}
		for _, t := range p.Tests {
			if t.broke(p) {
				b.WriteString(t.Output)
			}
		}
		for line := range strings.Lines(p.Output) {
			if line != "PASS\n" && !frame(line) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// humanLog is a step's log as people read it.
func humanLog(format string, log []byte) string {
	if format == GoTestJSON {
		return parseGoTest(log).text()
	}
	return string(log)
}
