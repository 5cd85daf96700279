package verdict

import (
	"testing"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/audit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// steps are one of each status, in the order of a graph.
func steps() []rebuild.StepReport {
	offset := int64(7)
	differences := []rebuild.Difference{
		{Where: []string{"a.tar", "x"}, What: "content", Old: "1", Offset: &offset, Cause: "the time"},
		{What: "size"},
	}
	outputs := []rebuild.OutputReport{{Path: "dist/same", Same: true}, {Path: "dist/a.tar", Differences: differences}}
	return []rebuild.StepReport{
		{Step: "differs", Status: rebuild.Differs, Reason: "1 of 2", Outputs: outputs},
		{Step: "follows", Status: rebuild.Follows, Reason: "needs differs", Outputs: outputs},
		{Step: "left", Status: rebuild.LeftOut, Reason: "publishes"},
		{Step: "failed", Status: rebuild.Failed, Reason: "exit 1\nat once"},
		{Step: "same", Status: rebuild.Same, Outputs: outputs[:1]},
		{Step: "absent", Status: rebuild.Absent, Reason: "no record"},
	}
}

const wantDiffering = `differs     differs: 1 of 2
  dist/a.tar
    a.tar: x: content, from byte 7
      first   1
      second  (nothing)
      likely  the time
    size
`

const wantFollows = `follows     follows: needs differs
  dist/a.tar
    a.tar: x: content, from byte 7
`

const wantFailed = "failed      failed: the second build failed: exit 1 at once\n"

func TestRebuild(t *testing.T) {
	r := &rebuild.Report{
		Varied:   []rebuild.Condition{{What: "umask", Was: "22", Is: "77"}},
		Constant: []rebuild.Condition{{What: "user", Why: "not root"}},
		First:    []string{"x", "y"}, Unknown: []string{"extra"}, Steps: steps(),
		Same: 1, Differing: 2, Failed: 1,
	}
	want := `varied      umask: 22; 77
not varied  user: not root
made first  x, y: there was no recorded result
left out    left: publishes
left out    absent: no record
not made    extra: no step of these targets makes it, so it was not checked
same        same: 1 file
` + wantFollows + wantFailed + wantDiffering + "not the same: 2 of 3 files; it begins with differs\n"
	if got := Rebuild(r, ui.Palette{}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRebuildSummary(t *testing.T) {
	for _, test := range []struct {
		report rebuild.Report
		want   string
	}{
		{rebuild.Report{OK: true, Same: 2}, "verified: 2 files built again, byte for byte\n"},
		{rebuild.Report{Failed: 1}, "not built again: 1 step\n"},
		{rebuild.Report{Missing: 1}, "not verified\n"},
		// Of carried files it is not news that other steps have none.
		{rebuild.Report{Path: "usb", Steps: []rebuild.StepReport{{Step: "a", Status: rebuild.Absent}}}, "not verified\n"},
	} {
		if got := Rebuild(&test.report, ui.Palette{}); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.report, got, test.want)
		}
	}
}

func TestDiffering(t *testing.T) {
	got := Differing(&rebuild.Report{Steps: steps()}, ui.Palette{})
	if want := wantDiffering + wantFollows + wantFailed; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAudit(t *testing.T) {
	open := audit.Finding{Kind: "undeclared", Text: "reads a.txt", Edit: `add "a.txt"`}
	fixed := open
	fixed.Corrected = true
	found := audit.StepReport{Step: "gen", Status: audit.Findings, Findings: []audit.Finding{open, fixed}, Notes: []string{"slow"}}
	clean := audit.StepReport{Step: "ok", Status: audit.Clean, Opened: 1, Declared: 2}
	for _, test := range []struct {
		name   string
		report audit.Report
		want   string
	}{
		{"clean", audit.Report{Steps: []audit.StepReport{clean}, Limits: "mmap"},
			"clean  ok: it opened 1 of 2 files that it declares, and no other file of the project\nnot seen: mmap\nclean\n"},
		{"findings", audit.Report{Steps: []audit.StepReport{found}, Written: []string{"Airbuildfile"}, Limits: "mmap"},
			`findings  gen
  undeclared: reads a.txt
    add "a.txt"
  undeclared: reads a.txt
    fixed: add "a.txt"
  note: slow
changed Airbuildfile
not seen: mmap
not clean: 1 finding
`},
		{"fixed", audit.Report{Steps: []audit.StepReport{{Step: "gen", Status: audit.Findings, Findings: []audit.Finding{fixed}}}, Limits: "mmap"},
			"findings  gen\n  undeclared: reads a.txt\n    fixed: add \"a.txt\"\nnot seen: mmap\nfixed: 1 finding; run audit again to confirm\n"},
		{"unaudited", audit.Report{Steps: []audit.StepReport{
			{Step: "bin", Status: audit.Unaudited, Reason: "no tracer"}, {Step: "zip", Status: audit.LeftOut, Reason: "publishes"}}, Limits: "mmap"},
			"unaudited  bin: no tracer\nleft out  zip: publishes\nnot seen: mmap\nnot clean: 1 step unaudited, 0 findings\n"},
	} {
		if got := Audit(&test.report, ui.Palette{}); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}
