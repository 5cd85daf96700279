package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
)

// A Program is a program of the host that a step runs: by what name, and the
// file that the name stands for on this host. The file's place is no part of
// the key, its content is.
type Program struct {
	Name string
	Path string // absolute; empty: the host has none
	// Missing says why the program that the step needs was not found, and
	// where it is asked for. It is the step's failure, not the file's
	// mistake: what does not need the step can be done without the program.
	Missing string

	trees programTrees
}

// FindProgram resolves the name of a program that is asked for at the given
// place. Where the host has none, the Program says so when its step is looked
// up.
func (b *Block) FindProgram(at hcl.Range, name string) Program {
	missing := func(why string) Program {
		return Program{Name: name, Missing: fmt.Sprintf("%s:%d: program %q not found: %s", at.Filename, at.Start.Line, name, why)}
	}
	if filepath.IsAbs(name) {
		if _, err := os.Stat(name); err != nil {
			return missing("there is no such file on this host")
		}
		return Program{Name: name, Path: name, trees: programTrees{b.Project.Memo}}
	}
	p, err := b.Project.FindTool(name)
	if err != nil {
		return missing("it is in none of the directories on PATH; install it, or put the directory that holds it there")
	}
	return Program{Name: name, Path: p, trees: programTrees{b.Project.Memo}}
}

// Programs is the InputDiscoverer of a step that runs programs of the host. It makes
// one fact of each, "tool <name>": the digest of the file at the end of all
// links or, for the Go command, its version, which says the same on every
// host. A program outside the system's directories has a second, "tree <name>":
// the digest of what it was installed with, which steps see. Of the system's
// directories nothing is in a key but the programs that are named.
type Programs []Program

// Add appends p unless a program of that name is there.
func (ps Programs) Add(p Program) Programs {
	if slices.ContainsFunc(ps, func(o Program) bool { return o.Name == p.Name }) {
		return ps
	}
	return append(ps, p)
}

// ProgramsOf returns the programs of the host that a step runs, as far as its stage
// type knows them by name.
func ProgramsOf(s *engine.Step) Programs {
	if l, ok := s.Discoverer.(interface{ Programs() Programs }); ok {
		return l.Programs()
	}
	return nil
}

// Programs returns ps: see ProgramsOf.
func (ps Programs) Programs() Programs { return ps }

// Discover implements engine.InputDiscoverer. The facts are sorted by name.
func (ps Programs) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	var missing []error
	for _, p := range ps {
		if p.Missing != "" {
			missing = append(missing, errors.New(p.Missing))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return engine.Discovery{}, err
	}
	var l engine.Discovery
	for _, p := range ps {
		if err := ctx.Err(); err != nil {
			return engine.Discovery{}, err
		}
		facts, err := p.identity(files)
		if err != nil {
			return engine.Discovery{}, err
		}
		l.Facts = append(l.Facts, facts...)
	}
	slices.SortFunc(l.Facts, func(a, b engine.Fact) int { return strings.Compare(a.Name, b.Name) })
	return l, nil
}

// TreeFact begins the name of the fact that says what is in a program's tree.
const TreeFact = "tree "

func (p Program) identity(files engine.Files) ([]engine.Fact, error) {
	tool := func(id string) engine.Fact { return engine.Fact{Name: "tool " + p.Name, Value: id} }
	if p.Path == "" {
		return []engine.Fact{tool("absent")}, nil
	}
	resolve := filepath.EvalSymlinks
	if r, ok := files.(interface{ Resolve(string) (string, error) }); ok {
		resolve = r.Resolve // once a run, for all steps
	}
	file, err := resolve(p.Path)
	if err != nil {
		return nil, fmt.Errorf("identify program %s: %w", p.Name, err)
	}
	if v, ok := goVersion(file); ok {
		return []engine.Fact{tool(v)}, nil
	}
	d, err := files.Digest(filepath.ToSlash(file))
	if err != nil {
		return nil, fmt.Errorf("identify program %s: %w", p.Name, err)
	}
	facts := []engine.Fact{tool("sha256:" + d.Hex())}
	with, err := p.trees.of(file).Digest(files)
	if err != nil {
		return nil, fmt.Errorf("identify program %s: %w", p.Name, err)
	}
	if with != "" {
		facts = append(facts, engine.Fact{Name: TreeFact + p.Name, Value: with})
	}
	return facts, nil
}

// goVersion returns the release that the file belongs to if it is go or gofmt
// in the bin directory of a Go release. Development trees do not count: their
// version does not say what they do.
func goVersion(file string) (string, bool) {
	name := strings.TrimSuffix(filepath.Base(file), ".exe")
	if name != "go" && name != "gofmt" {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "VERSION"))
	if err != nil {
		return "", false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "go1") || strings.ContainsAny(line, " \t") {
		return "", false
	}
	return line, true
}

var _ engine.Memoizable = Programs(nil)

// Costly implements engine.Memoizable.
func (Programs) Costly() bool { return false }

// Query implements engine.Memoizable: which file each program is, at the end of
// all links, and the state of its tree. The file's content is read through Files.
func (ps Programs) Query(*engine.NamedRoots) (string, error) {
	var b strings.Builder
	for _, p := range ps {
		if p.Missing != "" {
			return "", errors.New(p.Missing)
		}
		file, state := "", ""
		if p.Path != "" {
			var err error
			if file, err = filepath.EvalSymlinks(p.Path); err != nil {
				return "", fmt.Errorf("identify program %s: %w", p.Name, err)
			}
		}
		version, ok := goVersion(file)
		if file != "" && !ok {
			var err error
			if state, err = p.trees.of(file).State(); err != nil {
				return "", fmt.Errorf("identify program %s: %w", p.Name, err)
			}
		}
		fmt.Fprintf(&b, "program %q %q %q %q\n", p.Name, file, version, state)
	}
	return b.String(), nil
}
