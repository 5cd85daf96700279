package golang

import (
	"bytes"
	"context"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/airbuild/airbuild/engine"
)

// lipoName is the in-process tool that joins Mach-O files of one architecture
// each into a universal one. lipoVersion changes when its bytes would.
const (
	lipoName    = "lipo"
	lipoVersion = "1"
)

// lipoSpec is what the tool gets; paths are relative to the input root.
type lipoSpec struct {
	Inputs []string `json:"inputs"`
	Output string   `json:"output"`
}

func runLipo(_ context.Context, call *engine.ToolCall, spec *lipoSpec) error {
	var files [][]byte
	for _, p := range spec.Inputs {
		b, err := fs.ReadFile(call.In, p)
		if err != nil {
			return fmt.Errorf("read architecture: %w", err)
		}
		files = append(files, b)
	}
	fat, err := joinMachO(files)
	if err != nil {
		return fmt.Errorf("join %s: %w", spec.Output, err)
	}
	out := filepath.Join(call.Dir, filepath.FromSlash(spec.Output))
	if err := os.WriteFile(out, fat, 0o755); err != nil {
		return fmt.Errorf("write universal binary: %w", err)
	}
	return nil
}

// A slice is one architecture of a universal file.
type slice struct {
	cpu    macho.Cpu
	sub    uint32
	align  uint32 // of its offset, as a power of two
	offset uint32
	data   []byte
}

// joinMachO writes a universal file: a big-endian header, one entry an
// architecture, and the files themselves, unchanged, so that their code
// signatures stay good. The layout is that of <mach-o/fat.h>; alignment and
// order are those of Apple's own tool: a segment's page size (4 KiB for amd64,
// 16 KiB for arm64), the least aligned first, then by CPU type.
func joinMachO(files [][]byte) ([]byte, error) {
	if len(files) == 0 {
		return nil, errors.New("no architectures")
	}
	var parts []slice
	for _, b := range files {
		s, err := readSlice(b)
		if err != nil {
			return nil, err
		}
		parts = append(parts, s)
	}
	slices.SortStableFunc(parts, func(a, b slice) int {
		if a.align != b.align {
			return int(a.align) - int(b.align)
		}
		return int(a.cpu) - int(b.cpu)
	})
	const header, entry = 8, 20
	at := uint64(header + entry*len(parts))
	for i := range parts {
		s := &parts[i]
		if i > 0 && s.cpu == parts[i-1].cpu && s.sub == parts[i-1].sub {
			return nil, fmt.Errorf("two files for %v", s.cpu)
		}
		mask := uint64(1)<<s.align - 1
		at = (at + mask) &^ mask
		if at+uint64(len(s.data)) > math.MaxUint32 {
			return nil, errors.New("larger than 4 GiB")
		}
		s.offset = uint32(at)
		at += uint64(len(s.data))
	}
	out := make([]byte, at)
	be := binary.BigEndian
	be.PutUint32(out, macho.MagicFat)
	be.PutUint32(out[4:], uint32(len(parts)))
	for i, s := range parts {
		e := out[header+entry*i:]
		be.PutUint32(e, uint32(s.cpu))
		be.PutUint32(e[4:], s.sub)
		be.PutUint32(e[8:], s.offset)
		be.PutUint32(e[12:], uint32(len(s.data)))
		be.PutUint32(e[16:], s.align)
		copy(out[s.offset:], s.data)
	}
	return out, nil
}

// readSlice reads of a Mach-O file what the header of a universal one says.
func readSlice(b []byte) (slice, error) {
	f, err := macho.NewFile(bytes.NewReader(b))
	if err != nil {
		return slice{}, fmt.Errorf("read Mach-O file: %w", err)
	}
	s := slice{cpu: f.Cpu, sub: f.SubCpu, data: b}
	switch f.Cpu {
	case macho.CpuAmd64:
		s.align = 12
	case macho.CpuArm64:
		s.align = 14
	default:
		return slice{}, fmt.Errorf("no alignment known for %v", f.Cpu)
	}
	return s, nil
}
