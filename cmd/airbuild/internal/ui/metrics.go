package ui

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// WriteMetrics writes the run in the Prometheus text format, for a node
// exporter's textfile collector or a push gateway. Every value is a gauge: it
// tells of the last run.
func WriteMetrics(w io.Writer, run *Run) error {
	b := bufio.NewWriter(w)
	m := metrics{b}
	s := run.Summary
	if s == nil {
		s = &engine.Summary{Steps: len(run.Steps), Interrupted: true}
	}
	ok := 0.0
	if s.OK() && !s.Interrupted {
		ok = 1
	}
	m.head("airbuild_run_success", "Whether every step of the last run succeeded.")
	m.value("airbuild_run_success", ok)
	m.head("airbuild_run_start_timestamp_seconds", "When the last run began, in Unix time.")
	m.value("airbuild_run_start_timestamp_seconds", float64(run.Start.UnixMilli())/1000)
	m.head("airbuild_run_duration_seconds", "How long the last run took.")
	m.value("airbuild_run_duration_seconds", s.Wall.Seconds())
	m.head("airbuild_run_saved_seconds", "Work of earlier runs that hits made unnecessary.")
	m.value("airbuild_run_saved_seconds", s.Saved.Seconds())
	m.head("airbuild_run_damaged_parts", "Damaged parts of the store that were discarded.")
	m.value("airbuild_run_damaged_parts", float64(s.Damaged))
	m.head("airbuild_run_compiled_packages", "Packages of Go steps: taken from the compile cache, or compiled.")
	m.value("airbuild_run_compiled_packages", float64(s.CompileHits), "result", "hit")
	m.value("airbuild_run_compiled_packages", float64(s.CompileMisses), "result", "miss")
	m.head("airbuild_run_steps", "Steps of the last run by how they ended.")
	for _, c := range []struct {
		status engine.Status
		n      int
	}{
		{engine.Hit, s.Hits}, {engine.Done, s.Ran}, {engine.Failed, s.Failed},
		{engine.Skipped, s.Skipped}, {engine.Cancelled, s.Cancelled},
	} {
		m.value("airbuild_run_steps", float64(c.n), "status", c.status.String())
	}
	m.steps(run)
	m.outputs(run)
	return b.Flush()
}

type metrics struct{ w *bufio.Writer }

func (m metrics) steps(run *Run) {
	m.head("airbuild_step_duration_seconds", "How long each step of the last run took.")
	for _, r := range run.Steps {
		m.value("airbuild_step_duration_seconds", r.Duration.Seconds(), "step", r.Step.Name,
			"stage", r.Step.Stage, "cell", r.Step.Cell, "type", r.Step.Type, "status", r.Status.String())
	}
}

func (m metrics) outputs(run *Run) {
	m.head("airbuild_output_size_bytes", "Size of each output of the last run.")
	for _, r := range run.Steps {
		if r.Step.Inner {
			continue
		}
		for _, o := range r.Outputs {
			m.value("airbuild_output_size_bytes", float64(o.Size), "step", r.Step.Name, "path", o.Path)
		}
	}
}

func (m metrics) head(name, help string) {
	fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// value writes one sample; labels are name, value, name, value, …
func (m metrics) value(name string, v float64, labels ...string) {
	m.w.WriteString(name)
	esc := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for i := 0; i < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(m.w, `%s%s="%s"`, sep, labels[i], esc.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
	}
	if len(labels) > 0 {
		m.w.WriteString("}")
	}
	fmt.Fprintf(m.w, " %v\n", v)
}
