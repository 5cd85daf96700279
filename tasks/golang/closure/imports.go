package closure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// ImportsPath is where the text of all imports lands in the input root.
const ImportsPath = ".airbuild/imports"

// Imports is the InputDiscoverer of what go mod tidy and go mod vendor read of a
// module's source: which packages import what, in all files whatever their
// build constraints, tests included. A change in the body of a function does
// not change it.
type Imports struct {
	Roots  []string // directories of modules, project-relative
	Dist   string
	Vendor string // a directory that is no source
}

// Discover implements engine.InputDiscoverer. The imports of a file are remembered by its
// digest, so that an unchanged file is not parsed again.
func (l *Imports) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	s := &importScan{Imports: l, files: files, known: loadImports(files), lines: map[string]bool{}, used: map[string][]string{}}
	for _, root := range l.Roots {
		if err := s.dir(ctx, root, root); err != nil {
			return engine.Discovery{}, fmt.Errorf("list imports: %w", err)
		}
	}
	if s.parsed > 0 {
		if err := s.save(); err != nil {
			return engine.Discovery{}, err
		}
	}
	text := strings.Join(slices.Sorted(maps.Keys(s.lines)), "\n") + "\n"
	return engine.Discovery{
		Inputs: []engine.Input{engine.TextInput(ImportsPath, []byte(text))},
		Notes:  []string{fmt.Sprintf("listed from the source: %d imports by %d files", len(s.lines), s.count)},
	}, nil
}

// Costly implements engine.Memoizable.
func (*Imports) Costly() bool { return true }

// Query implements engine.Memoizable.
func (l *Imports) Query(*engine.NamedRoots) (string, error) {
	return fmt.Sprintf("imports %q %q %q", l.Roots, l.Dist, l.Vendor), nil
}

// An importScan walks modules.
type importScan struct {
	*Imports
	files  engine.Files
	known  map[string][]string // by digest: lines without the directory
	used   map[string][]string // of those, what this scan met
	lines  map[string]bool
	count  int
	parsed int
}

// dir takes in a directory of the module at root, and those below it that are
// no modules of their own.
func (s *importScan) dir(ctx context.Context, root, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := s.files.ReadSources(dir)
	if err != nil {
		return err
	}
	if dir != root && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "go.mod" }) {
		return nil
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if at == s.Dist || at == s.Vendor || !PackageDir(e.Name()) {
				continue
			}
			err = s.dir(ctx, root, at)
		case path.Ext(e.Name()) == ".go" && PackageDir(e.Name()):
			err = s.file(dir, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file takes in the imports of one file.
func (s *importScan) file(dir, at string) error {
	d, err := s.files.Digest(at)
	if err != nil {
		return err
	}
	key := d.String()
	lines, ok := s.known[key]
	if !ok {
		if lines, err = readImports(filepath.Join(s.files.Root(), filepath.FromSlash(at))); err != nil {
			return err
		}
		s.parsed++
	}
	s.used[key] = lines
	s.count++
	for _, line := range lines {
		s.lines[dir+"\t"+line] = true
	}
	return nil
}

// readImports returns one line an import: the path, and the file's build
// constraint if that can keep it out of every build. A file that does not
// parse counts by what could be read: the go command will say what is wrong.
func readImports(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := []string{}
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if f == nil {
		return lines, nil
	}
	if err != nil {
		lines = append(lines, "(does not parse)")
	}
	tags := ""
	for _, g := range f.Comments {
		for _, c := range g.List {
			if c.Pos() < f.Package && constraint.IsGoBuild(c.Text) && strings.Contains(c.Text, "ignore") {
				tags = "\t" + c.Text
			}
		}
	}
	for _, i := range f.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			lines = append(lines, p+tags)
		}
	}
	return lists.Unique(lines), nil
}

// importMemory is the form in which parsed imports are kept, in
// <state>/closures/imports.json.
type importMemory struct {
	Version int
	Files   map[string][]string
}

func importsFile(files engine.Files) string {
	return filepath.Join(files.State(), "closures", "imports.json")
}

// loadImports returns what is remembered; damaged or absent is nothing.
func loadImports(files engine.Files) map[string][]string {
	b, err := os.ReadFile(importsFile(files))
	if err != nil {
		return nil
	}
	var m importMemory
	if json.Unmarshal(b, &m) != nil || m.Version != recordVersion {
		return nil
	}
	return m.Files
}

// save remembers what was known and what this scan parsed. Contents that no
// scan has met for long are dropped when there are too many.
func (s *importScan) save() error {
	keep := s.used
	if len(s.known) < 4*len(s.used)+1000 {
		maps.Copy(keep, s.known)
	}
	b, err := json.Marshal(importMemory{recordVersion, keep})
	if err != nil {
		return errors.Join(errors.New("remember imports"), err)
	}
	return gocmd.WriteState(importsFile(s.files), b)
}
