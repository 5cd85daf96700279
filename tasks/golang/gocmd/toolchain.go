package gocmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	goversion "go/version"

	version "github.com/hashicorp/go-version"

	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// A Toolchain is a Go distribution on this host.
type Toolchain struct {
	Version string // "go1.26.8"; for a development build the first line of VERSION
	Root    string // GOROOT, absolute
	Bin     string // the go command, absolute
	// Release: Version names the toolchain's bytes wherever it is installed.
	// A development build must be told apart by the content of Bin.
	Release bool
}

// FindToolchain returns the Go toolchain that satisfies wanted: "" (whatever
// is on PATH), an exact version ("1.26.8", "go1.26.8", "1.27rc1"), a language
// version ("1.26": any of its releases) or a constraint (">= 1.25, < 1.27").
// PATH is preferred; then carried, directories that goproxy.InstallToolchain
// fills; then the module cache, ~/sdk and folders beside the others are looked
// at. With nothing wanted and no Go on PATH, the newest that was carried is it.
// It starts no process and fetches nothing.
//
// The error says what was found, what is wanted and how to get it.
func FindToolchain(wanted string, env func(string) (string, bool), lookPath func(string) (string, error), carried ...string) (*Toolchain, error) {
	accept, err := acceptance(wanted)
	if err != nil {
		return nil, err
	}
	s := &search{env: env, accept: accept}
	if bin, err := lookPath("go"); err != nil {
		s.seen = append(s.seen, "PATH: "+err.Error())
	} else if tc := s.onPath(bin); tc != nil {
		return tc, nil
	}
	if tc := s.among(carried); tc != nil {
		return tc, nil
	}
	if wanted == "" {
		return nil, s.failure(wanted)
	}
	best := s.elsewhere()
	if best == nil {
		return nil, s.failure(wanted)
	}
	return best, nil
}

// A search looks for a toolchain and remembers what it saw.
type search struct {
	env    func(string) (string, bool)
	accept func(version string) bool
	roots  []string // GOROOTs on PATH: others may stand beside them
	seen   []string // "go1.25.1 in /usr/local/go"
}

// onPath looks at the go command that PATH names, through symbolic links.
func (s *search) onPath(bin string) *Toolchain {
	if abs, err := filepath.Abs(bin); err == nil {
		bin = abs
	}
	if real, err := filepath.EvalSymlinks(bin); err == nil {
		bin = real
	}
	root := filepath.Dir(filepath.Dir(bin))
	tc, err := readToolchain(root)
	if err != nil {
		// Distributions link or wrap the command; GOROOT then says where.
		alt, ok := s.env("GOROOT")
		if !ok || alt == "" {
			s.seen = append(s.seen, fmt.Sprintf("%s: %v", bin, err))
			return nil
		}
		if tc, err = readToolchain(alt); err != nil {
			s.seen = append(s.seen, fmt.Sprintf("%s: %v", alt, err))
			return nil
		}
	}
	s.roots = append(s.roots, tc.Root)
	return s.take(tc)
}

// take returns tc if it is what is wanted.
func (s *search) take(tc *Toolchain) *Toolchain {
	if s.accept(tc.Version) {
		return tc
	}
	s.seen = append(s.seen, tc.Version+" in "+tc.Root)
	return nil
}

// among returns the newest that fits of the toolchains that were carried here.
func (s *search) among(carried []string) *Toolchain {
	var best *Toolchain
	for _, dir := range carried {
		for _, root := range goproxy.ToolchainsIn(dir, runtime.GOOS+"-"+runtime.GOARCH) {
			best = s.newer(best, root)
		}
	}
	return best
}

// newer is the toolchain in root if it fits and is newer than best, which may be
// nil, and otherwise best.
func (s *search) newer(best *Toolchain, root string) *Toolchain {
	s.roots = append(s.roots, root)
	tc, err := readToolchain(root)
	if err != nil || s.take(tc) == nil || best != nil && goversion.Compare(tc.Version, best.Version) <= 0 {
		return best
	}
	return tc
}

// Satisfies reports whether a toolchain of some version is what is wanted, in
// the words of FindToolchain.
func Satisfies(wanted, version string) bool {
	accept, err := acceptance(wanted)
	return err == nil && accept(version)
}

// elsewhere looks where Go's own tools put further toolchains. Of several that
// fit, the newest is chosen.
func (s *search) elsewhere() *Toolchain {
	var best *Toolchain
	for _, pattern := range s.patterns() {
		roots, err := filepath.Glob(pattern)
		if err != nil || len(roots) == 0 {
			continue
		}
		for _, root := range roots {
			if !slices.Contains(s.roots, root) {
				best = s.newer(best, root)
			}
		}
	}
	return best
}

// patterns are the places where toolchains are kept, as globs.
func (s *search) patterns() []string {
	var out []string
	for _, cache := range s.moduleCaches() {
		out = append(out, filepath.Join(escapeGlob(cache), "golang.org",
			"toolchain@v0.0.1-go*."+runtime.GOOS+"-"+runtime.GOARCH))
	}
	if home := s.home(); home != "" {
		out = append(out, filepath.Join(escapeGlob(home), "sdk", "go*"))
	}
	if runtime.GOOS != "windows" {
		out = append(out, "/usr/local/go*", "/usr/lib/go-*")
	}
	for _, root := range s.roots {
		out = append(out, filepath.Join(escapeGlob(filepath.Dir(root)), "go*"))
	}
	return out
}

// moduleCaches returns where the module cache may be, as the environment says.
func (s *search) moduleCaches() []string {
	if v, ok := s.env("GOMODCACHE"); ok && v != "" {
		return []string{v}
	}
	var out []string
	if v, ok := s.env("GOPATH"); ok && v != "" {
		for _, p := range filepath.SplitList(v) {
			out = append(out, filepath.Join(p, "pkg", "mod"))
		}
		return out
	}
	if home := s.home(); home != "" {
		out = append(out, filepath.Join(home, "go", "pkg", "mod"))
	}
	return out
}

func (s *search) home() string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	v, _ := s.env(name)
	return v
}

// failure says what was looked for and seen, and how to get it.
func (s *search) failure(wanted string) error {
	var b strings.Builder
	if wanted == "" {
		b.WriteString("find Go toolchain: no go command")
	} else {
		fmt.Fprintf(&b, "find Go toolchain: want %s", display(wanted))
	}
	for _, line := range s.seen {
		b.WriteString("; found " + line)
	}
	if len(s.seen) == 0 {
		b.WriteString("; found none on PATH")
	}
	if wanted == "" {
		b.WriteString("; install Go from https://go.dev/dl and put its bin directory on PATH")
		return errors.New(b.String())
	}
	b.WriteString("; looked on PATH, in the module cache, in ~/sdk and next to them")
	if v := exactVersion(wanted); v != "" {
		fmt.Fprintf(&b, "; to get it: `go install golang.org/dl/%[1]s@latest && %[1]s download`, or `GOTOOLCHAIN=%[1]s go version`", v)
	} else {
		b.WriteString("; install a matching Go from https://go.dev/dl and put its bin directory on PATH")
	}
	return errors.New(b.String())
}

// readToolchain reads what a GOROOT says of itself.
func readToolchain(root string) (*Toolchain, error) {
	bin := filepath.Join(root, "bin", "go"+Exe(runtime.GOOS, runtime.GOARCH))
	if fi, err := os.Stat(bin); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", bin)
	}
	text, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		// A checkout of Go's own repository has no VERSION, or VERSION.cache.
		text, err = os.ReadFile(filepath.Join(root, "VERSION.cache"))
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	v := strings.TrimSpace(line)
	if v == "" {
		return nil, fmt.Errorf("%s: empty VERSION", root)
	}
	return &Toolchain{Version: v, Root: root, Bin: bin, Release: isRelease(v)}, nil
}

// isRelease reports whether v is the name of a published toolchain, such as
// go1.26.8 or go1.27rc1, without "devel", experiments or a vendor's suffix.
func isRelease(v string) bool {
	return goversion.IsValid(v) && !strings.ContainsAny(v, " -+")
}

// acceptance turns what a user wants into a test of a VERSION.
func acceptance(wanted string) (func(string) bool, error) {
	wanted = strings.TrimSpace(wanted)
	if wanted == "" {
		return func(string) bool { return true }, nil
	}
	if v := exactVersion(wanted); v != "" {
		return func(have string) bool { return have == v }, nil
	}
	if v := "go" + strings.TrimPrefix(wanted, "go"); goversion.IsValid(v) {
		// A language version: any release of it.
		return func(have string) bool { return goversion.Lang(have) == v }, nil
	}
	c, err := version.NewConstraint(wanted)
	if err != nil {
		return nil, fmt.Errorf("go version %q: want a version such as \"1.26.8\", a language version such as \"1.26\" or a constraint such as \">= 1.25\"", wanted)
	}
	return func(have string) bool {
		v, err := semantic(have)
		return err == nil && c.Check(v)
	}, nil
}

// exactVersion returns the toolchain's name if wanted names exactly one:
// a patch release, a release candidate or a beta.
func exactVersion(wanted string) string {
	v := "go" + strings.TrimPrefix(strings.TrimSpace(wanted), "go")
	if goversion.IsValid(v) && goversion.Lang(v) != v {
		return v
	}
	return ""
}

// semantic turns "go1.27rc1" into the semantic version 1.27.0-rc1, which is
// what constraints are checked against.
func semantic(have string) (*version.Version, error) {
	v, _, _ := strings.Cut(strings.TrimPrefix(have, "go"), " ")
	v, _, _ = strings.Cut(v, "-")
	if i := strings.IndexFunc(v, func(r rune) bool { return r >= 'a' && r <= 'z' }); i > 0 {
		v = v[:i] + ".0-" + v[i:]
	}
	return version.NewVersion(v)
}

// display writes a wanted version as Go names toolchains.
func display(wanted string) string {
	if v := exactVersion(wanted); v != "" {
		return v
	}
	return "go " + strings.TrimPrefix(wanted, "go")
}

// escapeGlob makes a path stand for itself in a pattern. Windows has no
// escapes in patterns; its paths hold none of the characters but brackets.
func escapeGlob(p string) string {
	if runtime.GOOS == "windows" {
		return strings.ReplaceAll(p, "[", "?")
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(p)
}
