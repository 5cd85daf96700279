package gobinary

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// A Module is a module in a program, as it was used: a replacement in the
// place of what it replaces.
type Module struct {
	Path    string
	Version string // empty: of a directory
	Sum     string // of go.sum, "h1:…", or ""
	// Replaces is the module that this one stands for, "path@version".
	Replaces string
}

// devel is what the go command writes for the version of a directory since Go 1.24.
const devel = "(devel)"

// String is path@version.
func (m Module) String() string {
	if m.Version == "" {
		return m.Path
	}
	return m.Path + "@" + m.Version
}

// Modules are what a program was built from beside its own module and the
// standard library, sorted. Sums of the build come first; a vendored build
// has none, and sums, by path@version, fill in.
func (p *Program) Modules(sums map[string]string) (list []Module) {
	for _, d := range p.Info.Deps {
		list = append(list, moduleOf(d, sums))
	}
	slices.SortFunc(list, func(a, b Module) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(list)
}

func moduleOf(d *debug.Module, sums map[string]string) Module {
	m := Module{Path: d.Path, Version: d.Version, Sum: d.Sum}
	if r := d.Replace; r != nil {
		m = Module{Path: r.Path, Version: r.Version, Sum: r.Sum, Replaces: Module{Path: d.Path, Version: d.Version}.String()}
		if r.Version == "" || r.Version == devel {
			m.Path = d.Path // a directory: its name says nothing elsewhere
		}
	}
	if m.Version == devel {
		m.Version = ""
	}
	if m.Sum == "" {
		m.Sum = sums[m.String()]
	}
	return m
}

// Sums reads the checksums of modules, by path@version, from files in the form
// of go.sum. Files that are not there have none.
func Sums(in fs.FS, names ...string) (map[string]string, error) {
	sums := map[string]string{}
	for _, name := range names {
		f, err := in.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = readSums(f, sums)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return sums, nil
}

func readSums(f fs.File, sums map[string]string) error {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) != 3 || strings.HasSuffix(w[1], "/go.mod") || module.Check(w[0], w[1]) != nil {
			continue
		}
		sums[w[0]+"@"+w[1]] = w[2]
	}
	return lines.Err()
}

// PURL is a module's package URL (https://github.com/package-url/purl-spec).
func (m Module) PURL() string {
	var b strings.Builder
	b.WriteString("pkg:golang/")
	escape(&b, strings.ToLower(m.Path), "/")
	if m.Version != "" {
		b.WriteString("@")
		escape(&b, m.Version, "")
	}
	return b.String()
}

// escape writes s with percent signs for all but what a package URL keeps.
func escape(b *strings.Builder, s, keep string) {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

// Go is the standard library of a program, as a module of the name "stdlib":
// "1.26.8".
func (p *Program) Go() Module {
	version, _, _ := strings.Cut(strings.TrimPrefix(p.Info.GoVersion, "go"), " ")
	return Module{Path: "stdlib", Version: version}
}
