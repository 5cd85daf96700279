package ui

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine"
)

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJUnit(&b, recorded(stream())); err != nil {
		t.Fatal(err)
	}
	var doc junitSuites
	if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	type counts struct{ tests, failures, skipped int }
	got := map[string]counts{}
	for _, s := range doc.Suites {
		got[s.Name] = counts{s.Tests, s.Failures, s.Skipped}
		if len(s.Cases) != s.Tests {
			t.Errorf("suite %s has %d cases and says %d", s.Name, len(s.Cases), s.Tests)
		}
	}
	want := map[string]counts{
		"tidy": {1, 0, 0}, "bin": {2, 0, 0}, "test": {1, 1, 0}, "sums": {1, 0, 1}, "upload": {1, 0, 1},
		"ex.com/a": {3, 1, 1}, "ex.com/b": {1, 1, 0}, "ex.com/c": {0, 0, 0},
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("suite %s: %+v, want %+v", name, got[name], w)
		}
	}
	if len(got) != len(want) || doc.Tests != 10 || doc.Failures != 3 || doc.Skipped != 3 {
		t.Errorf("totals %d %d %d, suites %v", doc.Tests, doc.Failures, doc.Skipped, got)
	}
	for _, s := range []string{"want 1, got 2", "undefined: x", "needs test, which failed", "line two", "did not end"} {
		if strings.Contains(b.String(), s) == (s == "did not end") {
			t.Errorf("%q: wrong in\n%s", s, b.String())
		}
	}
}

func TestJUnitDeadTestAndOddCharacters(t *testing.T) {
	step := *tests
	step.Name, step.Cell = "test[\x00<&>]", "race"
	log := `{"Action":"run","Package":"p","Test":"TestHang"}
{"Action":"output","Package":"p","Test":"TestHang","Output":"]]> \u0001 \ufffe panic: timed out\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t1s\n"}
{"Action":"fail","Package":"p","Elapsed":1}
not json` + " \xff\n"
	var b bytes.Buffer
	err := WriteJUnit(&b, recorded([]engine.Event{
		{Kind: engine.StepFinished, Step: &step, Status: engine.Failed, Err: errors.New("bad \x1b[31m"), Log: []byte(log)},
	}))
	if err != nil {
		t.Fatal(err)
	}
	var doc junitSuites
	if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if c := doc.Suites[1].Cases[0]; doc.Suites[1].Name != "p [race]" || c.Failure == nil || c.Failure.Message != "did not end" ||
		!strings.Contains(c.Failure.Text, "]]>") {
		t.Errorf("got %+v %+v", doc.Suites[1], c.Failure)
	}
}

func FuzzParseGoTest(f *testing.F) {
	f.Add([]byte(testLog))
	f.Add([]byte("{}\n{\"Action\":\"output\"}\n{bad"))
	f.Fuzz(func(t *testing.T, log []byte) {
		var b bytes.Buffer
		if err := WriteJUnit(&b, recorded([]engine.Event{{Kind: engine.StepFinished, Step: tests, Status: engine.Failed, Log: log}})); err != nil {
			t.Fatal(err)
		}
		var doc junitSuites
		if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
	})
}

func TestTrace(t *testing.T) {
	var b bytes.Buffer
	if err := WriteTrace(&b, recorded(stream())); err != nil {
		t.Fatal(err)
	}
	var doc struct{ TraceEvents []traceEvent }
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	lanes := map[int][]traceEvent{}
	steps := 0
	for _, e := range doc.TraceEvents {
		if e.Phase != "X" {
			continue
		}
		steps++
		for _, o := range lanes[e.TID] {
			if e.Time < o.Time+o.Dur && o.Time < e.Time+e.Dur {
				t.Errorf("%s and %s overlap in lane %d", e.Name, o.Name, e.TID)
			}
		}
		lanes[e.TID] = append(lanes[e.TID], e)
	}
	if steps != 5 || len(lanes) != 2 {
		t.Errorf("%d steps in %d lanes, want 5 in 2", steps, len(lanes))
	}
	for _, e := range doc.TraceEvents {
		if e.Name == "bin[linux/amd64]" && (e.Time != 11000 || e.Dur != 1289000) {
			t.Errorf("got %+v", e)
		}
	}
}

var sample = regexp.MustCompile(`^[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? [0-9.e+-]+$`)

func TestMetrics(t *testing.T) {
	var b bytes.Buffer
	events := stream()
	odd := *linux
	odd.Name = "bin[\"a\\b\"\n]"
	events[8].Step, events[3].Step = &odd, &odd
	if err := WriteMetrics(&b, recorded(events)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if l := strings.TrimSpace(line); !strings.HasPrefix(l, "# ") && !sample.MatchString(l) {
			t.Errorf("no sample: %s", l)
		}
	}
	for _, want := range []string{
		"airbuild_run_success 0\n", "airbuild_run_duration_seconds 2\n", `airbuild_run_steps{status="hit"} 2`,
		`airbuild_run_compiled_packages{result="hit"} 512`, `airbuild_run_compiled_packages{result="miss"} 3`,
		`airbuild_run_steps{status="done"} 1`, `airbuild_run_steps{status="failed"} 1`,
		`airbuild_output_size_bytes{step="bin[darwin/arm64]",path="dist/app_darwin"} 1.048576e+06`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
}

func TestRecorder(t *testing.T) {
	run := recorded(stream())
	if len(run.Steps) != 6 || run.Jobs != 2 || !run.Start.Equal(epoch) || len(run.Notices) != 1 || run.Summary == nil {
		t.Fatalf("got %+v", run)
	}
	if r := run.Steps[3]; r.Step != tests || r.Retries != 1 || r.Status != engine.Failed || r.Duration != 499*time.Millisecond {
		t.Errorf("got %+v", r)
	}
	if r := run.Steps[0]; !r.Start.Equal(at(5)) {
		t.Errorf("a hit that never began starts at %v", r.Start)
	}
}
