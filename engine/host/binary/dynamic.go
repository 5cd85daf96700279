package binary

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// A dynamic reads the tables that the dynamic loader uses. They are found as it
// finds them, by the program headers, so that a file without sections is no
// other.
type dynamic struct {
	file    *file
	elf     *elf.File
	report  *Report
	entries map[elf.DynTag][]uint64
	strings []byte
}

// versionsShown is how many symbols are named for each version.
const versionsShown = 5

func (d *dynamic) read() error {
	var table *elf.Prog
	for _, p := range d.elf.Progs {
		switch p.Type {
		case elf.PT_INTERP:
			name, err := d.file.bytes(p.Off, min(p.Filesz, maxName))
			if err != nil {
				return fmt.Errorf("interpreter: %w", err)
			}
			d.report.Interpreter = strings.TrimRight(string(name), "\x00")
			d.report.Kind = "executable"
		case elf.PT_DYNAMIC:
			table = p
		}
	}
	if table == nil {
		return nil
	}
	if err := d.readEntries(table); err != nil {
		return fmt.Errorf("dynamic section: %w", err)
	}
	d.paths()
	if err := d.readVersions(); err != nil {
		return fmt.Errorf("symbol versions: %w", err)
	}
	return nil
}

func (d *dynamic) wide() bool { return d.elf.Class == elf.ELFCLASS64 }

func (d *dynamic) readEntries(p *elf.Prog) error {
	entry := uint64(8)
	if d.wide() {
		entry = 16
	}
	data, err := d.file.bytes(p.Off, min(p.Filesz, maxDynamic*entry))
	if err != nil {
		return err
	}
	order := d.elf.ByteOrder
	d.entries = map[elf.DynTag][]uint64{}
	for uint64(len(data)) >= entry {
		var tag, value uint64
		if d.wide() {
			tag, value = order.Uint64(data), order.Uint64(data[8:])
		} else {
			tag, value = uint64(order.Uint32(data)), uint64(order.Uint32(data[4:]))
		}
		data = data[entry:]
		if elf.DynTag(tag) == elf.DT_NULL {
			break
		}
		d.entries[elf.DynTag(tag)] = append(d.entries[elf.DynTag(tag)], value)
	}
	size := d.value(elf.DT_STRSZ)
	if size == 0 {
		return nil
	}
	if size > maxStrings {
		return fmt.Errorf("strings of %d bytes", size)
	}
	off, ok := d.offset(d.value(elf.DT_STRTAB))
	if !ok {
		return fmt.Errorf("the strings are not in the file")
	}
	d.strings, err = d.file.upTo(off, size)
	return err
}

// value is the last entry with the tag, as the loader takes it; 0 if none.
func (d *dynamic) value(tag elf.DynTag) uint64 {
	if v := d.entries[tag]; len(v) > 0 {
		return v[len(v)-1]
	}
	return 0
}

// offset is the place in the file of an address.
func (d *dynamic) offset(addr uint64) (uint64, bool) {
	for _, p := range d.elf.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return p.Off + (addr - p.Vaddr), true
		}
	}
	return 0, false
}

func (d *dynamic) paths() {
	r := d.report
	for i, at := range d.entries[elf.DT_NEEDED] {
		if i == maxNeeded {
			break
		}
		if name := stringAt(d.strings, at); name != "" {
			r.Needed = append(r.Needed, name)
		}
	}
	list := func(tag elf.DynTag) []string {
		if len(d.entries[tag]) == 0 {
			return nil
		}
		return slices.DeleteFunc(strings.Split(stringAt(d.strings, d.value(tag)), ":"), func(s string) bool { return s == "" })
	}
	r.RPath, r.RunPath = list(elf.DT_RPATH), list(elf.DT_RUNPATH)
	if len(d.entries[elf.DT_SONAME]) > 0 {
		r.SoName = stringAt(d.strings, d.value(elf.DT_SONAME))
	}
	const nodefault, pie = 0x800, 0x08000000
	flags := d.value(elf.DT_FLAGS_1)
	r.noDefault = flags&nodefault != 0
	r.PIE = d.elf.Type == elf.ET_DYN && (flags&pie != 0 || r.Interpreter != "")
	if r.PIE {
		r.Kind = "executable"
	}
	r.Libc = libcOf(r.Interpreter, r.Needed)
}

// A versionRef is what an index of the version table stands for.
type versionRef struct{ library, version string }

func (d *dynamic) readVersions() error {
	refs, needs, err := d.needs()
	if err != nil {
		return err
	}
	if err := d.provides(); err != nil {
		return err
	}
	symbols := d.versionSymbols(refs)
	r := d.report
	for _, n := range needs {
		n.Symbols = symbols[versionRef{n.Library, n.Version}]
		r.Versions = append(r.Versions, n)
	}
	sortVersions(r.Versions)
	for _, n := range r.Versions {
		v, ok := strings.CutPrefix(n.Version, "GLIBC_")
		if !ok || n.Weak || !startsWithDigit(v) {
			continue
		}
		switch c := CompareVersions(v, r.Glibc); {
		case r.Glibc == "" || c > 0:
			r.Glibc, r.GlibcSymbols = v, slices.Clone(n.Symbols)
		case c == 0:
			r.GlibcSymbols = append(r.GlibcSymbols, n.Symbols...)
		}
	}
	if len(r.GlibcSymbols) > versionsShown {
		r.GlibcSymbols = r.GlibcSymbols[:versionsShown]
	}
	return nil
}

func startsWithDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// needs reads the table of needed versions.
func (d *dynamic) needs() (map[uint16]versionRef, []VersionNeed, error) {
	const weak = 2
	refs := map[uint16]versionRef{}
	var needs []VersionNeed
	order := d.elf.ByteOrder
	off, ok := d.offset(d.value(elf.DT_VERNEED))
	for range min(d.value(elf.DT_VERNEEDNUM), maxNeeded) {
		if !ok {
			return nil, nil, fmt.Errorf("they are not in the file")
		}
		head, err := d.file.bytes(off, 16)
		if err != nil {
			return nil, nil, err
		}
		count, library, next := order.Uint16(head[2:]), stringAt(d.strings, uint64(order.Uint32(head[4:]))), order.Uint32(head[12:])
		at := off + uint64(order.Uint32(head[8:]))
		for range count {
			if len(needs) >= maxVersions {
				return nil, nil, fmt.Errorf("more than %d", maxVersions)
			}
			aux, err := d.file.bytes(at, 16)
			if err != nil {
				return nil, nil, err
			}
			n := VersionNeed{Library: library, Version: stringAt(d.strings, uint64(order.Uint32(aux[8:]))), Weak: order.Uint16(aux[4:])&weak != 0}
			refs[order.Uint16(aux[6:])&0x7fff] = versionRef{n.Library, n.Version}
			needs = append(needs, n)
			step := order.Uint32(aux[12:])
			if step == 0 {
				break
			}
			at += uint64(step)
		}
		if next == 0 {
			break
		}
		off += uint64(next)
	}
	return refs, needs, nil
}

// provides reads the table of versions that the library has.
func (d *dynamic) provides() error {
	order := d.elf.ByteOrder
	off, ok := d.offset(d.value(elf.DT_VERDEF))
	for range min(d.value(elf.DT_VERDEFNUM), maxVersions) {
		if !ok {
			return fmt.Errorf("they are not in the file")
		}
		head, err := d.file.bytes(off, 20)
		if err != nil {
			return err
		}
		aux, err := d.file.bytes(off+uint64(order.Uint32(head[12:])), 8)
		if err != nil {
			return err
		}
		if d.report.provides == nil {
			d.report.provides = map[string]bool{}
		}
		d.report.provides[stringAt(d.strings, uint64(order.Uint32(aux)))] = true
		next := order.Uint32(head[16:])
		if next == 0 {
			return nil
		}
		off += uint64(next)
	}
	return nil
}

// versionSymbols names some symbols for each needed version. The table of
// symbols has no length of its own: the section says it, where there is one.
func (d *dynamic) versionSymbols(refs map[uint16]versionRef) map[versionRef][]string {
	found := map[versionRef][]string{}
	entry, order := uint64(16), d.elf.ByteOrder
	if d.wide() {
		entry = 24
	}
	count := d.symbolCount(entry)
	symtab, ok1 := d.offset(d.value(elf.DT_SYMTAB))
	versym, ok2 := d.offset(d.value(elf.DT_VERSYM))
	if !ok1 || !ok2 || count == 0 || len(refs) == 0 {
		return found
	}
	symbols, err := d.file.upTo(symtab, count*entry)
	if err != nil {
		return found
	}
	versions, err := d.file.upTo(versym, count*2)
	if err != nil {
		return found
	}
	for len(symbols) >= int(entry) && len(versions) >= 2 {
		ref, ok := refs[order.Uint16(versions)&0x7fff]
		if name := stringAt(d.strings, uint64(order.Uint32(symbols))); ok && name != "" && len(found[ref]) < versionsShown {
			found[ref] = append(found[ref], name)
		}
		symbols, versions = symbols[entry:], versions[2:]
	}
	return found
}

func (d *dynamic) symbolCount(entry uint64) uint64 {
	for _, s := range d.elf.Sections {
		if s.Type == elf.SHT_DYNSYM {
			return min(s.FileSize/entry, maxSymbols)
		}
	}
	if off, ok := d.offset(d.value(elf.DT_HASH)); ok {
		if head, err := d.file.bytes(off, 8); err == nil {
			return min(uint64(d.elf.ByteOrder.Uint32(head[4:])), maxSymbols)
		}
	}
	return d.gnuHashCount()
}

// gnuHashCount is the number of symbols by the GNU hash table: the end of the
// chain that begins last.
func (d *dynamic) gnuHashCount() uint64 {
	off, ok := d.offset(d.value(elf.DT_GNU_HASH))
	if !ok {
		return 0
	}
	head, err := d.file.bytes(off, 16)
	if err != nil {
		return 0
	}
	order := d.elf.ByteOrder
	buckets, first, bloom := uint64(order.Uint32(head)), uint64(order.Uint32(head[4:])), uint64(order.Uint32(head[8:]))
	word := uint64(4)
	if d.wide() {
		word = 8
	}
	if buckets > maxSymbols || bloom > maxSymbols {
		return 0
	}
	at := off + 16 + bloom*word
	table, err := d.file.bytes(at, buckets*4)
	if err != nil {
		return 0
	}
	last := uint64(0)
	for ; len(table) >= 4; table = table[4:] {
		last = max(last, uint64(order.Uint32(table)))
	}
	if last < first || last > maxSymbols {
		return first
	}
	chain, err := d.file.upTo(at+buckets*4+(last-first)*4, 1<<20)
	if err != nil {
		return first
	}
	for ; len(chain) >= 4; chain = chain[4:] {
		last++
		if order.Uint32(chain)&1 != 0 {
			break
		}
	}
	return last
}
