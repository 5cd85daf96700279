package binary

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A machine is what must be the same in a program and its libraries.
type machine struct {
	class   elf.Class
	data    elf.Data
	machine elf.Machine
}

// elf reads an ELF file.
func (b *file) elf() (*Report, error) {
	if err := b.checkELF(); err != nil {
		return nil, err
	}
	f, err := elf.NewFile(b.r)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Format: ELF, Kind: elfKind(f), OS: elfOS(f), Arch: elfArch(f),
		Stripped: true, machine: machine{f.Class, f.Data, f.Machine},
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_SYMTAB {
			r.Stripped = false
		}
		if strings.HasPrefix(s.Name, ".debug_info") || s.Name == ".zdebug_info" {
			r.Debug = true
		}
		if s.Type != elf.SHT_NULL && s.Type != elf.SHT_NOBITS {
			r.Sections = append(r.Sections, Section{s.Name, int64(min(s.FileSize, uint64(b.size)))})
		}
	}
	d := &dynamic{file: b, elf: f, report: r}
	if err := d.read(); err != nil {
		return nil, err
	}
	r.Static = r.Interpreter == "" && len(r.Needed) == 0 && r.Kind == "executable"
	b.isaNote(f, r)
	if b.light {
		return r, nil
	}
	b.golang(r, b.r, func() ([]byte, binary.ByteOrder) { return b.elfPclntab(f) })
	if r.Build == nil {
		return r, nil
	}
	if sizes := b.elfSymbols(f); len(sizes) > 0 {
		r.Packages, r.PackagesFrom = largest(sizes), "symbols"
	}
	return r, nil
}

// checkELF holds the header against what elf.NewFile would do with it: it reads
// the sections' names whole, decompressing them if they say so, and copies each.
func (b *file) checkELF() error {
	h, err := b.upTo(0, 64)
	if err != nil || len(h) < 52 {
		return fmt.Errorf("%w: the header is cut off", ErrFormat)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(h[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	wide := elf.Class(h[elf.EI_CLASS]) == elf.ELFCLASS64
	var off uint64
	var entry, count, names uint64
	if wide {
		if len(h) < 64 {
			return fmt.Errorf("%w: the header is cut off", ErrFormat)
		}
		off, entry, count, names = order.Uint64(h[40:]), uint64(order.Uint16(h[58:])), uint64(order.Uint16(h[60:])), uint64(order.Uint16(h[62:]))
	} else {
		off, entry, count, names = uint64(order.Uint32(h[32:])), uint64(order.Uint16(h[46:])), uint64(order.Uint16(h[48:])), uint64(order.Uint16(h[50:]))
	}
	if off == 0 {
		return nil
	}
	least := uint64(40)
	if wide {
		least = 64
	}
	if entry < least || entry > 4096 {
		return fmt.Errorf("section headers of %d bytes", entry)
	}
	section := func(i uint64) (name uint32, flags, at, size uint64, link uint32, err error) {
		s, err := b.bytes(off+i*entry, least)
		switch {
		case err != nil:
		case wide:
			name, flags, at, size, link = order.Uint32(s), order.Uint64(s[8:]), order.Uint64(s[24:]), order.Uint64(s[32:]), order.Uint32(s[40:])
		default:
			name, flags, at, size, link = order.Uint32(s), uint64(order.Uint32(s[8:])), uint64(order.Uint32(s[16:])), uint64(order.Uint32(s[20:])), order.Uint32(s[24:])
		}
		return name, flags, at, size, link, err
	}
	if count == 0 || names == uint64(elf.SHN_XINDEX) {
		_, _, _, size, link, err := section(0)
		if err != nil {
			return err
		}
		count = cmp.Or(count, size)
		if names == uint64(elf.SHN_XINDEX) {
			names = uint64(link)
		}
	}
	if count > maxSections {
		return fmt.Errorf("%d sections", count)
	}
	if count == 0 {
		return nil
	}
	if names >= count {
		return fmt.Errorf("the sections' names are in section %d of %d", names, count)
	}
	_, flags, at, size, _, err := section(names)
	if err != nil {
		return err
	}
	if flags&uint64(elf.SHF_COMPRESSED) != 0 {
		return fmt.Errorf("the sections' names are compressed")
	}
	if size > maxStrings {
		return fmt.Errorf("the sections' names take %d bytes", size)
	}
	table, err := b.bytes(at, size)
	if err != nil {
		return err
	}
	return checkNames(table, count, func(i uint64) (uint32, error) {
		name, _, _, _, _, err := section(i)
		return name, err
	})
}

// checkNames bounds the length of all names together: they may overlap.
func checkNames(table []byte, count uint64, name func(uint64) (uint32, error)) error {
	total := 0
	for i := range count {
		at, err := name(i)
		if err != nil {
			return err
		}
		if at >= uint32(len(table)) {
			continue
		}
		n := slices.Index(table[at:min(len(table), int(at)+maxName)], 0)
		if n < 0 && len(table)-int(at) > maxName {
			return fmt.Errorf("section %d: its name has no end", i)
		}
		if total += max(n, 0); total > maxStrings {
			return fmt.Errorf("the sections' names are too long")
		}
	}
	return nil
}

func elfKind(f *elf.File) string {
	return cmp.Or(map[elf.Type]string{
		elf.ET_EXEC: "executable",
		elf.ET_DYN:  "shared library", // dynamic.read tells an executable by its interpreter and flags
		elf.ET_REL:  "object",
	}[f.Type], "other")
}

func elfOS(f *elf.File) string {
	name, ok := map[elf.OSABI]string{
		elf.ELFOSABI_FREEBSD: "freebsd", elf.ELFOSABI_NETBSD: "netbsd",
		elf.ELFOSABI_OPENBSD: "openbsd", elf.ELFOSABI_SOLARIS: "solaris",
	}[f.OSABI]
	if ok {
		return name
	}
	for _, s := range f.Sections {
		switch s.Name {
		case ".note.openbsd.ident":
			return "openbsd"
		case ".note.netbsd.ident":
			return "netbsd"
		}
	}
	return "linux"
}

func elfArch(f *elf.File) string {
	words, known := map[elf.Machine][2]string{ // with 64 and with 32 bits
		elf.EM_X86_64: {"amd64", "x32"}, elf.EM_386: {"386", "386"}, elf.EM_AARCH64: {"arm64", "arm64"}, elf.EM_ARM: {"arm", "arm"},
		elf.EM_PPC64: {"ppc64", "ppc64"}, elf.EM_PPC: {"ppc", "ppc"}, elf.EM_S390: {"s390x", "s390x"}, elf.EM_RISCV: {"riscv64", "riscv32"},
		elf.EM_LOONGARCH: {"loong64", "loong64"}, elf.EM_MIPS: {"mips64", "mips"}, elf.EM_SPARCV9: {"sparc64", "sparc64"},
	}[f.Machine]
	if !known {
		return strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_"))
	}
	name := words[0]
	if f.Class == elf.ELFCLASS32 {
		name = words[1]
	}
	little := f.Data == elf.ELFDATA2LSB
	switch f.Machine {
	case elf.EM_AARCH64, elf.EM_ARM:
		if !little {
			name += "be"
		}
	case elf.EM_PPC64, elf.EM_MIPS:
		if little {
			name += "le"
		}
	}
	return name
}

// libcOf tells the C library by the dynamic loader, or by what is needed.
func libcOf(interpreter string, needed []string) string {
	base := path.Base(interpreter)
	switch {
	case strings.HasPrefix(base, "ld-musl-"):
		return "musl"
	case strings.HasPrefix(base, "ld-linux") || strings.HasPrefix(base, "ld64.so") || base == "ld.so.1":
		return "glibc"
	}
	for _, lib := range needed {
		switch {
		case strings.HasPrefix(lib, "libc.musl-"):
			return "musl"
		case lib == "libc.so.6":
			return "glibc"
		}
	}
	return ""
}

// isaNote reads the note by which a compiler says which level of x86 is needed.
func (b *file) isaNote(f *elf.File, r *Report) {
	if f.Machine != elf.EM_X86_64 && f.Machine != elf.EM_386 {
		return
	}
	for _, s := range f.Sections {
		if s.Name != ".note.gnu.property" || s.Type != elf.SHT_NOTE {
			continue
		}
		data, err := b.upTo(s.Offset, min(s.FileSize, 1<<16))
		if err != nil {
			return
		}
		if level := isaLevel(data, f.ByteOrder, f.Class == elf.ELFCLASS64); level > 1 {
			r.raiseLevel(fmt.Sprintf("v%d", level), "x86 ISA needed note")
		}
	}
}

// isaLevel is the highest bit of GNU_PROPERTY_X86_ISA_1_NEEDED, counted from 1.
func isaLevel(data []byte, order binary.ByteOrder, wide bool) int {
	const gnuProperty, isaNeeded = 5, 0xc0008002
	align := 4
	if wide {
		align = 8
	}
	for len(data) >= 12 {
		nameLen, descLen, kind := int(order.Uint32(data)), int(order.Uint32(data[4:])), order.Uint32(data[8:])
		data = data[12:]
		if nameLen < 0 || nameLen > len(data) {
			return 0
		}
		name := string(data[:nameLen])
		data = data[min(len(data), (nameLen+3)&^3):]
		if descLen < 0 || descLen > len(data) {
			return 0
		}
		desc := data[:descLen]
		data = data[min(len(data), (descLen+align-1)&^(align-1)):]
		if kind != gnuProperty || name != "GNU\x00" {
			continue
		}
		for len(desc) >= 8 {
			property, size := order.Uint32(desc), int(order.Uint32(desc[4:]))
			desc = desc[8:]
			if size < 0 || size > len(desc) {
				break
			}
			if property == isaNeeded && size >= 4 {
				bits, level := order.Uint32(desc), 0
				for i := range 4 {
					if bits&(1<<i) != 0 {
						level = i + 1
					}
				}
				return level
			}
			desc = desc[min(len(desc), (size+align-1)&^(align-1)):]
		}
	}
	return 0
}

// raiseLevel notes a needed level if it is above what is known.
func (r *Report) raiseLevel(level, from string) {
	if r.Level == "" || CompareLevels(level, r.Level) > 0 {
		r.Level, r.LevelFrom = level, from
	}
}

// elfSymbols are the sizes of Go packages by the symbol table.
func (b *file) elfSymbols(f *elf.File) map[string]int64 {
	for _, s := range f.Sections {
		if s.Type != elf.SHT_SYMTAB || s.Flags&elf.SHF_COMPRESSED != 0 || int(s.Link) >= len(f.Sections) {
			continue
		}
		names := f.Sections[s.Link]
		if names.Flags&elf.SHF_COMPRESSED != 0 || names.FileSize > maxTable || s.FileSize > maxTable {
			return nil
		}
		table, err := b.bytes(s.Offset, s.FileSize)
		if err != nil {
			return nil
		}
		text, err := b.bytes(names.Offset, names.FileSize)
		if err != nil {
			return nil
		}
		return symbolSizes(table, text, f)
	}
	return nil
}

func symbolSizes(table, names []byte, f *elf.File) map[string]int64 {
	sizes := packageSizes{}
	entry := 24
	if f.Class == elf.ELFCLASS32 {
		entry = 16
	}
	for n := 0; len(table) >= entry && n < maxSymbols; n++ {
		name := f.ByteOrder.Uint32(table)
		var size uint64
		var info byte
		var index uint16
		if entry == 24 {
			info, index, size = table[4], f.ByteOrder.Uint16(table[6:]), f.ByteOrder.Uint64(table[16:])
		} else {
			size, info, index = uint64(f.ByteOrder.Uint32(table[8:])), table[12], f.ByteOrder.Uint16(table[14:])
		}
		table = table[entry:]
		kind := elf.ST_TYPE(info)
		if kind != elf.STT_FUNC && kind != elf.STT_OBJECT || int(index) >= len(f.Sections) || size > 1<<40 {
			continue
		}
		if f.Sections[index].Type == elf.SHT_NOBITS { // takes no room in the file
			continue
		}
		sizes.add(stringAt(names, uint64(name)), int64(size))
	}
	return sizes
}

// elfPclntab returns Go's table of functions.
func (b *file) elfPclntab(f *elf.File) ([]byte, binary.ByteOrder) {
	for _, s := range f.Sections {
		if strings.HasSuffix(s.Name, ".gopclntab") && s.Flags&elf.SHF_COMPRESSED == 0 {
			data, err := b.upTo(s.Offset, min(s.FileSize, maxTable))
			if err != nil {
				return nil, nil
			}
			return data, f.ByteOrder
		}
	}
	return nil, nil
}

// sortVersions puts symbol versions in order: by library, then version.
func sortVersions(vs []VersionNeed) {
	slices.SortFunc(vs, func(a, b VersionNeed) int {
		return cmp.Or(cmp.Compare(a.Library, b.Library), CompareVersions(afterPrefix(a.Version), afterPrefix(b.Version)), cmp.Compare(a.Version, b.Version))
	})
}

// afterPrefix is what stands behind "GLIBC_".
func afterPrefix(version string) string { return version[strings.LastIndexByte(version, '_')+1:] }
