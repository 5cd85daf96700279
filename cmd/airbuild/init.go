package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/scaffold"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/tasks"
)

func initCommand(a *app) *cobra.Command {
	force := false
	c := &cobra.Command{
		Use:   "init",
		Short: "Create an Airbuildfile for this module",
		Long:  "Create an Airbuildfile for this module or workspace, from its main packages and\ngit. It can be run right away.",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runInit(c.Context(), a, force) },
	}
	c.Flags().BoolVar(&force, "force", false, "replace an existing Airbuildfile")
	return c
}

func runInit(ctx context.Context, a *app, force bool) error {
	name := project.FileName
	if a.File != "" {
		name = a.File
	}
	if project.Exists(name) && !force {
		return exit.UsageError("%s already exists. To replace it: airbuild init --force", name)
	}
	root, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	facts, err := scaffold.Look(tasks.ProjectFiles(root), filepath.Base(root))
	none, isNone := errors.AsType[scaffold.NoModule](err)
	above := scaffold.ModuleAbove(root)
	switch {
	case isNone && none.Below != "" && above == "":
		return exit.UsageError("%w. The module is in %s: airbuild -C %s init", err, none.Below, none.Below)
	case above != "" && (isNone || err == nil && facts.Nested):
		return exit.UsageError("%w. The nearest is in %s: airbuild -C %s init", scaffold.NoModule{}, above, above)
	case isNone:
		return exit.UsageError("%w. Run it in the root of a Go module.", err)
	case err != nil:
		return exit.UsageError("init: %w", err)
	}
	_, err = source.Read(ctx, root, []string{"describe"}, source.Options{})
	facts.Identity = err == nil
	if err := askNames(ctx, a, facts); err != nil {
		return err
	}
	if err := facts.PinGo(root, a.LookupEnv); err != nil {
		return err
	}
	// Formatted, for the alignment of what depends on the project's names.
	text, diags := dsl.Format(facts.File(), name)
	if diags.HasErrors() {
		return fmt.Errorf("init: %w", diags)
	}
	if err := atomicfile.Write(name, text, atomicfile.Options{Mkdir: 0o777}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return writeInitReport(a, name, root, facts)
}

// binaryName is what a binary may be called on every host.
var binaryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// askNames asks on a terminal what binaries are to be called that would be called
// alike. Without a terminal they have the names that are proposed.
func askNames(ctx context.Context, a *app, f *scaffold.Facts) error {
	twins := f.Twins()
	in, ok := a.in.(*os.File)
	if len(twins) == 0 || !ok || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	fmt.Fprintln(a.err, "These main packages would have binaries of the same name. An empty line takes the name in brackets.")
	lines := readLines(in)
	for _, pkg := range twins {
		for {
			fmt.Fprintf(a.err, "name of the binary of %s [%s]: ", human.OneLine(pkg), f.Binary(pkg))
			var line string
			select {
			case <-ctx.Done():
				return ctx.Err()
			case line, ok = <-lines:
			}
			if !ok {
				return exit.UsageError("init: no answer; nothing was written")
			}
			name := cmp.Or(strings.TrimSpace(line), f.Binary(pkg))
			taken := slices.IndexFunc(f.Mains, func(other string) bool { return other != pkg && f.Binary(other) == name })
			switch {
			case !binaryName.MatchString(name):
				fmt.Fprintf(a.err, "%q is not a file name for a binary\n", name)
				continue
			case taken >= 0:
				fmt.Fprintf(a.err, "the binary of %s is called so\n", f.Mains[taken])
				continue
			}
			f.SetName(pkg, name)
			break
		}
	}
	return nil
}

// readLines reads lines until the end. The goroutine ends with the program if
// nobody takes them.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			lines <- sc.Text()
		}
	}()
	return lines
}

func writeInitReport(a *app, name, root string, f *scaffold.Facts) error {
	next := "airbuild run release"
	found := human.Count(len(f.Mains), "main package")
	if len(f.Mains) == 0 {
		next, found = "airbuild run check", "a library"
	}
	if f.Modules != nil {
		found = human.Count(len(f.Modules), "module") + ", " + found
	}
	text := fmt.Sprintf("wrote %s for %s\n", name, found)
	if len(f.Helpers) > 0 {
		text += "left out, as examples or tools of the project: " + strings.Join(f.Helpers, ", ") + "\n"
	}
	for _, pkg := range f.Mains {
		if binary, ok := f.Names[pkg]; ok {
			text += fmt.Sprintf("the binary of %s is called %s, because another binary has its folder's name; to change that, edit names in %s\n", pkg, binary, name)
		}
	}
	if f.Go != "" {
		text += fmt.Sprintf("pinned Go %s: %s\n", f.Go, f.Asked)
	}
	if f.BuildInfo != "" {
		text += fmt.Sprintf("buildvcs is on, because %s reads the program's version with debug.ReadBuildInfo\n", f.BuildInfo)
	}
	text += "next: " + next + "\n"
	if len(f.Mains) > 0 && project.Exists(filepath.Join(root, ".git")) && !scaffold.IgnoresDist(root) {
		text += "hint: add /dist/ to .gitignore\n"
	}
	_, err := io.WriteString(a.out, text)
	return err
}
