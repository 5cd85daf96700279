// Package starter writes a first Airbuildfile from what a project holds.
package starter

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/pipelines"
)

// Facts are what a first Airbuildfile depends on.
type Facts struct {
	Name     string   // of the module or, in a workspace, of its folder
	Mains    []string // main packages as the go command takes them: ".", "./cmd/yq"
	Modules  []string // of a go.work without a module beside it, as folders; else nil
	Left     []string // main packages whose binary would be called like another's
	Identity bool     // git, or a source.json, says what the source is
}

// A NoModule says that there is neither a go.mod nor a go.work.
type NoModule struct{}

func (NoModule) Error() string { return "there is no go.mod and no go.work here" }

// Look finds the facts about the project in fsys; folder is what its own
// folder is called. Identity is left to the caller. The error is NoModule, or
// says which file could not be read.
func Look(fsys fs.FS, folder string) (*Facts, error) {
	f := &Facts{Name: folder}
	switch {
	case has(fsys, "go.mod"):
		if name := pipelines.ModuleName(fsys, "."); name != "" {
			f.Name = name
		}
		f.Mains = pipelines.MainPackages(fsys, ".", "dist")
	case has(fsys, "go.work"):
		modules, err := workspace(fsys)
		if err != nil {
			return nil, err
		}
		f.Modules = modules
		for _, m := range modules {
			for _, pkg := range pipelines.MainPackages(fsys, m, "dist") {
				f.Mains = append(f.Mains, "./"+path.Join(m, pkg))
			}
		}
	default:
		return nil, NoModule{}
	}
	f.leaveTwins()
	return f, nil
}

func has(fsys fs.FS, name string) bool {
	fi, err := fs.Stat(fsys, name)
	return err == nil && fi.Mode().IsRegular()
}

// workspace returns the modules of go.work that are inside the project.
func workspace(fsys fs.FS) ([]string, error) {
	src, err := fs.ReadFile(fsys, "go.work")
	if err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	work, err := modfile.ParseWork("go.work", src, nil)
	if err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	var modules []string
	for _, u := range work.Use {
		dir := path.Clean(strings.ReplaceAll(u.Path, `\`, "/"))
		if fs.ValidPath(dir) && has(fsys, path.Join(dir, "go.mod")) {
			modules = append(modules, dir)
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

// leaveTwins takes out main packages whose binary would be called like that of
// an earlier one.
func (f *Facts) leaveTwins() {
	taken := map[string]bool{}
	f.Mains = slices.DeleteFunc(f.Mains, func(pkg string) bool {
		name := f.binary(pkg)
		if taken[name] {
			f.Left = append(f.Left, pkg)
			return true
		}
		taken[name] = true
		return false
	})
}

// binary is what the binary of a main package is called.
func (f *Facts) binary(pkg string) string {
	if pkg == "." {
		return f.Name
	}
	return path.Base(pkg)
}

// platforms are what a first file builds for.
var platforms = [...]string{
	"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64",
}

// File returns the Airbuildfile. `airbuild fmt` still aligns what depends on
// the project's names.
func (f *Facts) File() []byte {
	w := &writer{}
	w.line("# Written by `airbuild init`; change it as you like.")
	w.line("#")
	w.line("#   airbuild run check     go.mod is tidy, go vet, the tests")
	if len(f.Mains) > 0 {
		w.line("#   airbuild run release   that, then binaries, archives and checksums in dist/")
	}
	w.line("#")
	switch {
	case f.Modules != nil:
		f.spelledOut(w)
	default:
		w.line("# What the ready-made pipelines do: airbuild pipelines show go_release")
		f.readyMade(w)
	}
	return []byte(w.String())
}

type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// list writes an attribute whose value is a list of strings, one a line.
func (w *writer) list(indent, name string, values []string) {
	w.line("%s%s = [", indent, name)
	for _, v := range values {
		w.line("%s  %s,", indent, quote(v))
	}
	w.line("%s]", indent)
}

// quote writes a string of HCL. Go's quoting would differ for what is not
// printable; names of files hold none of it, or the file is refused.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{", "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// version declares the version where no git can be asked.
func (f *Facts) version(w *writer) {
	if f.Identity {
		return
	}
	w.line("")
	w.line("# There is no git to ask for the version here: --var version=v1.2.3 sets it.")
	w.line("variable \"version\" {")
	w.line("  type    = string")
	w.line("  default = \"v0.0.0\"")
	w.line("}")
}

// readyMade is the file of a project that is one module.
func (f *Facts) readyMade(w *writer) {
	if len(f.Mains) > 0 {
		f.version(w)
	}
	w.line("")
	w.line("pipeline \"check\" {")
	w.line("  use = \"go_check\"")
	w.line("}")
	if len(f.Mains) == 0 {
		return
	}
	w.line("")
	w.line("pipeline \"release\" {")
	w.line("  use = \"go_release\"")
	if !f.Identity {
		w.line("  version = var.version")
	}
	if len(f.Mains) > 1 || f.Left != nil {
		f.left(w)
		w.list("  ", "packages", f.Mains)
	}
	w.list("  ", "platforms", platforms[:])
	w.line("}")
}

func (f *Facts) left(w *writer) {
	for _, pkg := range f.Left {
		w.line("  # %s is left out: its binary would be called like another one.", quote(pkg))
	}
}

// spelledOut is the file of a workspace of several modules: stages one by one,
// so that each module can be checked in its own folder.
func (f *Facts) spelledOut(w *writer) {
	w.line("# Every block is described in docs/airbuildfile.md.")
	if len(f.Mains) > 0 {
		w.line("")
		w.line("variable \"version\" {")
		w.line("  type = string")
		if f.Identity {
			w.line("  default = git.describe")
		} else {
			w.line("  default = \"v0.0.0\"")
		}
		w.line("}")
	}
	w.line("")
	w.line("locals {")
	w.list("  ", "modules", f.Modules)
	if len(f.Mains) > 0 {
		w.list("  ", "platforms", platforms[:])
		f.left(w)
		w.line("  # Binaries by name.")
		w.line("  mains = {")
		for _, pkg := range f.Mains {
			w.line("    %s = %s", quote(f.binary(pkg)), quote(pkg))
		}
		w.line("  }")
	}
	w.line("}")
	for _, s := range [][2]string{{"go_tidy", "tidy"}, {"go_vet", "vet"}, {"go_test", "test"}} {
		w.line("")
		w.line("stage %q %q {", s[0], s[1])
		w.line("  matrix = {")
		w.line("    module = local.modules")
		w.line("  }")
		w.line("  dir = matrix.module")
		w.line("}")
	}
	if len(f.Mains) > 0 {
		w.WriteString(releaseStages)
	}
	w.line("")
	w.line("pipeline \"check\" {")
	w.line("  stages = [stage.tidy, stage.vet, stage.test]")
	w.line("}")
	if len(f.Mains) > 0 {
		w.line("")
		w.line("pipeline \"release\" {")
		w.line("  stages = [stage.tidy, stage.vet, stage.test, stage.sums]")
		w.line("}")
	}
}

const releaseStages = `
stage "go_build" "bin" {
  matrix = {
    platform = local.platforms
    cmd      = keys(local.mains)
  }
  package = local.mains[matrix.cmd]
  output  = "${matrix.cmd}_${var.version}_${matrix.os}_${matrix.arch}/${matrix.cmd}${matrix.exe}"
  stamp   = { "main.version" = var.version }

  size {
    strip    = true
    trimpath = true
  }
}

stage "archive" "archives" {
  for_each = stage.bin
  format   = each.os == "windows" ? "zip" : "tar.gz"
  output   = "${each.cmd}_${var.version}_${each.os}_${each.arch}.${each.os == "windows" ? "zip" : "tar.gz"}"
  files    = concat([each.path], tolist(glob("LICENSE*")), tolist(glob("README*")))
}

stage "checksum" "sums" {
  files = stage.archives.paths
}
`
