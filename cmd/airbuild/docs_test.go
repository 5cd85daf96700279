package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// The tables of flags in docs/cli.md are those of the commands.
func TestCommandsTablesOfFlags(t *testing.T) {
	a := &app{flags: flags{Options: project.Options{LookupEnv: func(string) (string, bool) { return "", false }}}}
	root := a.root()
	tables := page{"airbuild": flagTable(root.PersistentFlags())}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if table := flagTable(c.LocalNonPersistentFlags()); c.Runnable() && table != "" && c != root {
			tables[c.CommandPath()] = table
		}
	}
	walk(root)
	file := docsFile("docs/cli.md")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rewriteMarked(t, file, string(b), tables)
}

var defaultInUsage = regexp.MustCompile(`\s*\(default:? ([^()]*(?:\([^()]*\)[^()]*)*)\)`)

// flagTable is a table of flags, with their defaults in a column.
func flagTable(flags *pflag.FlagSet) string {
	rows := ""
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "`--" + strings.TrimSpace(f.Name+" "+value) + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		def := ""
		if m := defaultInUsage.FindStringSubmatch(usage); m != nil {
			def, usage = m[1], strings.Replace(usage, m[0], "", 1)
		} else if !slices.Contains([]string{"", "false", "0", "[]", "0s"}, f.DefValue) {
			def = "`" + f.DefValue + "`"
		}
		rows += "| " + strings.ReplaceAll(name, "|", `\|`) + " | " + cellText(def) + " | " + cellText(usage) + " |\n"
	})
	if rows == "" {
		return ""
	}
	return "| flag | default | meaning |\n|---|---|---|\n" + rows
}
