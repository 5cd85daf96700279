package closure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// recordVersion is the version of the form below. A record of another version
// is not read.
const recordVersion = 4

// A Record is a closure as it was listed, with everything that it depends on. It is
// kept in <state>/closures/<sha256 of the query>.json, written beside and renamed;
// losing it costs listing again.
//
// engine/memo has the input root of a step, and is valid only while every input is
// unchanged. A record has the list of inputs, and stays valid when files change that
// do not decide it (embedded files, what tests read). It is read after each step that
// ran, to see whether its inputs are still the same ones, and where the inputs
// themselves are needed: after an edit, for explain, for a result that the store has
// lost. Each of these would take another go list where the loader is not sure (180 ms
// for airbuild's own packages), and twice the time of a record where it is.
type Record struct {
	Version int
	// Files are the files whose content decides the closure, with their digest
	// ("" for a file that was not there).
	Files []FileStamp
	Dirs  []dirStamp
	Dist  string // the output directory, whose name does not count
	// Inputs are the closure: where a file lands and, if that is not where it
	// is, its absolute path.
	Inputs  []fileInput
	Embeds  []string     `json:",omitempty"` // patterns of //go:embed, project-relative
	Modules string       // the text at modulesPath
	Native  string       `json:",omitempty"` // the text at nativePath
	Unseen  []unseenPart `json:",omitempty"`
	Lost    string       `json:",omitempty"` // such a record is not saved
	Note    string
}

// An unseenPart is an engine.Unseen: the digest as its hash and size.
type unseenPart struct {
	P, D string
	C    bool `json:",omitempty"`
}

type FileStamp struct{ P, D string }

// A dirStamp is names of a directory, hashed.
type dirStamp struct {
	P string
	K names
	N string
}

// names says which names of a directory count; each kind includes the one
// before.
type names uint8

const (
	sourceNames  names = 1 + iota // files that the go command looks at
	packageNames                  // directories that a pattern with "..." goes into
	allNames
)

type fileInput struct {
	P string
	F string `json:",omitempty"`
}

// Discovery is what the engine wants of a record.
func (r *Record) Discovery() engine.Discovery {
	l := engine.Discovery{Inputs: make([]engine.Input, 0, len(r.Inputs)+1)}
	for _, in := range r.Inputs {
		l.Inputs = append(l.Inputs, engine.Input{Kind: engine.FromFile, Path: in.P, File: in.F})
	}
	l.Inputs = append(l.Inputs, engine.TextInput(ModulesPath, []byte(r.Modules)))
	if r.Native != "" {
		l.Inputs = append(l.Inputs, engine.TextInput(NativePath, []byte(r.Native)))
	}
	for _, u := range r.Unseen {
		d, _ := action.ParseDigest(u.D)
		l.Unseen = append(l.Unseen, engine.Unseen{Part: u.P, Digest: d, Checks: u.C})
	}
	l.Uncached = r.Lost
	l.Notes = []string{r.Note}
	return l
}

// record ends the gathering: every file and directory that the closure depends on
// gets its stamp.
func (g *gatherer) record() (*Record, error) {
	for _, p := range g.c.Patterns {
		if i := strings.Index(p, "..."); i >= 0 && (strings.HasPrefix(p, ".") || i == 0) {
			g.watchPackages(path.Join(g.c.Dir, path.Dir(p[:i]+"x")))
		}
	}
	r := &Record{Version: recordVersion, Dist: g.c.Dist}
	for _, p := range slices.Sorted(maps.Keys(g.depends)) {
		d, err := stampFile(g.files, p)
		if err != nil {
			return nil, err
		}
		r.Files = append(r.Files, FileStamp{p, d})
	}
	for _, p := range slices.Sorted(maps.Keys(g.dirs)) {
		n, err := stampDir(g.files, p, g.dirs[p], r.Dist)
		if err != nil {
			return nil, err
		}
		r.Dirs = append(r.Dirs, dirStamp{p, g.dirs[p], n})
	}
	r.Embeds = slices.Sorted(maps.Keys(g.patterns))
	g.sorted = slices.Sorted(maps.Keys(g.inputs))
	for _, p := range g.sorted {
		if !g.covered(p) && !(g.data[p] && g.above(p)) {
			r.Inputs = append(r.Inputs, fileInput{p, g.inputs[p]})
		}
	}
	for _, line := range slices.Sorted(maps.Keys(g.modules)) {
		r.Modules += line + "\n"
	}
	for _, line := range slices.Sorted(maps.Keys(g.host)) {
		r.Native += line + "\n"
	}
	for _, u := range g.unseen {
		r.Unseen = append(r.Unseen, unseenPart{u.Part, u.Digest.String(), u.Checks})
	}
	r.Lost = strings.Join(g.lost, "; ")
	r.Note = fmt.Sprintf("%s: %s: %d packages outside the standard library, %d files, %d modules",
		g.how, strings.Join(g.c.Patterns, " "), g.pkgs, len(r.Inputs), strings.Count(r.Modules, "module "))
	if len(g.idDirs) > 0 {
		r.Note += "; the build id depends on the directory: " + strings.Join(g.idDirs, ", ")
	}
	return r, nil
}

// covered reports whether a file lies in a directory that is an input as a
// whole.
func (g *gatherer) covered(p string) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if _, ok := g.inputs[dir]; ok {
			return true
		}
	}
	return false
}

// above reports whether other inputs lie below p, which then is a link to a
// directory that packages were found in.
func (g *gatherer) above(p string) bool {
	i, _ := slices.BinarySearch(g.sorted, p+"/")
	return i < len(g.sorted) && strings.HasPrefix(g.sorted[i], p+"/")
}

// watchPackages watches every directory that a pattern with "..." may find
// packages in.
func (g *gatherer) watchPackages(dir string) {
	entries, err := g.files.ReadSources(dir)
	if err != nil {
		return
	}
	g.watch(dir, packageNames)
	for _, e := range entries {
		if sub := path.Join(dir, e.Name()); e.IsDir() && PackageDir(e.Name()) && sub != g.c.Dist {
			g.watchPackages(sub)
		}
	}
}

// PackageDir reports whether the go command looks for packages in a directory
// of this name.
func PackageDir(name string) bool {
	return name[0] != '.' && name[0] != '_' && name != "testdata" && name != "vendor"
}

// stampFile returns the digest of a file, "" if there is none.
func stampFile(files engine.Files, p string) (string, error) {
	d, err := files.Digest(p)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("digest %s: %w", p, err)
	}
	return d.String(), nil
}

// stampDir hashes the names in a directory, "" if there is none.
func stampDir(files engine.Files, p string, kind names, dist string) (string, error) {
	read := files.ReadSources
	if kind == allNames {
		read = files.ReadDir
	}
	entries, err := read(p)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read directory %s: %w", p, err)
	}
	var b strings.Builder
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, ".airbuild") || e.IsDir() && path.Join(p, name) == dist:
			continue
		case e.IsDir():
			if kind == sourceNames || kind == packageNames && !PackageDir(name) {
				continue
			}
			name += "/"
		case kind != allNames && !load.SourceName(name):
			continue
		}
		b.WriteString(name)
		b.WriteByte(0)
	}
	return action.Of([]byte(b.String())).Hex(), nil
}

// A memory keeps the record of one query.
type memory struct {
	files engine.Files
	name  string
}

func (m memory) path() string {
	return filepath.Join(m.files.State(), "closures", m.name+".json")
}

// load returns the record if it is there, whole, and still true.
func (m memory) load() *Record {
	b, err := os.ReadFile(m.path())
	if err != nil {
		return nil
	}
	var r Record
	if json.Unmarshal(b, &r) != nil || r.Version != recordVersion || !r.Valid() || !m.holds(&r) {
		return nil
	}
	return &r
}

// Valid refuses a record that this program would not have written: its paths
// become inputs.
func (r *Record) Valid() bool {
	for _, in := range r.Inputs {
		if !fs.ValidPath(in.P) || in.F != "" && !path.IsAbs(in.F) && !filepath.IsAbs(in.F) {
			return false
		}
	}
	return len(r.Files) > 0 && r.Note != ""
}

// holds reports whether everything that the closure depends on is as it was.
func (m memory) holds(r *Record) bool {
	for _, d := range r.Dirs {
		if n, err := stampDir(m.files, d.P, d.K, r.Dist); err != nil || n != d.N {
			return false
		}
	}
	for _, f := range r.Files {
		if d, err := stampFile(m.files, f.P); err != nil || d != f.D {
			return false
		}
	}
	return true
}

// save writes the record. Readers see the old or the new one.
func (m memory) save(r *Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return gocmd.WriteState(m.path(), b)
}
