package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/shard"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui/report"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/lists"
)

// A runFlags are the flags of run alone.
type runFlags struct {
	dryRun, force, watch          bool
	shard, affected               string
	auditHits                     string
	junit, trace, metrics, report string
	planned                       func(*project.Project) // called with what is run, if not nil
	ended                         func(engine.Event)     // gets every event of the run, if it is not nil
}

func runCommand(a *app) *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "run [TARGET…]",
		Short: "Run pipelines, stages or cells and their dependencies",
		Long: "Run pipelines, stages or cells and their dependencies. Cached results are reused.\n" +
			"Without a target: the pipeline \"default\", or the only one.",
		Example:           "  airbuild run release\n  airbuild run 'bin[linux/amd64]'\n  airbuild run check --junit report.xml",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return runTargets(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.BoolVar(&f.dryRun, "dry-run", false, "show what would run, and run nothing")
	fl.BoolVar(&a.Yes, "yes", false, "allow stages that publish, such as oci_push (implied in CI, where $CI is set)")
	fl.BoolVar(&f.force, "force", false, "run everything, whatever is in the cache")
	declareSandbox(&a.Sandbox, fl)
	fl.StringVar(&f.shard, "shard", "", "run shard `I/N`; steps that depend on several shards are skipped")
	fl.StringVar(&f.affected, "affected", "", affectedUsage)
	fl.StringVar(&f.auditHits, "audit-hits", "", "rebuild this share of the cache hits elsewhere (`RATE`: 0 to 1, or 5%) and compare; exit with code 3 if one differs")
	fl.BoolVar(&f.watch, "watch", false, "run again whenever a file of the project changes, until interrupted")
	fl.StringVar(&f.junit, "junit", "", "write steps and tests to `FILE` as JUnit XML")
	fl.StringVar(&f.report, "report", "", "write a report to `FILE` as HTML")
	fl.StringVar(&f.trace, "trace", "", "write a time line to `FILE` for chrome://tracing or Perfetto")
	fl.StringVar(&f.metrics, "metrics", "", "write metrics to `FILE` as Prometheus text")
	return c
}

func runTargets(ctx context.Context, a *app, args []string, f *runFlags) error {
	if f.watch {
		return runWatch(ctx, a, args, f)
	}
	return runOnce(ctx, a, args, f)
}

func runOnce(ctx context.Context, a *app, args []string, f *runFlags) (err error) {
	part := shard.Shard{}
	if f.shard != "" {
		if part, err = shard.Parse(f.shard); err != nil {
			return exit.UsageError("--%w", err)
		}
	}
	rate, err := auditRate(a, f.auditHits)
	if err != nil {
		return err
	}
	sink, js := a.sink()
	defer func() { err = endOutput(sink, err) }()
	s, ids, name, err := a.openTargets(ctx, js, args)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	if f.planned != nil {
		f.planned(s.Project)
	}
	s.Notices = append(s.Notices, s.Plan.Notices(args)...)
	if f.affected != "" {
		if ids, err = affectedSince(ctx, a.err, s, f.affected, ids); err != nil {
			return err
		}
		name = ""
	}
	if part.Of > 1 {
		var left []engine.StepID
		if ids, left = part.Select(s.Plan.Graph, ids); len(left) > 0 {
			fmt.Fprintf(a.err, "left for a run without --shard: %s\n", stepNames(s.Plan.Graph, left))
		}
		name = ""
	}
	if rate == 0 || f.dryRun {
		return runSession(ctx, a, s, ids, name, f, sink)
	}
	audit := &rebuild.Hits{Rate: rate, Keys: map[engine.StepID]action.Digest{}}
	observed := *f
	observed.ended = audit.See
	if err := runSession(ctx, a, s, ids, name, &observed, sink); err != nil {
		return err
	}
	return auditHits(ctx, a, s, audit)
}

// runSession runs steps of an open project and writes the files that were asked for.
func runSession(ctx context.Context, a *app, s *project.Session, ids []engine.StepID, name string, f *runFlags, sink ui.Sink) error {
	if s.Options.Offline && !f.dryRun {
		if err := s.RefuseOffline(ctx, ids); err != nil {
			return err
		}
	}
	if !f.dryRun {
		if err := s.RefuseOpenHost(ctx); err != nil {
			return err
		}
	}
	o := s.RunOptions()
	o.DryRun, o.Force, o.Pipeline = f.dryRun, f.force, name
	var err error
	if f.force && s.Options.Offline {
		if o.ForceSteps, err = s.ForceOffline(ctx, ids); err != nil {
			return err
		}
		o.Force = false
	}
	if o.Executor, err = s.Executor(); err != nil {
		return err
	}
	rec := ui.NewRecorder()
	rec.Offline = s.Options.Offline
	both := ui.Tee(sink)
	if f.wantsFiles() {
		both = ui.Tee(sink, rec)
	}
	show := withNotices(s.Notices, both.OnEvent)
	o.OnEvent = func(e engine.Event) {
		if f.ended != nil {
			f.ended(e)
		}
		show(e)
	}
	check := s.CheckDryRun(ctx, &o)
	sum, err := engine.Run(ctx, s.Plan.Graph, ids, o)
	if sum != nil && f.wantsFiles() {
		title := name
		if title == "" {
			title = stepNames(s.Plan.Graph, ids)
		}
		if werr := f.writeFiles(rec.Run(), title); err == nil {
			err = werr
		}
	}
	if err == nil && !f.dryRun {
		logRebuilt(ctx, a, s, sum, ids)
	}
	if err == nil && !f.dryRun && !sum.Interrupted {
		err = s.AutoPrune(ctx)
	}
	if err == nil {
		err = check.Err()
	}
	if err != nil {
		return err
	}
	return project.Outcome(sum)
}

// withNotices shows the notices before the end of the run, where they are read.
func withNotices(notices []string, show func(engine.Event)) func(engine.Event) {
	return func(e engine.Event) {
		if e.Kind == engine.RunFinished {
			for _, text := range notices {
				show(engine.Event{Kind: engine.Notice, Time: e.Time, Reason: text})
			}
		}
		show(e)
	}
}

func (f *runFlags) wantsFiles() bool {
	return f.junit != "" || f.trace != "" || f.metrics != "" || f.report != ""
}

// writeFiles writes every file that was asked for, and returns the first error.
func (f *runFlags) writeFiles(run *ui.Run, title string) error {
	var first error
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{f.junit, func(w io.Writer) error { return ui.WriteJUnit(w, run) }},
		{f.trace, func(w io.Writer) error { return ui.WriteTrace(w, run) }},
		{f.metrics, func(w io.Writer) error { return ui.WriteMetrics(w, run) }},
		{f.report, func(w io.Writer) error { return report.Write(w, title, run) }},
	} {
		if file.name == "" {
			continue
		}
		if err := atomicfile.WriteFunc(file.name, atomicfile.Options{Mkdir: 0o777}, file.write); err != nil && first == nil {
			first = fmt.Errorf("write %s: %w", file.name, err)
		}
	}
	return first
}

func stepNames(g *engine.Graph, ids []engine.StepID) string {
	return strings.Join(lists.Map(ids, func(id engine.StepID) string { return g.Steps[id].Name }), ", ")
}
