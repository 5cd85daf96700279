package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/pipelines"
)

// streams are where a command reads and writes: data to out, errors to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// An app is one run of the program: the flags that all commands share, and
// what they need of the outside.
type app struct {
	streams
	flags
	shown atomic.Pointer[ui.Sink] // closed by the second signal, before the program ends
}

// flags are the flags that all commands share: how a project is opened, and how
// what is done with it is shown.
type flags struct {
	project.Options
	dir    string
	output string
	color  string
}

// newApp is a run with this process's environment.
func newApp(s streams) *app {
	return &app{streams: s, flags: flags{Options: project.Options{LookupEnv: os.LookupEnv, Version: readVersion().Version}}}
}

// run is the program without its process: it returns the exit code.
func run(args []string, s streams) int {
	return newApp(s).main(args)
}

// main runs a command and returns the exit code.
func (a *app) main(args []string) int {
	ctx, stop := a.signals(context.Background())
	defer stop()
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code, show := exit.Code(err)
	if ctx.Err() != nil && err != nil {
		code = exit.Interrupted
	}
	if show != nil {
		fmt.Fprintf(a.err, "%s %s\n", a.palette(a.err).Red("error:"), show)
	}
	return code
}

// palette is what text on w may be painted with.
func (a *app) palette(w io.Writer) ui.Palette {
	mode, err := ui.ParseColor(a.color)
	if err != nil {
		mode = ui.ColorAuto
	}
	return ui.Detect(ui.Config{Color: mode, Out: w, LookupEnv: a.LookupEnv}).Palette
}

// prepare checks what the shared flags say and goes to the directory asked for.
func (a *app) prepare() error {
	if _, err := ui.ParseMode(a.output); err != nil {
		return exit.UsageError("--%w", err)
	}
	if _, err := ui.ParseColor(a.color); err != nil {
		return exit.UsageError("--%w", err)
	}
	if _, err := a.WantsCompileCache(); err != nil {
		return err
	}
	if a.Jobs < 0 {
		return exit.UsageError("--jobs %d: must be 1 or more, or 0 for the number of CPUs", a.Jobs)
	}
	if a.dir != "" {
		if err := os.Chdir(a.dir); err != nil {
			return exit.UsageError("--directory: %w", err)
		}
	}
	return nil
}

// json reports whether data is wanted as JSON.
func (a *app) json() bool { return a.output == string(ui.JSON) }

// opening are the options of opening a project whose diagnostics go to js, or as
// text to err if that is nil.
func (a *app) opening(js *ui.JSONSink) project.Options {
	o := a.Options
	o.Password = func(ctx context.Context, name string) (string, error) { return a.keyPassword(ctx, name)() }
	o.Show = func(diags hcl.Diagnostics, sources map[string][]byte) error {
		return a.showDiagnostics(diags, sources, js)
	}
	o.Notify = func(line string) { fmt.Fprintln(a.err, line) }
	return o
}

// quietly are the options of opening a project of which nothing is shown.
func (a *app) quietly() project.Options {
	o := a.opening(nil)
	o.Show = func(diags hcl.Diagnostics, _ map[string][]byte) error { return diagnosticsError(diags) }
	return o
}

// load finds and plans the project.
func (a *app) load(ctx context.Context, js *ui.JSONSink) (*project.Project, error) {
	return project.Load(ctx, a.opening(js))
}

// openTargets loads the project and opens what running the targets needs.
func (a *app) openTargets(ctx context.Context, js *ui.JSONSink, args []string) (*project.Session, []engine.StepID, string, error) {
	return project.OpenTargets(ctx, a.opening(js), args)
}

// sink shows a run as --output says; js is it, if that is JSON.
func (a *app) sink() (s ui.Sink, js *ui.JSONSink) {
	s = ui.New(ui.Config{
		Mode: ui.Mode(a.output), Color: ui.ColorMode(a.color),
		Out: a.out, Err: a.err, LookupEnv: a.LookupEnv, Offline: a.Offline,
	})
	a.shown.Store(&s)
	js, _ = s.(*ui.JSONSink)
	return s, js
}

// endOutput closes the sink. JSON tells an error that ended the command before
// there was a run as a diagnostic, beside the text on stderr.
func endOutput(s ui.Sink, err error) error {
	if js, ok := s.(*ui.JSONSink); ok {
		if _, show := exit.Code(err); show != nil {
			js.Diagnostic(ui.Diagnostic{Severity: "error", Summary: show.Error()})
		}
	}
	return exit.First(err, s.Close())
}

// abandon leaves the terminal as it was found, when the program must end now.
func (a *app) abandon() {
	if s := a.shown.Load(); s != nil {
		(*s).Close()
	}
}

// sideSink shows a run beside the command's own output: on err. JSON output has
// none of it.
func (a *app) sideSink() (ui.Sink, *ui.JSONSink) {
	c := ui.Config{Mode: ui.Mode(a.output), Color: ui.ColorMode(a.color), Out: a.err, Err: a.err, LookupEnv: a.LookupEnv, Offline: a.Offline}
	if a.json() {
		c.Mode, c.Out, c.Err = ui.Plain, io.Discard, a.err
	}
	s := ui.New(c)
	a.shown.Store(&s)
	return s, nil
}

// writeTable writes what rows gives, cells separated by tabs, in columns.
func (a *app) writeTable(rows func(io.Writer)) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	rows(w)
	if err := w.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(a.out, out.String())
	return err
}

// writeJSON writes v on one line.
func (a *app) writeJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// showDiagnostics shows diagnostics, and returns an error if one of them is.
func (a *app) showDiagnostics(diags hcl.Diagnostics, sources map[string][]byte, js *ui.JSONSink) error {
	if js != nil {
		for _, d := range diags {
			js.Diagnostic(jsonDiagnostic(d))
		}
	} else if len(diags) > 0 {
		p := a.palette(a.err)
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
