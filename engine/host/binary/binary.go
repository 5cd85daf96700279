// Package binary says what an executable or shared library needs of a host:
// format, architecture and its level, dynamic loader, shared libraries and
// where they would be found, the C library's symbol versions; and what it is
// made of. Nothing is executed, and binaries of any platform can be read.
//
// What is read is not trusted. Every count, length and offset that comes from
// a file has a bound below, or is bounded by the bytes that are there; nothing
// is decompressed; and all reading draws on one budget. A file that goes beyond
// a bound is an error or, in a part that is only told for information, lacks
// that part.
package binary

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// The formats of a Report.
const (
	ELF   = "elf"
	MachO = "macho"
	PE    = "pe"
)

// A Report is what a binary says of itself. For a universal Mach-O file there
// is one for each architecture.
type Report struct {
	Path   string `json:"path"`
	Format string `json:"format"` // elf, macho, pe
	Kind   string `json:"kind"`   // executable, shared library, object, other
	OS     string `json:"os"`     // as GOOS
	Arch   string `json:"arch"`   // as GOARCH, or the format's own name for it
	// Level is the lowest level of the architecture that the binary says it
	// needs ("v3", "v8.2"); empty if it says nothing. LevelFrom is what says so.
	Level     string `json:"level,omitempty"`
	LevelFrom string `json:"level_from,omitempty"`
	// MinOS is the oldest system that the binary says it runs on (Mach-O, PE).
	MinOS string `json:"min_os,omitempty"`

	Static      bool     `json:"static"` // needs no dynamic loader and no library
	PIE         bool     `json:"pie"`
	Interpreter string   `json:"interpreter,omitempty"` // the dynamic loader
	Libc        string   `json:"libc,omitempty"`        // glibc, musl
	SoName      string   `json:"soname,omitempty"`
	Needed      []string `json:"needed,omitempty"` // shared libraries, as named in the file
	RPath       []string `json:"rpath,omitempty"`
	RunPath     []string `json:"runpath,omitempty"`
	// Glibc is the highest symbol version of the GNU C library that is needed
	// without which the binary does not start: "2.34"; GlibcSymbols are some of
	// the symbols that need it.
	Glibc        string        `json:"glibc,omitempty"`
	GlibcSymbols []string      `json:"glibc_symbols,omitempty"`
	Versions     []VersionNeed `json:"versions,omitempty"` // all needed symbol versions

	Stripped     bool          `json:"stripped"` // has no symbol table
	Debug        bool          `json:"debug"`    // has DWARF
	Size         int64         `json:"size"`     // bytes of the file, or of this architecture in it
	Sections     []Section     `json:"sections,omitempty"`
	Packages     []PackageSize `json:"packages,omitempty"`      // Go packages, largest first
	PackagesFrom string        `json:"packages_from,omitempty"` // symbols, functions
	Build        *Build        `json:"build,omitempty"`

	// Libraries are what the loader would take, in its order, and Problems why
	// the binary would not start. Resolve fills them in.
	Libraries []Library `json:"libraries,omitempty"`
	Problems  []string  `json:"problems,omitempty"`
	// Resolved tells that Resolve looked.
	Resolved bool `json:"resolved"`

	noDefault bool // DF_1_NODEFLIB
	provides  map[string]bool
	machine   machine
}

// A VersionNeed is a symbol version that a library must provide.
type VersionNeed struct {
	Library string   `json:"library"`
	Version string   `json:"version"`
	Symbols []string `json:"symbols,omitempty"` // some of those that need it
	Weak    bool     `json:"weak,omitempty"`    // does without
}

// A Section is a part of the file.
type Section struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes in the file
}

// A PackageSize is what a Go package takes.
type PackageSize struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// A Build is Go's build information.
type Build struct {
	Go       string            `json:"go"`
	Path     string            `json:"path,omitempty"` // of the main package
	Module   string            `json:"module,omitempty"`
	Version  string            `json:"version,omitempty"`
	Modules  int               `json:"modules"` // that it was made of, beside its own
	Settings map[string]string `json:"settings,omitempty"`
}

// ErrFormat is wrapped by the error about a file that is no binary.
var ErrFormat = errors.New("not an ELF, Mach-O or PE binary")

// Open reads the named file, which must be a regular one.
func Open(name string) ([]*Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is not a regular file", name)
	}
	reports, err := Inspect(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	for _, r := range reports {
		r.Path = name
	}
	return reports, nil
}

// Inspect reads a binary of the given size in bytes.
func Inspect(r io.ReaderAt, size int64) ([]*Report, error) {
	b := &file{r: &budget{r: io.NewSectionReader(r, 0, size), left: maxRead}, size: size}
	if head, err := b.bytes(0, 4); err == nil && isFat(head) {
		return b.fat()
	}
	report, err := b.inspect()
	if err != nil {
		return nil, err
	}
	return []*Report{report}, nil
}

// inspect reads a binary for one architecture.
func (b *file) inspect() (*Report, error) {
	head, err := b.bytes(0, 4)
	if err != nil {
		return nil, ErrFormat
	}
	var report *Report
	switch {
	case string(head) == "\x7fELF":
		report, err = b.elf()
	case isMachO(head):
		report, err = b.macho()
	case string(head[:2]) == "MZ":
		report, err = b.pe()
	default:
		err = ErrFormat
	}
	if err != nil {
		return nil, err
	}
	report.Size = b.size
	return report, nil
}
