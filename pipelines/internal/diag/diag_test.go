package diag

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
)

func at(file string, start int) hcl.Range {
	return hcl.Range{Filename: file, Start: hcl.Pos{Line: 1, Byte: start}, End: hcl.Pos{Line: 1, Byte: start + 2}}
}

// A mistake that every cell has is reported of the first alone; that cell may
// have several at one place.
func TestReportKeepsOnceForAllCells(t *testing.T) {
	var r Report
	first, second := new(int), new(int)
	r.Cell = first
	r.Add(ErrorAt(at("f", 4), "Bad", "one"), ErrorAt(at("f", 4), "Bad", "two"), ErrorAt(at("f", 4), "Bad", "one"))
	r.Cell = second
	r.Add(ErrorAt(at("f", 4), "Bad", "three"), ErrorAt(at("f", 4), "Worse", "four"))
	want := []string{"one", "two", "four"}
	got := r.Sorted()
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i, d := range got {
		if d.Detail != want[i] {
			t.Errorf("%d: %s, want %s", i, d.Detail, want[i])
		}
	}
}

// Files go as first met, lines as they stand.
func TestReportSorted(t *testing.T) {
	var r Report
	r.Add(ErrorAt(at("z", 9), "A", "z9"), ErrorAt(at("a", 1), "A", "a1"), ErrorAt(at("z", 2), "A", "z2"), &hcl.Diagnostic{Severity: hcl.DiagError, Detail: "nowhere"})
	got := ""
	for _, d := range r.Sorted() {
		got += d.Detail + " "
	}
	if got != "nowhere z2 z9 a1 " || !r.Failed() || r.Empty() {
		t.Errorf("%q, failed %v, empty %v", got, r.Failed(), r.Empty())
	}
}

// What is added to a clone is not in the original.
func TestReportClone(t *testing.T) {
	var r Report
	r.Add(ErrorAt(at("f", 1), "A", "a"))
	c := r.Clone()
	c.Add(ErrorAt(at("f", 1), "A", "a"), ErrorAt(at("f", 2), "A", "b"))
	if len(c.Sorted()) != 2 || len(r.Sorted()) != 1 {
		t.Errorf("clone %v, original %v", c.Sorted(), r.Sorted())
	}
}

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "It failed without a reason.",
		"no such thing":                     "No such thing.",
		`no "vndr"; did you mean "vendor"?`: `No "vndr". Did you mean "vendor"?`,
	} {
		if got := Sentence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestOverlap(t *testing.T) {
	if !Overlap(at("f", 1), at("f", 2)) || Overlap(at("f", 1), at("f", 3)) || Overlap(at("f", 1), at("g", 1)) {
		t.Error("overlap is of bytes of one file")
	}
}
