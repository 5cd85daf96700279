package binary

import (
	"bytes"
	"cmp"
	"debug/macho"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

func isFat(head []byte) bool {
	return len(head) == 4 && binary.BigEndian.Uint32(head) == macho.MagicFat
}

func isMachO(head []byte) bool {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := order.Uint32(head); m == macho.Magic32 || m == macho.Magic64 {
			return true
		}
	}
	return false
}

// fat reads a universal file: one report for each architecture. Java's class
// files begin with the same four bytes; their version is no count of
// architectures.
func (b *file) fat() ([]*Report, error) {
	head, err := b.bytes(0, 8)
	if err != nil {
		return nil, ErrFormat
	}
	count := binary.BigEndian.Uint32(head[4:])
	if count == 0 || count > maxArches {
		return nil, fmt.Errorf("%w: a universal file of %d architectures", ErrFormat, count)
	}
	table, err := b.bytes(8, uint64(count)*20)
	if err != nil {
		return nil, err
	}
	var reports []*Report
	for ; len(table) >= 20; table = table[20:] {
		off, size := uint64(binary.BigEndian.Uint32(table[8:])), uint64(binary.BigEndian.Uint32(table[12:]))
		if off > uint64(b.size) || size > uint64(b.size)-off {
			return nil, fmt.Errorf("an architecture is outside the file")
		}
		part := &file{r: io.NewSectionReader(b.r, int64(off), int64(size)), size: int64(size)}
		head, err := part.bytes(0, 4)
		if err != nil || !isMachO(head) {
			return nil, fmt.Errorf("%w: an architecture of a universal file is none", ErrFormat)
		}
		r, err := part.inspect()
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// A machoFile is read command by command; debug/macho copies each symbol's
// name, and names may overlap.
type machoFile struct {
	*file
	order   binary.ByteOrder
	wide    bool
	report  *Report
	pcln    [2]uint64 // offset and size of Go's table of functions
	patches []patch   // hide the symbol tables from debug/macho
}

func (b *file) macho() (*Report, error) {
	m := &machoFile{file: b, order: binary.LittleEndian, report: &Report{Format: MachO, OS: "darwin", Stripped: true}}
	head, err := b.bytes(0, 28)
	if err != nil {
		return nil, fmt.Errorf("%w: the header is cut off", ErrFormat)
	}
	if magic := m.order.Uint32(head); magic != macho.Magic32 && magic != macho.Magic64 {
		m.order = binary.BigEndian
	}
	m.wide = m.order.Uint32(head) == macho.Magic64
	m.report.Arch = machoArch(macho.Cpu(m.order.Uint32(head[4:])))
	m.report.Kind = map[macho.Type]string{macho.TypeExec: "executable", macho.TypeDylib: "shared library", macho.TypeObj: "object"}[macho.Type(m.order.Uint32(head[12:]))]
	m.report.Kind = cmp.Or(m.report.Kind, "other")
	m.report.PIE = m.order.Uint32(head[24:])&macho.FlagPIE != 0
	if err := m.commands(m.order.Uint32(head[16:]), m.order.Uint32(head[20:])); err != nil {
		return nil, err
	}
	r := m.report
	r.Static = r.Interpreter == "" && len(r.Needed) == 0 && r.Kind == "executable"
	b.golang(r, &patched{b.r, m.patches}, func() ([]byte, binary.ByteOrder) {
		data, err := b.upTo(m.pcln[0], min(m.pcln[1], maxTable))
		if err != nil {
			return nil, nil
		}
		return data, m.order
	})
	return r, nil
}

func machoArch(cpu macho.Cpu) string {
	name, ok := map[macho.Cpu]string{
		macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64", macho.Cpu386: "386", macho.CpuArm: "arm",
		macho.CpuPpc64: "ppc64", macho.CpuPpc: "ppc",
	}[cpu]
	if !ok {
		return fmt.Sprintf("cpu %d", uint32(cpu))
	}
	return name
}

func (m *machoFile) commands(count, size uint32) error {
	if count > maxCommands || size > maxStrings {
		return fmt.Errorf("%d load commands of %d bytes", count, size)
	}
	start := uint64(28)
	if m.wide {
		start = 32
	}
	data, err := m.bytes(start, uint64(size))
	if err != nil {
		return fmt.Errorf("load commands: %w", err)
	}
	off := start
	for range count {
		if len(data) < 8 {
			return fmt.Errorf("load commands are cut off")
		}
		kind, n := m.order.Uint32(data), m.order.Uint32(data[4:])
		if n < 8 || uint64(n) > uint64(len(data)) {
			return fmt.Errorf("a load command of %d bytes", n)
		}
		m.command(kind, data[:n], int64(off))
		data, off = data[n:], off+uint64(n)
	}
	return nil
}

// The load commands that are read here.
const (
	lcReexport = 0x1f | 0x80000000
	lcWeak     = 0x18 | 0x80000000
	lcLazy     = 0x20
	lcIDDylib  = 0xd
	lcMinMacOS = 0x24
	lcBuild    = 0x32
	lcUUID     = 0x1b
)

func (m *machoFile) command(kind uint32, c []byte, off int64) {
	r := m.report
	text := func(at int) string {
		if len(c) < at+4 {
			return ""
		}
		i := m.order.Uint32(c[at:])
		if uint64(i) >= uint64(len(c)) {
			return ""
		}
		return stringAt(append(bytes.Clone(c), 0), uint64(i))
	}
	version := func(at int) string {
		if len(c) < at+4 {
			return ""
		}
		v := m.order.Uint32(c[at:])
		return fmt.Sprintf("%d.%d", v>>16, v>>8&0xff)
	}
	switch kind {
	case uint32(macho.LoadCmdDylib), lcReexport, lcWeak, lcLazy:
		if lib := text(8); lib != "" {
			r.Needed = append(r.Needed, lib)
		}
	case lcIDDylib:
		r.SoName = text(8)
	case uint32(macho.LoadCmdDylinker):
		r.Interpreter = text(8)
	case uint32(macho.LoadCmdRpath):
		r.RPath = append(r.RPath, text(8))
	case lcMinMacOS:
		r.MinOS = version(8)
	case lcBuild:
		r.MinOS = version(12)
	case uint32(macho.LoadCmdSymtab):
		if len(c) >= 16 && m.order.Uint32(c[12:]) > 0 {
			r.Stripped = false
		}
		m.hide(off)
	case uint32(macho.LoadCmdDysymtab):
		m.hide(off)
	case uint32(macho.LoadCmdSegment), uint32(macho.LoadCmdSegment64):
		m.segment(kind == uint32(macho.LoadCmdSegment64), c)
	}
}

// hide makes a load command one that debug/macho does not look into.
func (m *machoFile) hide(off int64) {
	b := make([]byte, 4)
	m.order.PutUint32(b, lcUUID)
	m.patches = append(m.patches, patch{off, b})
}

func (m *machoFile) segment(wide bool, c []byte) {
	head, size := 56, 68
	if wide {
		head, size = 72, 80
	}
	if len(c) < head {
		return
	}
	for c = c[head:]; len(c) >= size && len(m.report.Sections) < maxSections; c = c[size:] {
		name := strings.TrimRight(string(c[:16]), "\x00")
		segment := strings.TrimRight(string(c[16:32]), "\x00")
		var n, off uint64
		flags := uint32(0)
		if wide {
			n, off, flags = m.order.Uint64(c[40:]), uint64(m.order.Uint32(c[48:])), m.order.Uint32(c[64:])
		} else {
			n, off, flags = uint64(m.order.Uint32(c[36:])), uint64(m.order.Uint32(c[40:])), m.order.Uint32(c[56:])
		}
		switch {
		case name == "__gopclntab":
			m.pcln = [2]uint64{off, n}
		case segment == "__DWARF":
			m.report.Debug = true
		}
		if kind := flags & 0xff; kind == 1 || kind == 0xc { // zero-filled: takes no room
			continue
		}
		m.report.Sections = append(m.report.Sections, Section{segment + "," + name, int64(min(n, uint64(m.size)))})
	}
}
