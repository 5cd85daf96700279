package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/store"
)

func cachePinCommand(a *app) *cobra.Command {
	name := ""
	c := &cobra.Command{
		Use:   "pin [TARGET…]",
		Short: "Keep results from being pruned",
		Long: "Keep the cached results of the targets and their dependencies from\n" +
			"being pruned. All of it must be in the cache. A pin of the same name is replaced.",
		Example:           "  airbuild cache pin release\n  airbuild cache pin release --name v1.2.0",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return cachePin(c.Context(), a, args, name) },
	}
	c.Flags().StringVar(&name, "name", "", "call the pin `NAME` (default: the project's folder and the target)")
	return c
}

func cacheUnpinCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unpin NAME",
		Short: "Remove a pin",
		Args:  exactArgs(1, "the name of a pin"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := store.CheckPinName(args[0]); err != nil {
				return exit.UsageError("%w", err)
			}
			return a.withStore(func(s *store.Disk) error { return cacheUnpin(s, args[0]) })
		},
	}
}

func cachePinsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pins",
		Short: "List pins",
		Long:  "List pins. Exits with code 3 if one is damaged.",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return a.withStore(a.cachePins) },
	}
}

func cachePin(ctx context.Context, a *app, args []string, name string) (err error) {
	p, err := a.load(ctx, nil)
	if err != nil {
		return err
	}
	ids, pipeline, err := p.Targets(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{pipeline}
	}
	if name == "" {
		name = filepath.Base(p.Root) + "-" + strings.Join(args, "-")
	}
	if err := store.CheckPinName(name); err != nil {
		return exit.UsageError("%w; give it another with --name", err)
	}
	s, err := p.Open(nil)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	old, err := s.Store.Pin(name)
	if err == nil && old.Project != p.Root {
		return exit.UsageError("the pin %s is of another project, %s.\nGive this one another name with --name, or: airbuild cache unpin %s", name, old.Project, name)
	}
	if err != nil && !errors.Is(err, store.ErrNoPin) {
		return fmt.Errorf("%w.\nTo take it away: airbuild cache unpin %s", err, name)
	}
	pin := &store.Pin{Name: name, Project: p.Root, Targets: args, Time: time.Now().UTC().Truncate(time.Second)}
	if pin.Results, err = project.Pinned(ctx, s, ids); err != nil {
		return err
	}
	if err := s.Store.PutPin(ctx, pin); err != nil {
		return err
	}
	if a.json() {
		return a.writeJSON(pin)
	}
	_, err = fmt.Fprintf(a.out, "pinned %s as %s\n", human.Count(len(pin.Results), "result"), name)
	return err
}

func cacheUnpin(s *store.Disk, name string) error {
	err := s.Unpin(name)
	if errors.Is(err, store.ErrNoPin) {
		return exit.UsageError("%w.\nThe pins there are: airbuild cache pins", err)
	}
	return err
}

func (a *app) cachePins(s *store.Disk) error {
	pins, damaged, err := s.Pins()
	if err != nil {
		return err
	}
	for _, d := range damaged {
		fmt.Fprintf(a.err, "%v; nothing is pruned until it is pinned again or removed: airbuild cache unpin %s\n", d, human.OneLine(d.Name))
	}
	if a.json() {
		names := []string{}
		for _, d := range damaged {
			names = append(names, d.Name)
		}
		if pins == nil {
			pins = []*store.Pin{}
		}
		err = a.writeJSON(map[string]any{"pins": pins, "damaged": names})
	} else {
		err = a.writeTable(func(w io.Writer) {
			for _, p := range pins {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, timeText(p.Time), human.Count(len(p.Results), "result"),
					human.OneLine(strings.Join(p.Targets, " ")), human.OneLine(p.Project))
			}
		})
	}
	if err == nil && len(damaged) > 0 {
		err = exit.Silent(exit.Unverified)
	}
	return err
}
