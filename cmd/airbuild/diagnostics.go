package main

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines"
)

// showDiagnostics shows diagnostics, and returns an error if one of them is.
func (a *app) showDiagnostics(diags hcl.Diagnostics, sources map[string][]byte, js *ui.JSONSink) error {
	if js != nil {
		for _, d := range diags {
			js.Diagnostic(jsonDiagnostic(d))
		}
	} else if len(diags) > 0 {
		p := ui.NewPalette(a.paintErrors())
		style := dsl.Style{Bold: p.Bold, Error: p.Red, Warning: p.Yellow, Dim: p.Dim}
		if err := dsl.WriteDiagnostics(a.err, diags, sources, style); err != nil {
			return err
		}
	}
	return diagnosticsError(diags)
}

// diagnosticsError is what ends the command if one of the diagnostics is an error.
func diagnosticsError(diags hcl.Diagnostics) error {
	if !diags.HasErrors() {
		return nil
	}
	for _, d := range diags {
		if _, host := hcl.DiagnosticExtra[pipelines.HostProblem](d); d.Severity == hcl.DiagError && !host {
			return exit.Silent(exit.Usage)
		}
	}
	return exit.Silent(exit.Failed) // the file is right, the machine lacks something
}

func jsonDiagnostic(d *hcl.Diagnostic) ui.Diagnostic {
	out := ui.Diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == hcl.DiagWarning {
		out.Severity = "warning"
	}
	if s := d.Subject; s != nil {
		out.File, out.Line, out.Column = s.Filename, s.Start.Line, s.Start.Column
	}
	return out
}
