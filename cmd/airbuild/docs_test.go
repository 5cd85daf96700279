package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
)

// docs/cli.md names every command and every flag, each flag in the section of
// its command.
func TestCommandsAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(b), "\n##")
	a := &app{flags: flags{Options: project.Options{LookupEnv: func(string) (string, bool) { return "", false }}}}
	root := a.root()
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { wantFlag(t, sections[1], "airbuild", f) })
	n := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.HasAvailableSubCommands() {
			for _, sub := range c.Commands() {
				walk(sub)
			}
			return
		}
		n++
		for _, s := range sections {
			title, _, _ := strings.Cut(s, "\n")
			if strings.Contains(title, "`"+c.CommandPath()) {
				c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { wantFlag(t, s, c.CommandPath(), f) })
				return
			}
		}
		t.Errorf("%s has no section in docs/cli.md", c.CommandPath())
	}
	walk(root)
	if n < 15 {
		t.Errorf("only %d commands were looked at", n)
	}
}

func wantFlag(t *testing.T, section, command string, f *pflag.Flag) {
	t.Helper()
	if f.Name != "help" && !strings.Contains(section, "--"+f.Name) {
		t.Errorf("%s: flag --%s is not documented", command, f.Name)
	}
}
