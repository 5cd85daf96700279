package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/docs"
	"github.com/airbuild/airbuild/dsl"
)

func docsCommand(a *app) *cobra.Command {
	markdown := false
	c := &cobra.Command{
		Use:   "docs [TOPIC]",
		Short: "Read the documentation",
		Long: `Print a page of the documentation, which is part of the program. Without a topic, list
the topics: pages, how-to guides, and the reference of stage types and blocks.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.UsageError("airbuild docs prints one topic, got %q", args)
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return docs.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return docsTopics(a)
			}
			return docsPage(a, args[0], markdown)
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "print the page as Markdown")
	return c
}

func docsTopics(a *app) error {
	return a.writeTable(func(w io.Writer) {
		for _, p := range docs.Pages() {
			fmt.Fprintf(w, "%s\t%s\n", p.Topic, p.Title)
		}
	})
}

func docsPage(a *app, topic string, markdown bool) error {
	page, others, ok := docs.Find(topic)
	if !ok {
		return exit.UsageError("there is no topic %q.%s airbuild docs lists the topics.", topic, dsl.DidYouMean(topic, docs.Names()))
	}
	text := page.Plain()
	if markdown {
		text = page.Text
	}
	if _, err := io.WriteString(a.out, text); err != nil {
		return err
	}
	if len(others) > 0 {
		fmt.Fprintf(a.err, "see also: %s\n", strings.Join(others, ", "))
	}
	return nil
}
