package binary

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A peFile is read by hand: debug/pe copies each symbol's name, and names may
// overlap.
type peFile struct {
	*file
	report   *Report
	sections []peSection
	imports  uint32 // address of the import directory
	patches  []patch
}

type peSection struct {
	name                     string
	addr, virtual, size, off uint32
}

var le = binary.LittleEndian

func (b *file) pe() (*Report, error) {
	p := &peFile{file: b, report: &Report{Format: PE, OS: "windows"}}
	dos, err := b.bytes(0, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: the header is cut off", ErrFormat)
	}
	at := uint64(le.Uint32(dos[60:]))
	head, err := b.bytes(at, 24)
	if err != nil || string(head[:4]) != "PE\x00\x00" {
		return nil, fmt.Errorf("%w: a DOS program", ErrFormat)
	}
	head = head[4:]
	r := p.report
	r.Arch = peArch(le.Uint16(head))
	flags := le.Uint16(head[18:])
	r.Kind = "executable"
	if flags&pe.IMAGE_FILE_DLL != 0 {
		r.Kind = "shared library"
	}
	symbols, count := uint64(le.Uint32(head[8:])), uint64(le.Uint32(head[12:]))
	r.Stripped = symbols == 0 || count == 0
	optional := uint64(le.Uint16(head[16:]))
	if err := p.optional(at+24, optional); err != nil {
		return nil, err
	}
	sections := uint64(le.Uint16(head[2:]))
	if err := p.readSections(at+24+optional, sections, symbols+18*count); err != nil {
		return nil, err
	}
	p.patches = append(p.patches, patch{int64(at) + 12, make([]byte, 8)}) // no symbol table
	p.readImports()
	r.Static = len(r.Needed) == 0
	b.golang(r, &patched{b.r, p.patches}, p.pclntab)
	return r, nil
}

func peArch(machine uint16) string {
	name, ok := map[uint16]string{
		pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_I386: "386",
		pe.IMAGE_FILE_MACHINE_ARM64: "arm64", pe.IMAGE_FILE_MACHINE_ARMNT: "arm",
	}[machine]
	if !ok {
		return fmt.Sprintf("machine %#x", machine)
	}
	return name
}

func (p *peFile) optional(at, size uint64) error {
	if size < 72 {
		return fmt.Errorf("an optional header of %d bytes", size)
	}
	h, err := p.upTo(at, min(size, 256))
	if err != nil {
		return err
	}
	if len(h) < 72 {
		return fmt.Errorf("the optional header is cut off")
	}
	p.report.MinOS = fmt.Sprintf("%d.%d", le.Uint16(h[48:]), le.Uint16(h[50:]))
	p.report.PIE = le.Uint16(h[70:])&pe.IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE != 0
	directories := 96
	if le.Uint16(h) == 0x20b {
		directories = 112
	}
	if len(h) >= directories+16 {
		p.imports = le.Uint32(h[directories+8:])
	}
	return nil
}

func (p *peFile) readSections(at, count, stringsAt uint64) error {
	table, err := p.bytes(at, count*40)
	if err != nil {
		return fmt.Errorf("sections: %w", err)
	}
	names, _ := p.upTo(stringsAt, 1<<20) // of long names, such as those of DWARF
	for i := 0; len(table) >= 40; i, table = i+1, table[40:] {
		s := peSection{
			name:    strings.TrimRight(string(table[:8]), "\x00"),
			virtual: le.Uint32(table[8:]), addr: le.Uint32(table[12:]), size: le.Uint32(table[16:]), off: le.Uint32(table[20:]),
		}
		if long, ok := strings.CutPrefix(s.name, "/"); ok {
			p.patches = append(p.patches, patch{int64(at) + int64(i)*40, []byte("_long\x00\x00\x00")})
			if n, err := strconv.ParseUint(long, 10, 32); err == nil {
				if name := stringAt(names, n); name != "" {
					s.name = name
				}
			}
		}
		if strings.HasPrefix(s.name, ".debug_info") || strings.HasPrefix(s.name, ".zdebug_info") {
			p.report.Debug = true
		}
		p.sections = append(p.sections, s)
		p.report.Sections = append(p.report.Sections, Section{s.name, min(int64(s.size), p.size)})
	}
	return nil
}

// at reads up to n bytes at an address, not beyond its section.
func (p *peFile) at(addr uint32, n uint64) []byte {
	for _, s := range p.sections {
		if addr < s.addr || uint64(addr-s.addr) >= uint64(s.size) {
			continue
		}
		in := uint64(addr - s.addr)
		data, err := p.upTo(uint64(s.off)+in, min(n, uint64(s.size)-in))
		if err != nil {
			return nil
		}
		return data
	}
	return nil
}

// readImports names the libraries that are loaded with the program.
func (p *peFile) readImports() {
	if p.imports == 0 {
		return
	}
	for i := uint32(0); i < maxNeeded; i++ {
		d := p.at(p.imports+i*20, 20)
		if len(d) < 20 || le.Uint32(d[12:]) == 0 {
			return
		}
		name := stringAt(append(p.at(le.Uint32(d[12:]), 256), 0), 0)
		if name == "" {
			return
		}
		p.report.Needed = append(p.report.Needed, name)
	}
}

// pclntab finds Go's table of functions, which has no section of its own.
func (p *peFile) pclntab() ([]byte, binary.ByteOrder) {
	for _, s := range p.sections {
		if s.name != ".rdata" && s.name != ".text" && s.name != ".data" {
			continue
		}
		data, err := p.upTo(uint64(s.off), min(uint64(s.size), maxTable))
		if err != nil {
			continue
		}
		for _, magic := range []uint32{pclnGo120, pclnGo118} {
			mark := le.AppendUint32(nil, magic)
			for rest := data; ; rest = rest[4:] {
				i := bytes.Index(rest, mark)
				if i < 0 {
					break
				}
				rest = rest[i:]
				if _, ok := pclnHeader(rest, le); ok {
					return rest, le
				}
			}
		}
	}
	return nil, nil
}
