package bytediff

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// A section is a part of a program.
type section struct {
	name string
	addr uint64
	size uint64 // in memory, for the symbols
	data []byte
}

// A symbol is a name of a place in a program.
type symbol struct {
	name string
	addr uint64
}

// A program is what is read of an executable or an object file.
type program struct {
	kind     string
	sections []section
	symbols  []symbol // sorted by address
	info     []string // lines of Go's build information
}

// programs compares two executables: Go's build information line by line, then
// section by section.
func (c *comparer) programs(a, b []byte, where []string, _ int) bool {
	x, y := readProgram(a), readProgram(b)
	if x == nil || y == nil || x.kind != y.kind {
		return false
	}
	c.buildInfo(x.info, y.info, where)
	for _, s := range x.sections {
		i := slices.IndexFunc(y.sections, func(o section) bool { return o.name == s.name })
		if i < 0 {
			c.add(deeper(where, "section %s", s.name), "only in the first", "", "", -1, "debug information or symbols were stripped from one only")
			continue
		}
		if !bytes.Equal(s.data, y.sections[i].data) {
			c.section(x, s, y.sections[i], where)
		}
	}
	for _, s := range y.sections {
		if !slices.ContainsFunc(x.sections, func(o section) bool { return o.name == s.name }) {
			c.add(deeper(where, "section %s", s.name), "only in the second", "", "", -1, "debug information or symbols were stripped from one only")
		}
	}
	return true
}

func (c *comparer) buildInfo(x, y []string, where []string) {
	for _, l := range x {
		if !slices.Contains(y, l) {
			is := sameKey(y, l)
			c.add(deeper(where, "Go build info"), "line", l, is, -1, c.infoCause(l, is))
		}
	}
	for _, l := range y {
		if !slices.Contains(x, l) && sameKey(x, l) == "" {
			c.add(deeper(where, "Go build info"), "line", "", l, -1, c.infoCause("", l))
		}
	}
}

func (c *comparer) infoCause(was, is string) string {
	if cause := c.cause(was, is); cause != "" {
		return cause
	}
	switch {
	case strings.Contains(was+is, "vcs."):
		return "Go stamps the state of the repository: build with -buildvcs=false"
	case strings.Contains(was+is, "-ldflags"):
		return "a value that is stamped into the program differs"
	}
	return ""
}

// sameKey is the line that begins as l does, up to "=" or the second tab.
func sameKey(lines []string, l string) string {
	key := l
	if i := strings.Index(l, "="); i > 0 {
		key = l[:i+1]
	} else if f := strings.SplitN(l, "\t", 3); len(f) > 2 {
		key = f[0] + "\t" + f[1] + "\t"
	}
	for _, o := range lines {
		if strings.HasPrefix(o, key) {
			return o
		}
	}
	return ""
}

// section says where two sections differ, and whose bytes these are.
func (c *comparer) section(p *program, x, y section, where []string) {
	at := firstDifference(x.data, y.data)
	where = deeper(where, "%s section %s", p.kind, x.name)
	if s := p.symbolAt(x.addr + uint64(at)); s != "" && len(x.data) == len(y.data) {
		where = deeper(where, "symbol %s", s)
	}
	was, is := around(x.data, at), around(y.data, at)
	cause := c.cause(was, is)
	switch {
	case strings.Contains(x.name, "build-id") || strings.Contains(x.name, "buildid"):
		cause = "a build ID, which follows from other differences"
	case cause == "":
		cause = c.cause(window(x.data, at), window(y.data, at))
	}
	c.add(where, "content", was, is, int64(at), cause)
}

// symbolAt is the symbol that an address belongs to, or "".
func (p *program) symbolAt(addr uint64) string {
	i := sort.Search(len(p.symbols), func(i int) bool { return p.symbols[i].addr > addr })
	if i == 0 || addr-p.symbols[i-1].addr > 1<<20 {
		return ""
	}
	return p.symbols[i-1].name
}

func readProgram(b []byte) *program {
	r := bytes.NewReader(b)
	var p *program
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		if f, err := elf.NewFile(r); err == nil {
			p = readELF(f)
		}
	case bytes.HasPrefix(b, []byte("MZ")):
		if f, err := pe.NewFile(r); err == nil {
			p = readPE(f)
		}
	default:
		if f, err := macho.NewFile(r); err == nil {
			p = readMachO(f)
		}
	}
	if p == nil {
		return nil
	}
	sort.SliceStable(p.symbols, func(i, j int) bool { return p.symbols[i].addr < p.symbols[j].addr })
	if info, err := buildinfo.Read(r); err == nil {
		p.info = strings.Split(strings.TrimSpace(info.String()), "\n")
	}
	return p
}

func readELF(f *elf.File) *program {
	p := &program{kind: "ELF"}
	for i, s := range f.Sections {
		if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
			continue
		}
		data, err := s.Data()
		if err != nil {
			continue
		}
		name := s.Name
		if name == "" {
			name = fmt.Sprintf("number %d", i)
		}
		p.sections = append(p.sections, section{name, s.Addr, s.Size, data})
	}
	symbols, _ := f.Symbols()
	for _, s := range symbols {
		if t := elf.ST_TYPE(s.Info); (t == elf.STT_FUNC || t == elf.STT_OBJECT) && s.Name != "" {
			p.symbols = append(p.symbols, symbol{s.Name, s.Value})
		}
	}
	return p
}

func readPE(f *pe.File) *program {
	p := &program{kind: "PE"}
	p.sections = append(p.sections, section{name: "header", data: fmt.Appendf(nil, "time stamp %d", f.TimeDateStamp)})
	for _, s := range f.Sections {
		if data, err := s.Data(); err == nil {
			p.sections = append(p.sections, section{s.Name, uint64(s.VirtualAddress), uint64(s.VirtualSize), data})
		}
	}
	for _, s := range f.Symbols {
		if s.SectionNumber > 0 && int(s.SectionNumber) <= len(f.Sections) {
			p.symbols = append(p.symbols, symbol{s.Name, uint64(f.Sections[s.SectionNumber-1].VirtualAddress) + uint64(s.Value)})
		}
	}
	return p
}

func readMachO(f *macho.File) *program {
	p := &program{kind: "Mach-O"}
	for _, s := range f.Sections {
		if data, err := s.Data(); err == nil {
			p.sections = append(p.sections, section{s.Seg + "," + s.Name, s.Addr, s.Size, data})
		}
	}
	if f.Symtab != nil {
		for _, s := range f.Symtab.Syms {
			if s.Sect > 0 {
				p.symbols = append(p.symbols, symbol{s.Name, s.Value})
			}
		}
	}
	return p
}
