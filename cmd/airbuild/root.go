package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/dsl"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "airbuild",
		Short:             "Build and release Go software, the same everywhere",
		Long:              "airbuild builds and releases Go software from one declarative file, the\nAirbuildfile, and does it the same on a laptop, on a CI runner and on a host\nwithout a network.",
		Example:           "  airbuild init\n  airbuild run release",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.prepare() },
		// Cobra's own suggestions would come in another form.
		DisableSuggestions: true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	a.declareFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: "build", Title: "Build:"},
		&cobra.Group{ID: "author", Title: "Write an Airbuildfile:"},
		&cobra.Group{ID: "manage", Title: "Manage:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("build", runCommand(a), deployCommand(a), approveCommand(a), publishCommand(a), planCommand(a), listCommand(a), graphCommand(a), explainCommand(a), verifyCommand(a), auditCommand(a))
	add("author", initCommand(a), validateCommand(a), fmtCommand(a), pipelinesCommand(a), lspCommand(a))
	add("manage", cacheCommand(a), hostCommand(a), doctorCommand(a), bundleCommand(a), relayCommand(a), keyCommand(a), verifySignatureCommand(a), verifyProvenanceCommand(a), completionCommand(a), docsCommand(a), versionCommand(a))
	root.SetHelpCommandGroupID("manage")
	root.InitDefaultHelpCmd()
	group(root)
	helpKnows(root)
	return root
}

func (a *app) declareFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVarP(&a.dir, "directory", "C", "", "change to `DIR` before doing anything")
	f.StringVarP(&a.File, "file", "f", "", "the Airbuildfile, `FILE`; found by walking up from here if not given")
	f.StringArrayVar(&a.Vars, "var", nil, "set a variable, `NAME=VALUE`; may be repeated")
	f.StringArrayVar(&a.VarFiles, "var-file", nil, "take variables from `FILE` (HCL or JSON); may be repeated")
	f.StringVar(&a.Environment, "environment", "", "take the values of the environment block `NAME`")
	f.IntVarP(&a.Jobs, "jobs", "j", 0, "run at most `N` steps in parallel (default: number of CPUs)")
	f.BoolVarP(&a.KeepGoing, "keep-going", "k", false, "after a failure, keep running steps that do not depend on it")
	f.BoolVar(&a.Offline, "offline", false, "never use the network; exit with code 4 if a step needs it and is not cached")
	a.OfflineSet = func() bool { return f.Changed("offline") }
	f.BoolVar(&a.Paranoid, "paranoid", false, "ignore file timestamps: re-hash every input and every cache blob that is used")
	f.StringVar(&a.output, "output", "auto", "output format: `auto|tty|plain|json`")
	f.StringVar(&a.color, "color", "auto", "use colour: `auto|always|never`")
	f.StringVar(&a.CompileCache, "compile-cache", "", "keep packages that Go steps compile in the cache: `on|off` (default: $AIRBUILD_COMPILE_CACHE, or on)")
	f.StringVar(&a.Cache, "cache", "", "use the cache in `DIR` (default: $AIRBUILD_CACHE, or airbuild in the user's cache directory)")
}

// group makes a command that only has subcommands: without arguments it shows
// its help, and with others it says which there are.
func group(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		msg := fmt.Sprintf("there is no command %q.", c.CommandPath()+" "+args[0])
		if below := commandBelow(c, args[0]); below != "" {
			msg += fmt.Sprintf(" Did you mean %q?", below)
		} else if hint := dsl.DidYouMean(args[0], names); hint != "" {
			msg += hint
		} else if c.HasParent() {
			msg += " Commands are " + strings.Join(names, ", ") + "."
		} else {
			msg += fmt.Sprintf(" For a pipeline or a stage: airbuild run %s. All commands: airbuild help.", args[0])
		}
		return exit.UsageError("%s", msg)
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// helpKnows makes `airbuild help` refuse what is no command; cobra's own shows
// the help of the whole instead.
func helpKnows(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		show := c.Run
		c.Run, c.RunE = nil, func(c *cobra.Command, args []string) error {
			if on, rest, err := root.Find(args); err == nil && len(rest) > 0 && on.HasSubCommands() && on.Args != nil {
				if err := on.Args(on, rest); err != nil {
					return err
				}
			}
			show(c, args)
			return nil
		}
	}
}

// commandBelow is the command of that name which one of c's groups has, in full:
// `airbuild cache prune` for prune. It is empty if there is none, or several.
func commandBelow(c *cobra.Command, name string) string {
	var found []string
	for _, group := range c.Commands() {
		for _, sub := range group.Commands() {
			if sub.Name() == name && sub.IsAvailableCommand() {
				found = append(found, sub.CommandPath())
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// flagError says which flag was meant, or which values it takes.
func flagError(c *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && len(unknown.GetSpecifiedName()) > 1 {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := unknown.GetSpecifiedName()
		if near := dsl.SuggestName(name, names); near != "" {
			return exit.UsageError("there is no flag --%s. Did you mean --%s?", name, near)
		}
		return exit.UsageError("there is no flag --%s. All flags: %s --help.", name, c.CommandPath())
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if want := wantedValue(invalid.GetFlag().Value.Type()); want != "" {
			return exit.UsageError("--%s %q: want %s", invalid.GetFlag().Name, invalid.GetValue(), want)
		}
	}
	return exit.UsageError("%w", err)
}

// wantedValue says what a flag of pflag's type takes; it is empty for types
// whose own errors say it.
func wantedValue(typ string) string {
	switch typ {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "duration":
		return "a duration such as 90s, 15m or 720h"
	}
	return ""
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit.UsageError("%s takes no arguments, and got %q.", c.CommandPath(), args[0])
	}
	return nil
}

// exactArgs wants n arguments, named what.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return exit.UsageError("%s requires %s: %s", c.CommandPath(), what, c.UseLine())
		}
		return nil
	}
}

// declareSandbox is for commands that run steps.
func declareSandbox(b *project.Sandboxing, f *pflag.FlagSet) {
	f.BoolVar(&b.Strict, "strict", false, "run nothing on a host that cannot keep steps from the network and from undeclared files")
	f.BoolVar(&b.Off, "no-sandbox", false, "run steps without the sandbox (for hosts where it does not work)")
}

// declareNoSandbox is for commands that run nothing: the keys of some steps depend on it.
func declareNoSandbox(b *project.Sandboxing, f *pflag.FlagSet) {
	f.BoolVar(&b.Off, "no-sandbox", false, "show what run --no-sandbox would use")
}
