package gocmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	modpath "golang.org/x/mod/module"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// Offline is where Go steps find what they need when no network may be
// touched. Nothing of it is in a key: the same modules come out of a tree as
// out of the network, or they are refused by their sums.
type Offline struct {
	// Carried is the GOPROXY tree of imported bundles, an absolute path;
	// empty if there is none. Whoever imports has verified it.
	Carried string
	// Proxies are further local trees, as entries of GOPROXY: file://….
	Proxies []string
	// Home is where the private module cache, build cache and GOPATH are, an
	// absolute path. Empty means the user's own.
	Home string
	// Database is whose proofs are believed, in the form of GOSUMDB; where
	// there is a carried tree, "off" means the go command's own database.
	Database string
}

// proxies is the value of GOPROXY: local trees only.
func (o *Offline) proxies() string {
	var list []string
	if o.Carried != "" {
		list = append(list, FileURL(filepath.ToSlash(o.Carried)))
	}
	if list = append(list, o.Proxies...); len(list) == 0 {
		return "off"
	}
	return strings.Join(list, ",")
}

// trees are the local trees as directories.
func (o *Offline) trees() []string {
	var dirs []string
	if o.Carried != "" {
		dirs = append(dirs, o.Carried)
	}
	for _, p := range o.Proxies {
		if u, err := url.Parse(p); err == nil && u.Scheme == "file" {
			dir := filepath.FromSlash(u.Path)
			if vol := filepath.VolumeName(strings.TrimPrefix(dir, `\`)); vol != "" {
				dir = dir[1:] // file:///C:/tree
			}
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// ModuleDirs are directories that an offline run may have modules in: a module
// cache and GOPROXY trees.
func (c *Config) ModuleDirs() (dirs []string) {
	if c.Offline == nil {
		return nil
	}
	if c.Offline.Home != "" {
		dirs = append(dirs, filepath.Join(c.Offline.Home, "mod"))
	}
	return append(dirs, c.Offline.trees()...)
}

// lookup answers for the variables that an offline run decides; mine is false
// for all others, which host answers.
func (o *Offline) lookup(name string, host func(string) (string, bool)) (value string, set, mine bool) {
	switch name {
	case "GOPROXY":
		return o.proxies(), true, true
	case "GONOPROXY":
		return "none", true, true
	case "GOVCS":
		return "*:off", true, true
	case "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "SSH_AUTH_SOCK":
		return "", false, true
	case "GOSUMDB":
		return o.sumDB(host)
	}
	if o.Carried != "" {
		switch name {
		case "GOENV", "GOAUTH":
			return "off", true, true
		case "GOPRIVATE", "GOINSECURE":
			return "", true, true
		case "GONOSUMDB":
			return o.noSumDB(host), true, true
		}
	}
	if o.Home != "" {
		switch name {
		case "GOPATH":
			return o.Home, true, true
		case "GOMODCACHE":
			return filepath.Join(o.Home, "mod"), true, true
		case "GOCACHE":
			return filepath.Join(o.Home, "build"), true, true
		case "GOTMPDIR":
			return "", true, true
		}
	}
	return "", false, false
}

// sumDB names the database and, by a file:// address, the tree in which its
// proofs are: with an address the go command asks nobody else. A database that
// the user has switched off stays so as long as nothing was carried.
func (o *Offline) sumDB(host func(string) (string, bool)) (value string, set, mine bool) {
	setting := o.Database
	if setting == "" {
		setting, _ = host("GOSUMDB")
	}
	if f := strings.Fields(setting); o.Carried == "" && len(f) > 0 && f[0] == "off" {
		return "off", true, true
	}
	db, err := goproxy.ParseDatabase(setting)
	if err != nil {
		return setting, true, true // the go command says what is wrong with it
	}
	name := db.Name
	if name != "sum.golang.org" {
		name = db.Key
	}
	dirs := o.trees()
	at := slices.IndexFunc(dirs, func(dir string) bool { return HasProofs(dir, db.Name) })
	tree := filepath.Join(o.Home, "no-tree")
	switch {
	case at >= 0:
		tree = dirs[at]
	case len(dirs) > 0:
		tree = dirs[0]
	case o.Home == "":
		tree = os.DevNull
	}
	return name + " " + FileURL(filepath.ToSlash(filepath.Join(tree, goproxy.SumDBName, filepath.FromSlash(db.Name)))), true, true
}

func HasProofs(dir, database string) bool {
	fi, err := os.Stat(filepath.Join(dir, goproxy.SumDBName, filepath.FromSlash(database), "lookup"))
	return err == nil && fi.IsDir()
}

// noSumDB is the value of GONOSUMDB: what was carried without a proof, which
// was held against go.sum when it was imported. What the user says of private
// modules counts only where modules of the user's are used too.
func (o *Offline) noSumDB(host func(string) (string, bool)) string {
	list := ""
	if len(o.Proxies) > 0 {
		if list, _ = host("GONOSUMDB"); list == "" {
			list, _ = host("GOPRIVATE")
		}
	}
	sums, err := goproxy.TreeSums(o.Carried)
	if err != nil {
		return list // the go command will ask the database, and fail closed
	}
	all := sums.Modules()
	if list != "" {
		all = append(all, list)
	}
	if out := strings.Join(all, ","); len(out) < maxVariable {
		return out
	}
	return "*"
}

// maxVariable bounds a variable that is made of many names: Linux refuses one
// of more than 128 KiB.
const maxVariable = 64 << 10

// An Unavailable error says that something cannot be had without a network,
// and which component of a bundle would bring it.
type Unavailable struct {
	What      string // what this host lacks: "the module example.org/a v1.0.0"
	Component string // "modules", "toolchain/linux-amd64"
	Err       error  // what failed for want of it; may be nil
}

func (e *Unavailable) Error() string {
	s := e.Reason()
	if e.Err != nil {
		s += "\n" + e.Err.Error()
	}
	return s
}

// Reason is the error without what failed.
func (e *Unavailable) Reason() string {
	return fmt.Sprintf("this host lacks %s, and the run is offline; a bundle with the component %q would bring it", e.What, e.Component)
}

func (e *Unavailable) Unwrap() error { return e.Err }

// Lacking is err, or what an offline run should say of it: that modules are
// missing which dir's module requires.
func (c *Config) Lacking(ctx context.Context, dir string, err error) error {
	if c.Offline == nil || err == nil || ctx.Err() != nil {
		return err
	}
	missing, merr := c.MissingModules(ctx, dir)
	switch {
	case merr != nil, len(missing) == 0 && !LacksModules([]byte(err.Error())):
		return err
	case len(missing) == 0:
		return &Unavailable{What: "a module", Component: "modules", Err: err}
	}
	return &Unavailable{What: modulesText(missing), Component: "modules", Err: err}
}

// modulesText names the first modules of a list.
func modulesText(list []modpath.Version) string {
	const most = 3
	names := lists.Map(list[:min(most, len(list))], func(m modpath.Version) string { return m.Path + " " + m.Version })
	text := "the module "
	if len(list) > 1 {
		text = "the modules "
	}
	text += strings.Join(names, ", ")
	if n := len(list) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// lackText is what the go command says where GOPROXY is off or a local tree
// and a module or its proof is not there.
var lackText = regexp.MustCompile(`GOPROXY=off|reading file:///|GOPROXY list is not the empty string, but contains no entries|(?:file:///|sumdb)\S*: (?:no such file or directory|The system cannot find)`)

// LacksModules reports whether a go command's output says that a module could
// not be had from the local trees of an offline run.
func LacksModules(log []byte) bool { return lackText.Match(log) }

// WorksOffline reports whether a step that may use the network can do its
// work without one, because it is about Go modules and there is a local tree
// of them: its own (a go_download stage's), or one that Offline names and that
// has all that the module requires. If it cannot, the error says what would
// help; it is an *Unavailable.
func (c *Config) WorksOffline(ctx context.Context, s *engine.Step) error {
	none := &Unavailable{What: "its result", Component: "actions"}
	switch s.Type {
	case "go_tidy", "go_vendor", "go_download":
	default:
		return none
	}
	if ProxyOf(s) != "" {
		return nil
	}
	if c.Offline == nil || len(c.Offline.trees()) == 0 {
		return &Unavailable{What: "a tree of modules", Component: "modules"}
	}
	missing, err := c.MissingModules(ctx, StepDir(s))
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return &Unavailable{What: modulesText(missing), Component: "modules"}
	}
	return nil
}

// StepDir is where a step works, project-relative.
func StepDir(s *engine.Step) string {
	if s.Command.WorkingDirectory == "" {
		return "."
	}
	return s.Command.WorkingDirectory
}

// UsesModules reports whether a step takes modules from GOPROXY or the module
// cache: it runs the go command, and not on a vendor directory.
func UsesModules(s *engine.Step) bool {
	switch s.Type {
	case "go_build", "go_test", "go_vet", "go_generate":
		return !slices.Contains(s.Command.Arguments, "-mod=vendor") && ProxyOf(s) == ""
	}
	return false
}

// MissingModules returns the modules that the go.mod, or the workspace, which
// governs a project-relative directory requires and that are neither in the
// module cache nor in a local tree, sorted. It looks at names only. A module
// that is required in an older version than the one that is used may be
// missing and not missed: this says what to doubt, not what fails.
func (c *Config) MissingModules(ctx context.Context, dir string) ([]modpath.Version, error) {
	tc, err := c.FoundToolchain()
	if err != nil {
		return nil, err
	}
	cache, err := c.ModCache(ctx, tc)
	if err != nil {
		return nil, fmt.Errorf("find the module cache: %w", err)
	}
	project := os.DirFS(c.Root)
	m, err := FindModule(project, dir, false)
	if err != nil {
		return nil, fmt.Errorf("find the module of %s: %w", dir, err)
	}
	required, err := requirements(project, m)
	if err != nil {
		return nil, err
	}
	var trees []string
	if c.Offline != nil {
		trees = c.Offline.trees()
	}
	trees = append(trees, filepath.Join(cache, "cache", "download"))
	return slices.DeleteFunc(required, func(v modpath.Version) bool {
		if slices.ContainsFunc(trees, func(tree string) bool { return goproxy.Has(tree, v) }) {
			return true
		}
		return unpacked(cache, v)
	}), nil
}

// unpacked reports whether a module lies in the module cache as a directory.
func unpacked(cache string, v modpath.Version) bool {
	p, err := modpath.EscapePath(v.Path)
	if err != nil {
		return false
	}
	ver, err := modpath.EscapeVersion(v.Version)
	if err != nil {
		return false
	}
	fi, err := os.Stat(filepath.Join(cache, filepath.FromSlash(p)+"@"+ver))
	return err == nil && fi.IsDir()
}

// requirements are the module versions that a module's files name, with
// replacements applied, but for those whose source is at hand.
func requirements(project fs.FS, m *Module) ([]modpath.Version, error) {
	var mods []*modfile.File
	own := map[string]bool{}
	var work []*modfile.Replace
	for _, name := range m.Files() {
		text, err := fs.ReadFile(project, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch filepath.Base(name) {
		case "go.work":
			w, err := modfile.ParseWork(name, text, nil)
			if err != nil {
				return nil, err
			}
			work = w.Replace
		case "go.mod":
			f, err := modfile.Parse(name, bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil)
			if err != nil {
				return nil, err
			}
			if f.Module != nil {
				own[f.Module.Mod.Path] = true
			}
			mods = append(mods, f)
		}
	}
	var out []modpath.Version
	for _, f := range mods {
		for _, r := range f.Require {
			v, local := replaced(r.Mod, append(slices.Clone(work), f.Replace...))
			if !local && !own[v.Path] && !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	modpath.Sort(out)
	return out, nil
}

// replaced applies replacements: the first that is for this very version, else
// the first for all.
func replaced(v modpath.Version, rs []*modfile.Replace) (_ modpath.Version, local bool) {
	for _, exact := range []bool{true, false} {
		for _, r := range rs {
			if r.Old.Path == v.Path && (exact && r.Old.Version == v.Version || !exact && r.Old.Version == "") {
				return r.New, r.New.Version == ""
			}
		}
	}
	return v, false
}
