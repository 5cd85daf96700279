package goproxy

import (
	"context"
	"errors"
	"fmt"
	goversion "go/version"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// toolchainModule is the module that the go command fetches toolchains as.
const toolchainModule = "golang.org/toolchain"

// A Toolchain names a Go release for the host that runs it.
type Toolchain struct {
	Version string // "go1.26.8"
	Host    string // "linux-amd64"
}

// String is also the name of the toolchain's directory.
func (t Toolchain) String() string { return t.Version + "." + t.Host }

// check refuses what is no release or would lead out of a directory.
func (t Toolchain) check() error {
	if !goversion.IsValid(t.Version) || goversion.Lang(t.Version) == t.Version && goversion.Compare(t.Version, "go1.21") >= 0 {
		return fmt.Errorf("%q is not a release of Go, such as go1.26.8", t.Version)
	}
	os, arch, ok := strings.Cut(t.Host, "-")
	plain := func(s string) bool {
		return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	}
	if !ok || !plain(os) || !plain(arch) {
		return fmt.Errorf("%q is not a host, such as linux-amd64", t.Host)
	}
	return nil
}

// Module is the module version whose zip is the toolchain.
func (t Toolchain) Module() module.Version {
	return module.Version{Path: toolchainModule, Version: "v0.0.1-" + t.String()}
}

// Toolchains returns the toolchains among modules.
func (r *Report) Toolchains() []Toolchain {
	var out []Toolchain
	for _, m := range r.Modules {
		if t, ok := asToolchain(m.Version); ok && m.Sum != "" {
			out = append(out, t)
		}
	}
	return out
}

func asToolchain(m module.Version) (Toolchain, bool) {
	name, ok := strings.CutPrefix(m.Version, "v0.0.1-")
	if m.Path != toolchainModule || !ok {
		return Toolchain{}, false
	}
	i := strings.LastIndex(name, ".")
	if i < 0 {
		return Toolchain{}, false
	}
	t := Toolchain{name[:i], name[i+1:]}
	return t, t.check() == nil
}

// InstallOptions are what InstallToolchain goes by.
type InstallOptions struct {
	Options
	// TrustRecord lets a sum that was recorded beside the tree stand in for a
	// proof. It is as good as the signature on what carried the tree, so it
	// is for callers who have verified that.
	TrustRecord bool
	// Verified is what Verify has just said of this very tree, without an error,
	// while nobody else wrote there: the zip, which is large, is not hashed once
	// more. Nil: it is verified here.
	Verified *Report
}

// ErrNoToolchain says that a tree does not hold a toolchain.
var ErrNoToolchain = errors.New("it is not among the modules")

// InstallToolchain unpacks a toolchain of the tree at dir to
// <dest>/go1.26.8.linux-amd64 and returns that directory, a GOROOT. The zip is
// verified first; without proof it is refused. Files are read-only, commands
// executable. The directory appears by rename when all of it is there and has
// reached the disk; if it is there already, nothing is done.
func InstallToolchain(ctx context.Context, dir string, t Toolchain, dest string, o InstallOptions) (string, error) {
	if err := t.check(); err != nil {
		return "", fmt.Errorf("install toolchain: %w", err)
	}
	root := filepath.Join(dest, t.String())
	if installed(root, t) {
		return root, nil
	}
	if !Has(dir, t.Module()) {
		return "", fmt.Errorf("install toolchain %s: %w", t, ErrNoToolchain)
	}
	if err := verifyToolchain(dir, t, o); err != nil {
		return "", fmt.Errorf("install toolchain %s: %w", t, err)
	}
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return "", fmt.Errorf("install toolchain %s: %w", t, err)
	}
	if err := install(ctx, dir, t, root); err != nil {
		return "", fmt.Errorf("install toolchain %s: %w", t, err)
	}
	return root, nil
}

// installed reports whether a toolchain was unpacked to root. Its directory is
// renamed into place whole, so its VERSION says it all.
func installed(root string, t Toolchain) bool {
	text, err := readSmall(filepath.Join(root, "VERSION"))
	line, _, _ := strings.Cut(string(text), "\n")
	return err == nil && strings.TrimSpace(line) == t.Version
}

// verifyToolchain verifies the zip alone, unless that was done.
func verifyToolchain(dir string, t Toolchain, o InstallOptions) error {
	db, err := ParseDatabase(o.Database)
	if err != nil {
		return err
	}
	m, known := o.Verified.find(t.Module())
	if !known {
		v, err := newVerifier(dir, db, o.Sums)
		if err != nil {
			return err
		}
		if m, err = v.version(&tree{dir: dir}, files{Version: t.Module(), zip: true}); err != nil {
			return err
		}
	}
	if m.Evidence == Unverified || m.Evidence == ByRecord && !o.TrustRecord {
		return &ProofError{t.Module(), db.Name, errors.New("there is none, and no go.sum names it")}
	}
	return nil
}

// find returns what a report says of a module's zip; r may be nil.
func (r *Report) find(m module.Version) (Module, bool) {
	if r == nil {
		return Module{}, false
	}
	i := slices.IndexFunc(r.Modules, func(x Module) bool { return x.Version == m && x.Sum != "" })
	if i < 0 {
		return Module{}, false
	}
	return r.Modules[i], true
}

// install unpacks beside root and renames.
func install(ctx context.Context, dir string, t Toolchain, root string) (err error) {
	lock := flock.New(root + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if installed(root, t) { // another process was faster
		return nil
	}
	name, err := (&tree{dir: dir}).at(t.Module(), "zip")
	if err != nil {
		return err
	}
	if err := clearUnfinished(root); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(root), atomicfile.TempPrefix+filepath.Base(root))
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	// Unzip refuses names that lead elsewhere or differ by case only, and
	// more than 500 MiB, as the go command does.
	if err := zip.Unzip(tmp, t.Module(), name); err != nil {
		return err
	}
	if err := finish(ctx, tmp, t); err != nil {
		return err
	}
	if err := syncTree(tmp); err != nil {
		return err
	}
	return inuse.Rename(tmp, root)
}

// clearUnfinished takes away what an earlier try or somebody else has left
// where the toolchain is to be.
func clearUnfinished(root string) error {
	for _, name := range []string{root, filepath.Join(filepath.Dir(root), atomicfile.TempPrefix+filepath.Base(root))} {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// finish does what the go command does with an unpacked toolchain, since a
// module's zip holds neither permissions nor further go.mod files: commands
// become executable, and a _go.mod gets its name. All files become read-only;
// directories stay as they are, so that the cache can be removed.
func finish(ctx context.Context, root string, t Toolchain) error {
	var renamed []string
	err := paths.Walk(root, func(name, rel string, e fs.DirEntry) error {
		if ctx.Err() != nil || e.IsDir() {
			return ctx.Err()
		}
		if e.Name() == "_go.mod" {
			renamed = append(renamed, name)
		}
		mode := fs.FileMode(0o444)
		if command(rel) {
			mode = 0o555
		}
		return os.Chmod(name, mode)
	})
	if err != nil {
		return err
	}
	for _, name := range renamed {
		if err := copyMod(name); err != nil {
			return err
		}
	}
	if !installed(root, t) {
		return fmt.Errorf("its VERSION is not %s", t.Version)
	}
	return nil
}

func copyMod(name string) error {
	text, err := readSmall(name)
	if err != nil {
		return err
	}
	to := filepath.Join(filepath.Dir(name), "go.mod")
	if err := os.WriteFile(to, text, 0o444); err != nil {
		return err
	}
	return os.Chmod(to, 0o444)
}

// command reports whether a file of a GOROOT is executable.
func command(rel string) bool {
	exec := func(base string) bool {
		ok, _ := path.Match("go_?*_?*_exec", base) // the pattern is well-formed
		return ok
	}
	return strings.HasPrefix(rel, "bin/") || strings.HasPrefix(rel, "pkg/tool/") ||
		strings.HasPrefix(rel, "lib/") && exec(path.Base(rel))
}

// ToolchainsIn returns the directories below dest that InstallToolchain made
// for a host, newest version last.
func ToolchainsIn(dest, host string) []string {
	entries, err := os.ReadDir(dest)
	if err != nil {
		return nil
	}
	var found []Toolchain
	for _, e := range entries {
		v, ok := strings.CutSuffix(e.Name(), "."+host)
		if t := (Toolchain{v, host}); ok && e.IsDir() && t.check() == nil {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b Toolchain) int { return goversion.Compare(a.Version, b.Version) })
	return lists.Map(found, func(t Toolchain) string { return filepath.Join(dest, t.String()) })
}
