package ui

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
)

// The elements are those that Jenkins and GitLab read: testsuites, testsuite,
// testcase with failure, error, skipped and system-out.
type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Skipped  int           `xml:"skipped,attr"`
	Time     string        `xml:"time,attr"`
	Suites   []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
	seconds   float64
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
	Skipped *junitSkipped `xml:"skipped"`
	Out     *junitText    `xml:"system-out"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

type junitSkipped struct {
	Message string `xml:"message,attr,omitempty"`
}

type junitText struct {
	Text string `xml:",cdata"`
}

// WriteJUnit writes the run as JUnit XML: a suite for each stage with a case
// for each of its steps, and for each package that a go_test step tested a
// suite with its tests.
func WriteJUnit(w io.Writer, run *Run) error {
	doc := &junitSuites{Name: "airbuild"}
	stages := map[string]*junitSuite{}
	for _, r := range run.Steps {
		s := stages[r.Step.Stage]
		if s == nil {
			s = doc.suite(r.Step.Stage, r.Start)
			stages[r.Step.Stage] = s
		}
		s.add(stepCase(r), r.Duration.Seconds())
		if r.Step.LogFormat == GoTestJSON {
			doc.packages(r)
		}
	}
	total := 0.0
	if run.Summary != nil {
		total = run.Summary.Wall.Seconds()
	}
	doc.Time = seconds(total)
	for _, s := range doc.Suites {
		s.Time = seconds(s.seconds)
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Skipped += s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (d *junitSuites) suite(name string, start time.Time) *junitSuite {
	s := &junitSuite{Name: xmlText(name)}
	if !start.IsZero() {
		s.Timestamp = start.UTC().Format("2006-01-02T15:04:05")
	}
	d.Suites = append(d.Suites, s)
	return s
}

func (s *junitSuite) add(c junitCase, took float64) {
	c.Time = seconds(took)
	s.Cases = append(s.Cases, c)
	s.seconds += took
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
}

func seconds(f float64) string { return fmt.Sprintf("%.3f", f) }

func stepCase(r *Record) junitCase {
	c := junitCase{Name: xmlText(r.Step.Name), Class: xmlText(r.Step.Stage)}
	switch r.Status {
	case engine.Failed:
		text := r.HumanLog()
		if r.Diagnosis != nil {
			text = strings.TrimRight(text, "\n") + "\n\n" + r.Diagnosis.Text() + "\n"
		}
		c.Failure = &junitFailure{xmlText(r.Message()), xmlText(text)}
	case engine.Skipped, engine.Cancelled, engine.WouldRun, engine.Running:
		c.Skipped = &junitSkipped{xmlText(strings.TrimSuffix(r.Status.String()+": "+r.Message(), ": "))}
	case engine.Hit:
		c.Out = &junitText{"hit\n" + xmlText(r.HumanLog())}
	default:
		if log := r.HumanLog(); log != "" {
			c.Out = &junitText{xmlText(log)}
		}
	}
	return c
}

// packages adds a suite for each package that r tested.
func (d *junitSuites) packages(r *Record) {
	for _, p := range parseGoTest(r.Log).Packages {
		name := p.Name
		if r.Step.Cell != "" {
			name += " [" + r.Step.Cell + "]"
		}
		s := d.suite(name, r.Start)
		broken := false
		for _, t := range p.Tests {
			c := testCaseOf(p, t)
			broken = broken || c.Failure != nil
			s.add(c, t.Elapsed)
		}
		if p.Status == "fail" && !broken {
			s.add(junitCase{Name: "(package)", Class: xmlText(p.Name),
				Failure: &junitFailure{"the package failed", xmlText(p.Build + p.Output)}}, p.Elapsed)
		}
		s.seconds = p.Elapsed
	}
}

func testCaseOf(p *testPackage, t *testCase) junitCase {
	c := junitCase{Name: xmlText(t.Name), Class: xmlText(p.Name)}
	switch {
	case t.Status == "skip":
		c.Skipped = &junitSkipped{xmlText(human.OneLine(t.Output))}
	case t.broke(p):
		msg := "failed"
		if t.Status == "" {
			msg = "did not end"
		}
		c.Failure = &junitFailure{msg, xmlText(t.Output)}
	}
	return c
}

// xmlText takes away what XML 1.0 cannot hold, and escape sequences.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r >= 0x20 && r <= 0xd7ff, r >= 0xe000 && r < utf8.RuneError,
			r == utf8.RuneError, r >= 0x10000 && r <= 0x10ffff:
			return r
		}
		return -1
	}, human.Clean(s, false))
}
