package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/starter"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/tasks"
)

func (a *app) initCommand() *cobra.Command {
	force := false
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a first Airbuildfile from what is here",
		Long:  "Write a first Airbuildfile from what is here: the module or the workspace, its main\npackages, and git. It runs at once.",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.init(c.Context(), force) },
	}
	c.Flags().BoolVar(&force, "force", false, "replace an Airbuildfile that is there")
	return c
}

func (a *app) init(ctx context.Context, force bool) error {
	name := fileName
	if a.file != "" {
		name = a.file
	}
	if exists(name) && !force {
		return usageError("%s is there already. To replace it: airbuild init --force", name)
	}
	root, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	facts, err := starter.Look(tasks.ProjectFiles(root), filepath.Base(root))
	none, isNone := errors.AsType[starter.NoModule](err)
	switch {
	case isNone && none.Below != "" && !insideModule(root):
		return usageError("%w. The module is in %s: airbuild -C %s init", err, none.Below, none.Below)
	case isNone, err == nil && facts.Nested && insideModule(root):
		return noModule(root, starter.NoModule{})
	}
	if err != nil {
		return usageError("init: %w", err)
	}
	_, err = source.Read(ctx, root, []string{"describe"}, source.Options{})
	facts.Identity = err == nil
	// Formatted, for the alignment of what depends on the project's names.
	text, diags := dsl.Format(facts.File(), name)
	if diags.HasErrors() {
		return fmt.Errorf("init: %w", diags)
	}
	err = ui.WriteFile(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return a.tellInit(name, root, facts)
}

// insideModule reports whether a folder above is a module or a workspace.
func insideModule(root string) bool {
	for dir := filepath.Dir(root); ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) || exists(filepath.Join(dir, "go.work")) {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

// noModule says where the module is, if the working directory is inside one.
func noModule(root string, err error) error {
	for dir := filepath.Dir(root); ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) || exists(filepath.Join(dir, "go.work")) {
			return usageError("%w. The nearest is in %s: airbuild -C %s init", err, dir, dir)
		}
		if dir == filepath.Dir(dir) {
			return usageError("%w. Run it in the root of a Go module.", err)
		}
	}
}

func (a *app) tellInit(name, root string, f *starter.Facts) error {
	next := "airbuild run release"
	found := ui.Count(len(f.Mains), "main package")
	if len(f.Mains) == 0 {
		next, found = "airbuild run check", "a library"
	}
	if f.Modules != nil {
		found = ui.Count(len(f.Modules), "module") + ", " + found
	}
	text := fmt.Sprintf("wrote %s for %s\n", name, found)
	if len(f.Helpers) > 0 {
		text += "left out, as examples or tools of the project: " + strings.Join(f.Helpers, ", ") + "\n"
	}
	if len(f.Left) > 0 {
		text += "left out, because their binaries would be called like others: " + strings.Join(f.Left, ", ") + "; to build one too, add a go_build stage with an output of its own\n"
	}
	text += "next: " + next + "\n"
	if len(f.Mains) > 0 && exists(filepath.Join(root, ".git")) && !ignoresDist(root) {
		text += "hint: add /dist/ to .gitignore\n"
	}
	_, err := io.WriteString(a.out, text)
	return err
}

// ignoresDist reports whether .gitignore names dist. Only plain patterns are
// looked for: a wrong answer costs a hint.
func ignoresDist(root string) bool {
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if strings.Trim(strings.TrimSpace(line), "/*") == "dist" {
			return true
		}
	}
	return false
}
