package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/listing"
)

func listCommand(a *app) *cobra.Command {
	format := ""
	c := &cobra.Command{
		Use:   "list",
		Short: "List pipelines and stages",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			asJSON, err := a.formatFlag(format, "text", "json")
			if err != nil {
				return err
			}
			return runList(c.Context(), a, asJSON == "json")
		},
	}
	c.Flags().StringVar(&format, "format", "", "`text|json` (default text, or what --output says)")
	return c
}

// formatFlag checks a --format flag; without it --output json asks for JSON
// and the first of the known formats is taken otherwise.
func (a *app) formatFlag(format string, known ...string) (string, error) {
	switch {
	case format == "" && a.json():
		return "json", nil
	case format == "":
		return known[0], nil
	case slices.Contains(known, format):
		return format, nil
	}
	return "", exit.UsageError("--format %q: want %s", format, strings.Join(known, ", "))
}

func runList(ctx context.Context, a *app, asJSON bool) error {
	p, err := a.load(ctx, nil)
	if err != nil {
		return err
	}
	l := listing.Of(p)
	if asJSON {
		return a.writeJSON(l)
	}
	return a.writeTable(func(w io.Writer) { l.Write(w) })
}
