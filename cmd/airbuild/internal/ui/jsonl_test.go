package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine"
)

// A field is a row of a table in docs/output.md.
type field struct {
	kind   string
	always bool
	seen   bool
}

var (
	heading = regexp.MustCompile("^### `([a-z]+)`( \\(of a step\\))?$")
	row     = regexp.MustCompile("^\\| `([a-z_.]+)` \\| ([a-z]+) \\| ([a-z0-9 ]+) \\|")
)

// documented reads the event tables of docs/output.md.
func documented(t *testing.T) map[string]map[string]*field {
	t.Helper()
	b, err := os.ReadFile("../../../../docs/output.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "## JSON lines")
	if !ok {
		t.Fatal("docs/output.md has no JSON section")
	}
	var common, ofStep []string
	events := map[string]map[string]*field{}
	event := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "## ") {
			break
		}
		if line == "Events of a step also have these fields:" {
			event = "step's"
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			event = m[1]
			events[event] = map[string]*field{}
			for _, l := range common {
				addRow(events[event], l)
			}
			for _, l := range ofStep {
				if m[2] != "" {
					addRow(events[event], l)
				}
			}
			continue
		}
		switch {
		case !row.MatchString(line):
		case event == "":
			common = append(common, line)
		case event == "step's":
			ofStep = append(ofStep, line)
		default:
			addRow(events[event], line)
		}
	}
	return events
}

func addRow(fields map[string]*field, line string) {
	m := row.FindStringSubmatch(line)
	fields[m[1]] = &field{kind: m[2], always: m[3] == "always"}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "other"
}

// check holds one object against the documentation; prefix is "" or "outputs.".
func check(t *testing.T, fields map[string]*field, prefix string, object map[string]any) {
	for name, v := range object {
		f := fields[prefix+name]
		if f == nil {
			t.Errorf("field %q is not documented: %v", prefix+name, object)
			continue
		}
		f.seen = true
		if got := kindOf(v); got != f.kind {
			t.Errorf("field %q is a %s, documented as %s", prefix+name, got, f.kind)
		}
		if o, ok := v.(map[string]any); ok && name != "details" { // whose names are free
			check(t, fields, prefix+name+".", o)
		}
		if list, ok := v.([]any); ok {
			for _, e := range list {
				if o, ok := e.(map[string]any); ok {
					check(t, fields, prefix+name+".", o)
				}
			}
		}
	}
	for name, f := range fields {
		rest, ok := strings.CutPrefix(name, prefix)
		if _, there := object[rest]; ok && f.always && !strings.Contains(rest, ".") && !there {
			t.Errorf("field %q is always there, but not in %v", name, object)
		}
	}
}

func TestJSONIsAsDocumented(t *testing.T) {
	var b bytes.Buffer
	s := NewJSON(&b, func() time.Time { return at(0) })
	s.Diagnostic(Diagnostic{"warning", "An old word", "Use the new one.", "Airbuildfile", 3, 4})
	events := append(stream()[:1:1], engine.Event{Kind: engine.StepFinished, Step: tidy, Status: engine.WouldRun, Reason: "not in the store"},
		engine.Event{Kind: engine.StepFinished, Step: tidy, Status: engine.Failed, Err: errors.New("exit 1"), Log: []byte("sh: 1: nosuch: not found\n")})
	play(s, append(events, stream()[1:]...))

	docs := documented(t)
	if len(docs) != 9 {
		t.Fatalf("%d events are documented, want 9", len(docs))
	}
	var last map[string]any
	n := 0
	dec := json.NewDecoder(&b)
	for ; ; n++ {
		var object map[string]any
		if err := dec.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		event, _ := object["event"].(string)
		if docs[event] == nil {
			t.Fatalf("event %q is not documented", event)
		}
		if n == 0 && (event != "start" || object["version"] != float64(JSONVersion)) {
			t.Errorf("the first line is %v", object)
		}
		check(t, docs[event], "", object)
		last = object
	}
	if last["event"] != "summary" {
		t.Errorf("the last line is %v", last)
	}
	for event, fields := range docs {
		for name, f := range fields {
			if !f.seen {
				t.Errorf("documented field %q of event %q is never written", name, event)
			}
		}
	}
}

func TestJSONLines(t *testing.T) {
	var b bytes.Buffer
	play(NewJSON(&b, time.Now), stream())
	all := b.String()
	for _, want := range []string{
		`{"time":"2026-03-04T05:06:07.000Z","event":"start","version":1,"steps":6,"jobs":2}`,
		`"event":"step","step":"tidy","stage":"tidy","cell":"","type":"go_tidy","status":"hit","key":"2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683","duration_ms":5,"saved_ms":1200}`,
		`"status":"skipped","key":"","reason":"needs test, which failed","duration_ms":0}`,
		`"event":"output","step":"bin[darwin/arm64]","stage":"bin","cell":"darwin/arm64","type":"go_build","text":"a warning\n##[error]not yours\n::error::nor this\n","replayed":true}`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
	if n := strings.Count(all, `"text":"line one\n`); n != 1 {
		t.Errorf("a log that was told as it came is told %d times", n)
	}
	if !strings.Contains(all, `"text":"no end","replayed":false}`) {
		t.Errorf("a last line without end is not told:\n%s", all)
	}
}

func TestJSONWithoutRun(t *testing.T) {
	var b bytes.Buffer
	s := NewJSON(&b, func() time.Time { return at(0) })
	s.Diagnostic(Diagnostic{Severity: "error", Summary: "Unknown stage type"})
	s.Close()
	s.Diagnostic(Diagnostic{Severity: "error", Summary: "Too late"})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"event":"start"`) ||
		!strings.Contains(lines[2], `"event":"summary","ok":false,"steps":0`) {
		t.Errorf("got\n%s", b.String())
	}
}
