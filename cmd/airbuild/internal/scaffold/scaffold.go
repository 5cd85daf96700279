// Package scaffold writes a first Airbuildfile from what a project holds.
package scaffold

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// Facts are what a first Airbuildfile depends on.
type Facts struct {
	Name    string   // of the module or, in a workspace, of its folder
	Mains   []string // main packages as the go command takes them: ".", "./cmd/yq"
	Modules []string // folders of modules, where the project's own is none; else nil
	Nested  bool     // there is no go.work: the go command sees a module from its folder only
	// Names are those of binaries that would be called like another one: by main
	// package, in place of its folder's name.
	Names    map[string]string
	Helpers  []string // main packages that are examples or tools of the project's own
	Stamp    string   // the variable of the programs that holds the version; "" for none
	Identity bool     // git, or a source.json, says what the source is
	// BuildInfo is a file by which a program reads its own version with
	// debug.ReadBuildInfo; "" for none.
	BuildInfo string
	// Go is the version that the file pins, or a constraint, and Asked the line
	// that asks for it: "toolchain go1.27.3 in go.mod". Empty for none.
	Go, Asked string
}

// A NoModule says that there is neither a go.mod nor a go.work.
type NoModule struct {
	Below string // the folder of the only module below; "" if there is none
}

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
		f.mainsOf(fsys)
	default:
		f.Modules, f.Nested = nested(fsys), true
		switch len(f.Modules) {
		case 0:
			return nil, NoModule{}
		case 1: // its own folder is the place of an Airbuildfile
			return nil, NoModule{Below: f.Modules[0]}
		}
		f.mainsOf(fsys)
	}
	f.leaveHelpers()
	f.nameTwins()
	f.Stamp = f.findStamp(fsys)
	f.BuildInfo = f.findBuildInfo(fsys)
	return f, nil
}

// mainsOf finds the main packages of all modules.
func (f *Facts) mainsOf(fsys fs.FS) {
	for _, m := range f.Modules {
		for _, pkg := range pipelines.MainPackages(fsys, m, "dist") {
			f.Mains = append(f.Mains, "./"+path.Join(m, pkg))
		}
	}
}

// nested returns the modules in folders below, those in vendor, testdata and
// folders that the go command passes over excepted.
func nested(fsys fs.FS) (modules []string) {
	// A folder that cannot be read has no module that could be built.
	_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || name == "." {
			return nil
		}
		base := d.Name()
		if base == "vendor" || base == "testdata" || base == "node_modules" || name == "dist" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return fs.SkipDir
		}
		if has(fsys, path.Join(name, "go.mod")) {
			modules = append(modules, name)
		}
		return nil
	})
	return modules
}

// helperFolders are folders whose programs serve the project itself.
var helperFolders = [...]string{"example", "examples", "tool", "tools", "script", "scripts", "hack"}

// leaveHelpers takes out main packages that are not for users, unless there are
// no others.
func (f *Facts) leaveHelpers() {
	var mains, helpers []string
	for _, pkg := range f.Mains {
		in := func(folder string) bool { return slices.Contains(helperFolders[:], folder) }
		if slices.ContainsFunc(strings.Split(pkg, "/"), in) {
			helpers = append(helpers, pkg)
		} else {
			mains = append(mains, pkg)
		}
	}
	if len(mains) > 0 {
		f.Mains, f.Helpers = mains, helpers
	}
}

// findBuildInfo finds the first program that reads its own version.
func (f *Facts) findBuildInfo(fsys fs.FS) string {
	for _, pkg := range f.Mains {
		module := "."
		if f.Modules != nil {
			module, _ = f.moduleOf(pkg)
		}
		if file := gocmd.ReadsBuildInfo(fsys, module, path.Clean(pkg)); file != "" {
			return file
		}
	}
	return ""
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
	return lists.Unique(modules), nil
}

// Twins are the main packages whose binaries would be called alike by their
// folders' names, in their order.
func (f *Facts) Twins() []string {
	count := map[string]int{}
	for _, pkg := range f.Mains {
		count[f.folderName(pkg)]++
	}
	var twins []string
	for _, pkg := range f.Mains {
		if count[f.folderName(pkg)] > 1 {
			twins = append(twins, pkg)
		}
	}
	return twins
}

// nameTwins gives binaries that would be called alike names of their own: the
// first keeps it, and the others get the names of the folders above before it.
func (f *Facts) nameTwins() {
	taken := lists.SetBy(f.Mains, f.folderName)
	first := map[string]bool{}
	for _, pkg := range f.Twins() {
		name := f.folderName(pkg)
		if !first[name] {
			first[name] = true
			continue
		}
		dirs := strings.Split(strings.TrimPrefix(pkg, "./"), "/")
		for i := len(dirs) - 2; i >= 0 && taken[name]; i-- {
			name = dirs[i] + "-" + name
		}
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s-%d", f.folderName(pkg), n)
		}
		taken[name] = true
		f.SetName(pkg, name)
	}
}

// SetName gives the binary of a main package another name than its folder's.
func (f *Facts) SetName(pkg, name string) {
	if f.Names == nil {
		f.Names = map[string]string{}
	}
	if f.Names[pkg] = name; name == f.folderName(pkg) {
		delete(f.Names, pkg)
	}
}

// Binary is what the binary of a main package is called.
func (f *Facts) Binary(pkg string) string {
	if name, ok := f.Names[pkg]; ok {
		return name
	}
	return f.folderName(pkg)
}

// folderName is what a binary is called by default.
func (f *Facts) folderName(pkg string) string {
	if pkg == "." {
		return f.Name
	}
	return path.Base(pkg)
}

// moduleOf cuts a main package into its module and the package in it.
func (f *Facts) moduleOf(pkg string) (module, inside string) {
	for _, m := range f.Modules { // the deepest of several
		if rest, ok := strings.CutPrefix(pkg+"/", "./"+m+"/"); ok && len(m) > len(module) {
			module, inside = m, strings.TrimSuffix("./"+rest, "/")
		}
	}
	return module, inside
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

// toolchain pins Go where the module asks for a version.
func (f *Facts) toolchain(w *writer) {
	if f.Go == "" {
		return
	}
	w.line("")
	w.line("# Required by %s.", f.Asked)
	w.line("toolchain \"go\" {")
	w.line("  version = %s", quote(f.Go))
	w.line("}")
}

// readyMade is the file of a project that is one module.
func (f *Facts) readyMade(w *writer) {
	f.toolchain(w)
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
	if f.Stamp != "" && f.Stamp != defaultStamp {
		w.line("  stamp = %s", quote(f.Stamp))
	}
	if f.BuildInfo != "" {
		w.line("  # %s reads the version that this stamps.", f.BuildInfo)
		w.line("  buildvcs = true")
	}
	if len(f.Mains) > 1 || f.Helpers != nil {
		f.left(w)
		w.list("  ", "packages", f.Mains)
	}
	if len(f.Names) > 0 {
		w.line("  # Binaries that would be called like another one.")
		w.line("  names = {")
		for _, pkg := range f.Mains {
			if name, ok := f.Names[pkg]; ok {
				w.line("    %s = %s", quote(pkg), quote(name))
			}
		}
		w.line("  }")
	}
	w.list("  ", "platforms", platforms[:])
	w.line("}")
}

func (f *Facts) left(w *writer) {
	for _, pkg := range f.Helpers {
		w.line("  # %s is left out: an example or a tool of the project.", quote(pkg))
	}
}

// spelledOut is the file of a workspace of several modules: stages one by one,
// so that each module can be checked in its own folder.
func (f *Facts) spelledOut(w *writer) {
	w.line("# Every block is described in docs/airbuildfile.md.")
	f.toolchain(w)
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
			if !f.Nested {
				w.line("    %s = %s", quote(f.Binary(pkg)), quote(pkg))
				continue
			}
			module, inside := f.moduleOf(pkg)
			w.line("    %s = { module = %s, package = %s }", quote(f.Binary(pkg)), quote(module), quote(inside))
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
		stages := releaseStages
		if f.Nested {
			stages = strings.Replace(stages, "  package = local.mains[matrix.cmd]\n", "  dir     = local.mains[matrix.cmd].module\n  package = local.mains[matrix.cmd].package\n", 1)
		}
		if f.Stamp == "" {
			stages = strings.Replace(stages, stampLine, "", 1)
		} else {
			stages = strings.Replace(stages, quote(defaultStamp), quote(f.Stamp), 1)
		}
		if f.BuildInfo != "" {
			stages = strings.Replace(stages, "\n  size {", "\n  # "+f.BuildInfo+" reads the version that this stamps.\n  buildvcs = true\n\n  size {", 1)
		}
		w.WriteString(stages)
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

const stampLine = "  stamp   = { \"" + defaultStamp + "\" = var.version }\n"

const releaseStages = `
stage "go_build" "bin" {
  matrix = {
    platform = local.platforms
    cmd      = keys(local.mains)
  }
  package = local.mains[matrix.cmd]
  output  = "${matrix.cmd}_${var.version}_${matrix.os}_${matrix.arch}/${matrix.cmd}${matrix.exe}"
` + stampLine + `
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
