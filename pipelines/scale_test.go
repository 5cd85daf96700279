package pipelines

import (
	"fmt"
	"testing"
)

// wide is a file with one stage of n cells.
func wide(n int) string {
	return fmt.Sprintf(`
stage "make" "t" {
  matrix  = { i = range(%d) }
  text    = "copy in/${matrix.i}"
  outputs = ["out/${matrix.i}"]
}
pipeline "all" {
  stages = [stage.t]
}
`, n)
}

// TestPlanningGrowsWithTheCells: twice the cells take twice the memory that is
// asked for, not four times.
func TestPlanningGrowsWithTheCells(t *testing.T) {
	allocs := func(n int) float64 {
		f := project(wide(n))
		return testing.AllocsPerRun(1, func() {
			if p := f.mustLoad(t); len(p.Graph.Steps) != n {
				t.Fatalf("%d steps, want %d", len(p.Graph.Steps), n)
			}
		})
	}
	small, large := allocs(1000), allocs(4000)
	if large > 4.5*small {
		t.Errorf("%.0f allocations for 1,000 cells, %.0f for 4,000", small, large)
	}
}

// TestProgramIsLookedForOnce: however many steps run it.
func TestProgramIsLookedForOnce(t *testing.T) {
	n := 0
	find := findOnce(func(name string) (string, error) {
		n++
		return "/bin/" + name, nil
	})
	for range 3 {
		if p, err := find("cp"); p != "/bin/cp" || err != nil {
			t.Errorf("%s, %v", p, err)
		}
	}
	if n != 1 {
		t.Errorf("looked for %d times", n)
	}
}

func BenchmarkPlan10000(b *testing.B) {
	f := project(wide(10_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, diags := f.load(); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
