package oci

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// machines are what ELF calls the architectures that images are made for.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
	"loong64": elf.EM_LOONGARCH, "mips": elf.EM_MIPS, "mipsle": elf.EM_MIPS, "mips64": elf.EM_MIPS, "mips64le": elf.EM_MIPS,
	"ppc64": elf.EM_PPC64, "ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

// maxHeader is how much of a program is read to see what it is, in bytes: the
// ELF header and the program headers.
const maxHeader = 64 << 10

// checkProgram refuses a program of another system or architecture than its
// image's, and warns of one that needs a loader which is not there. Scripts
// and unknown architectures pass.
func checkProgram(in fs.FS, f file, p platform, onScratch bool, log io.Writer) error {
	if f.Dir {
		return nil
	}
	r, err := in.Open(f.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	head, err := io.ReadAll(io.LimitReader(r, maxHeader))
	if err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("MZ")):
		return fmt.Errorf("%s is a program for Windows", f.Path)
	case len(head) >= 4 && (bytes.Equal(head[:4], []byte{0xcf, 0xfa, 0xed, 0xfe}) || bytes.Equal(head[:4], []byte{0xca, 0xfe, 0xba, 0xbe})):
		return fmt.Errorf("%s is a program for macOS", f.Path)
	case !bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return nil
	}
	machine, loader, err := readELF(head)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if want, known := machines[p.Arch]; known && machine != want {
		return fmt.Errorf("%s is a program for %s, which does not run on %s", f.Path, machine, p)
	}
	if loader != "" && onScratch {
		_, err = fmt.Fprintf(log, "warning: %s needs %s, which scratch has not; build it with cgo off, or take a base\n", f.Path, loader)
	}
	return err
}

// readELF reads a program's machine and the loader that it asks for, from its
// first bytes.
func readELF(head []byte) (m elf.Machine, loader string, err error) {
	if len(head) < 64 {
		return 0, "", errors.New("its ELF header is cut off")
	}
	var order binary.ByteOrder = binary.BigEndian
	if head[5] == byte(elf.ELFDATA2LSB) {
		order = binary.LittleEndian
	}
	u16 := func(at int) int { return int(order.Uint16(head[at:])) }
	num := func(at, size int) uint64 {
		if size == 8 {
			return order.Uint64(head[at:])
		}
		return uint64(order.Uint32(head[at:]))
	}
	m = elf.Machine(u16(18))
	phoff, entry, count, offset, size, word := num(32, 8), u16(54), u16(56), 8, 32, 8
	if head[4] == byte(elf.ELFCLASS32) {
		phoff, entry, count, offset, size, word = num(28, 4), u16(42), u16(44), 4, 16, 4
	}
	for i := range count {
		at := int(phoff) + i*entry
		if phoff > maxHeader || at+size+word > len(head) {
			break
		}
		if elf.ProgType(num(at, 4)) != elf.PT_INTERP {
			continue
		}
		from, n := num(at+offset, word), num(at+size, word)
		if from < uint64(len(head)) && n <= uint64(len(head))-from {
			loader = string(bytes.TrimRight(head[from:from+n], "\x00"))
		}
	}
	return m, loader, nil
}
