package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
)

func completionCommand(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Write a script that completes commands, flags and targets in a shell",
		Long:      "Write a script that completes commands, flags and targets in a shell.\n\nFor bash, in this session:   source <(airbuild completion bash)\nFor zsh, for good:           airbuild completion zsh > \"${fpath[1]}/_airbuild\"\nFor fish, for good:          airbuild completion fish > ~/.config/fish/completions/airbuild.fish\nFor PowerShell, in $PROFILE: airbuild completion powershell | Out-String | Invoke-Expression",
		ValidArgs: shells,
		Args:      exactArgs(1, "the name of a shell"),
		RunE: func(c *cobra.Command, args []string) error {
			return writeCompletion(c.Root(), args[0], a.out, shells)
		},
	}
}

func writeCompletion(root *cobra.Command, shell string, w io.Writer, shells []string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(w)
	}
	return exit.UsageError("there is no completion for %q: want %s.", shell, strings.Join(shells, ", "))
}

// loadToComplete plans the project for a shell that completes a word.
func (a *app) loadToComplete(ctx context.Context) (*project.Project, error) {
	if err := a.prepare(); err != nil { // cobra does not run it before completing
		return nil, err
	}
	return project.Load(ctx, a.quietly())
}

// completeTargets offers the names of pipelines, stages and cells. A file that
// cannot be planned offers nothing: a shell's prompt is no place for diagnostics.
func (a *app) completeTargets(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	p, err := a.loadToComplete(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	offer := func(name, what string) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, fmt.Sprintf("%s\t%s", name, what))
		}
	}
	for _, l := range p.Plan.Pipelines {
		offer(l.Name, "pipeline")
	}
	for _, s := range p.Plan.Stages {
		offer(s.Name, s.Type)
		for _, cell := range s.Cells {
			if cell.Key != "" && strings.HasPrefix(prefix, s.Name+"[") {
				offer(p.Plan.Graph.Steps[cell.Step].Name, s.Type)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
