package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/tasks"
)

type fmtFlags struct{ check, diff bool }

func fmtCommand(a *app) *cobra.Command {
	f := &fmtFlags{}
	c := &cobra.Command{
		Use:   "fmt [FILE…]",
		Short: "Format Airbuildfiles",
		Long: "Format Airbuildfiles, and list those that changed. Without\n" +
			"a file: the project's Airbuildfile and its includes. \"-\" reads standard input and\n" +
			"writes standard output.",
		RunE: func(_ *cobra.Command, args []string) error { return runFmt(a, args, f) },
	}
	c.Flags().BoolVar(&f.check, "check", false, "change nothing; exit with 1 if a file would change")
	c.Flags().BoolVar(&f.diff, "diff", false, "show what changes; with --check, what would")
	return c
}

func runFmt(a *app, files []string, f *fmtFlags) error {
	if slices.Contains(files, "-") {
		if len(files) > 1 {
			return exit.UsageError("airbuild fmt -: standard input cannot be mixed with files.")
		}
		return formatInput(a, f)
	}
	if len(files) == 0 {
		var err error
		if files, err = projectFiles(a); err != nil {
			return err
		}
	}
	changed := 0
	broken := false
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			return exit.UsageError("format: %w", err)
		}
		out, err := formatted(a, name, src)
		switch code, show := exit.Code(err); {
		case code == exit.Usage && show == nil: // told; the others are looked at too
			broken = true
			continue
		case err != nil:
			return err
		}
		if bytes.Equal(src, out) {
			continue
		}
		changed++
		if err := writeChange(a, name, src, out, f); err != nil {
			return err
		}
		if !f.check {
			if err := replaceFile(name, out); err != nil {
				return err
			}
		}
	}
	switch {
	case broken:
		return exit.Silent(exit.Usage)
	case f.check && changed > 0:
		return exit.Silent(exit.Failed)
	}
	return nil
}

// replaceFile puts new bytes in the place of a file, all or nothing, with the
// file's own permissions. A symbolic link stays one.
func replaceFile(name string, b []byte) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("format %s: %w", name, err)
	}
	fi, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("format %s: %w", name, err)
	}
	if err := atomicfile.Write(real, b, atomicfile.Options{Perm: fi.Mode().Perm(), Exact: true}); err != nil {
		return fmt.Errorf("write %s: %w", real, err)
	}
	return nil
}

func writeChange(a *app, name string, src, out []byte, f *fmtFlags) error {
	if f.diff {
		_, err := a.out.Write(diff.Diff(name, src, name+" (formatted)", out))
		return err
	}
	_, err := fmt.Fprintln(a.out, name)
	return err
}

func formatInput(a *app, f *fmtFlags) error {
	src, err := io.ReadAll(a.in)
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	out, err := formatted(a, "<stdin>", src)
	if err != nil {
		return err
	}
	changed := !bytes.Equal(src, out)
	switch {
	case f.diff && changed:
		err = writeChange(a, "<stdin>", src, out, f)
	case !f.diff && !f.check:
		_, err = a.out.Write(out)
	}
	if err == nil && f.check && changed {
		err = exit.Silent(exit.Failed)
	}
	return err
}

// formatted lays src out, or shows its syntax errors.
func formatted(a *app, name string, src []byte) ([]byte, error) {
	out, diags := dsl.Format(src, name)
	return out, a.showDiagnostics(diags, map[string][]byte{name: src}, nil)
}

// projectFiles are the Airbuildfile and what it includes, relative to the
// working directory. Mistakes other than of syntax do not matter here.
func projectFiles(a *app) ([]string, error) {
	root, name, err := a.FindFile()
	if err != nil {
		return nil, err
	}
	m, _ := dsl.Load(tasks.ProjectFiles(root), name)
	wd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	files := []string{}
	for f := range m.Sources {
		full := filepath.Join(root, filepath.FromSlash(f))
		if rel, err := filepath.Rel(wd, full); err == nil {
			full = rel
		}
		files = append(files, full)
	}
	slices.Sort(files)
	return files, nil
}
