package pipelines

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
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
	find := projectfs.FindOnce(func(name string) (string, error) {
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

// TestSeveralGoroutinesPlanAsOne: steps, edges, cells and diagnostics of large
// stages do not tell how many goroutines planned them.
func TestSeveralGoroutinesPlanAsOne(t *testing.T) {
	right := `
locals { n = range(300) }
variable "word" {
  type      = string
  default   = "hidden words"
  sensitive = true
}
stage "make" "a" {
  matrix  = { i = local.n }
  when    = matrix.i % 7 != 0
  env     = { SECRET = sensitive("s${matrix.i % 3}"), WORD = var.word }
  text    = "copy in/${matrix.i}"
  file    = "in/${matrix.i % 5}"
  inner   = matrix.i % 2 == 0 ? null : false
  words   = [for w in ["x", "y"] : "${w}${matrix.i}"]
  outputs = ["out/${matrix.i}"]
}
stage "make" "b" {
  for_each = stage.a
  files    = [each.path, "LICENSE"]
  inputs   = ["in/*", each.path]
  outputs  = ["more/${each.key}", "most/${each.key}/"]
}
stage "make" "sums" {
  files  = concat(stage.a.paths, stage.b.paths)
  output = "sums"
}
`
	wrong := `
stage "make" "c" {
  matrix  = { i = local.n }
  text    = matrix.i % 50 == 49 ? matrix.nothing : "x"
  file    = matrix.i % 60 == 59 ? "in/none" : "in/1"
  level   = matrix.i % 70 == 69 ? "high" : 1
  outputs = [matrix.i == 100 ? "../c" : "c/${matrix.i}"]
}
`
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, file := range []string{right, right + wrong} {
		f := project(file)
		for i := range 5 {
			f.with(fmt.Sprintf("in/%d", i), "x")
		}
		plan := func(procs int) (*Plan, string) {
			runtime.GOMAXPROCS(procs)
			p, diags := f.load()
			return p, render(diags)
		}
		one, said := plan(1)
		for range 5 {
			many, also := plan(4)
			if said != also {
				t.Fatalf("one goroutine says\n%s\nseveral\n%s", said, also)
			}
			if !reflect.DeepEqual(one.Graph, many.Graph) {
				t.Fatal("another graph")
			}
			for i := range one.Stages {
				if !reflect.DeepEqual(one.Stages[i], many.Stages[i]) {
					t.Fatalf("another stage %s", one.Stages[i].Name)
				}
			}
		}
	}
}

// TestManyPathsAreLookedForTogether: what a directory's entries tell is what
// looking for each file would have told.
func TestManyPathsAreLookedForTogether(t *testing.T) {
	f := project(`
stage "make" "t" {
  matrix  = { i = range(100) }
  file    = "in/${matrix.i}"
  outputs = ["out/${matrix.i}"]
}
`)
	for i := range 100 {
		if i != 42 {
			f.with(fmt.Sprintf("in/%d", i), "x")
		}
	}
	_, diags := f.load()
	if got := render(diags); !strings.Contains(got, `There is no file or directory "in/42"`) || len(diags) != 1 {
		t.Errorf("diagnostics:\n%s", got)
	}
}
