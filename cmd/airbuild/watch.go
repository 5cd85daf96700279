package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/shard"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/watch"
	"github.com/airbuild/airbuild/pipelines"
)

// runWatch runs until it is interrupted. A mistake in the Airbuildfile and a failed
// step end the run that they are in and nothing else.
func runWatch(ctx context.Context, a *app, args []string, f *runFlags) error {
	if f.shard != "" {
		if _, err := shard.Parse(f.shard); err != nil {
			return exit.UsageError("--%w", err)
		}
	}
	root, _, err := a.FindFile()
	if err != nil {
		return err
	}
	cache, err := a.CacheDir()
	if err != nil {
		cache = "" // a run says so
	}
	var plan *pipelines.Plan
	f.planned = func(p *project.Project) { plan = p.Plan }
	return watch.Run(ctx, watch.Options{
		Root: root, VarFiles: a.VarFiles, Cache: cache,
		Run: func() *pipelines.Plan {
			a.showError(runOnce(ctx, a, args, f))
			return plan
		},
		Waiting: func(files int) {
			fmt.Fprintf(a.err, "watching %s in %s; Ctrl-C ends it\n", human.Count(files, "file"), root)
		},
		Changed: func(names []string) { fmt.Fprintf(a.err, "changed: %s\n", someOf(names)) },
	})
}

// showError shows how a run ended that does not end the program.
func (a *app) showError(err error) {
	if _, show := exit.Code(err); show != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(a.err, "%s %s\n", a.palette(a.err).Red("error:"), show)
	}
}

// someOf names the first few.
func someOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
