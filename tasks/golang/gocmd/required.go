package gocmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	goversion "go/version"

	"golang.org/x/mod/modfile"
)

// A Requirement is the Go that a module or workspace asks for, as the go command
// understands it: the newer one of its go line and its toolchain line.
type Requirement struct {
	Version string // "go1.27.0"; empty if nothing is asked for
	File    string // the go.mod or go.work, relative to the project if it lies in it
	Line    string // the line that asks: "go 1.27.0" or "toolchain go1.27.3"
}

// String is "go 1.27.0 in /p/go.mod".
func (r Requirement) String() string { return r.Line + " in " + r.File }

// Required returns the newest requirement of the modules that dirs, relative to
// root, lie in. The go.work above a directory counts before its go.mod, unless GOWORK is off.
// A file that cannot be parsed asks for nothing: the go command names its mistake.
func Required(root string, dirs []string, env func(string) (string, bool)) (Requirement, error) {
	var newest Requirement
	for _, dir := range dirs {
		r, err := requiredIn(filepath.Join(root, filepath.FromSlash(dir)), env)
		if err != nil {
			return Requirement{}, fmt.Errorf("find the Go version that is required: %w", err)
		}
		if goversion.Compare(r.Version, newest.Version) > 0 {
			newest = r
			if rel, err := filepath.Rel(root, r.File); err == nil && filepath.IsLocal(rel) {
				newest.File = filepath.ToSlash(rel)
			}
		}
	}
	return newest, nil
}

func requiredIn(dir string, env func(string) (string, bool)) (Requirement, error) {
	names := []string{"go.work", "go.mod"}
	if work, _ := env("GOWORK"); work == "off" {
		names = names[1:]
	} else if work != "" {
		r, found, err := readRequirement(work)
		if found || err != nil {
			return r, err
		}
	}
	for _, name := range names {
		for at := dir; ; at = filepath.Dir(at) {
			r, found, err := readRequirement(filepath.Join(at, name))
			if found || err != nil {
				return r, err
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return Requirement{}, nil
}

func readRequirement(file string) (_ Requirement, found bool, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Requirement{}, false, nil
	}
	if err != nil {
		if fi, statErr := os.Stat(file); statErr == nil && fi.IsDir() {
			return Requirement{}, false, nil
		}
		return Requirement{}, false, err
	}
	var line *modfile.Go
	var toolchain *modfile.Toolchain
	if filepath.Base(file) == "go.mod" {
		if f, err := modfile.Parse(file, text, nil); err == nil {
			line, toolchain = f.Go, f.Toolchain
		}
	} else if f, err := modfile.ParseWork(file, text, nil); err == nil {
		line, toolchain = f.Go, f.Toolchain
	}
	r := Requirement{File: file}
	if line != nil {
		r.Version, r.Line = "go"+line.Version, "go "+line.Version
	}
	if toolchain != nil && goversion.Compare(toolchain.Name, r.Version) > 0 {
		r.Version, r.Line = toolchain.Name, "toolchain "+toolchain.Name
	}
	return r, true, nil
}

// ChooseToolchain returns the toolchain for what modules require, where no
// toolchain block names one. As the go command does, it takes the one on PATH if
// that is new enough, and otherwise the required one. Where that exact one is not
// on this host it takes the newest of the same language version that is newer,
// then the newest of all. GOTOOLCHAIN counts as for the go command, but nothing
// is fetched.
func ChooseToolchain(r Requirement, env func(string) (string, bool), lookPath func(string) (string, error), carried ...string) (*Toolchain, error) {
	setting, _ := env("GOTOOLCHAIN")
	name, mode, _ := strings.Cut(setting, "+")
	switch {
	case setting == "local":
		return FindToolchain("", env, lookPath, carried...)
	case goversion.IsValid(name) && mode == "":
		return FindToolchain(name, env, lookPath, carried...)
	case goversion.IsValid(name) && goversion.Compare(name, r.Version) > 0:
		r = Requirement{Version: name, File: "the environment", Line: "GOTOOLCHAIN=" + setting}
	}
	if r.Version == "" {
		return FindToolchain("", env, lookPath, carried...)
	}
	if tc, err := FindToolchain("", env, lookPath, carried...); err == nil && goversion.Compare(tc.Version, r.Version) >= 0 {
		return tc, nil
	}
	number := strings.TrimPrefix(r.Version, "go")
	wanted := []string{r.Version, ">= " + number}
	if constraint, ok := sameLanguage(r.Version); ok {
		wanted = []string{r.Version, constraint, ">= " + number}
	}
	var first error
	for _, w := range wanted {
		tc, err := FindToolchain(w, env, lookPath, carried...)
		if err == nil {
			return tc, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("%w (required by %s)", first, r)
}

// sameLanguage is the constraint of releases of the language version of v that
// are not older: ">= 1.27.0, < 1.28".
func sameLanguage(v string) (string, bool) {
	var minor int
	if n, err := fmt.Sscanf(goversion.Lang(v), "go1.%d", &minor); n != 1 || err != nil {
		return "", false
	}
	return fmt.Sprintf(">= %s, < 1.%d", strings.TrimPrefix(v, "go"), minor+1), true
}
