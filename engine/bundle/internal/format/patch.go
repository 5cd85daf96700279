package format

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// FeaturePatches is the critical feature of bundles in which some contents are
// patches of contents that the receiver has.
const FeaturePatches = "patches"

// A patch makes one content of another, its base:
//
//	PatchMagic
//	pieces, until the content is whole, each:
//	    offset and length of a window of the base, raw size, stored size
//	    one zstd frame that states its size, with that window as raw dictionary
//
// Numbers are varints as in the index. A window of length 0 is at offset 0, and
// the frame has no dictionary then. A patch is a packed content, so that all
// that holds for contents holds for it; what it makes is held against the
// digest of the content that it is for.
const PatchMagic = "airbuild-patch-1\n"

// What a reader of patches takes. A piece costs no more than a block does.
const (
	MaxPatchBase   = 128 << 20 // bytes of a base, which is held in memory
	MaxPatchWindow = 8 << 20   // bytes of a window
	maxPatchPiece  = 8 << 20   // bytes that one piece makes
	// frameRoom is what a zstd frame may need beyond what it makes.
	frameRoom = 1 << 10
)

// patchDictionary is the number of the dictionary in frames that have one.
const patchDictionary = 1

// patchLevel is not part of the format, but of the bytes of a delta.
const patchLevel = zstd.SpeedBetterCompression

// A patchReader gives what a patch makes of a base. What it gives is checked
// by whoever reads, against the content's digest.
type patchReader struct {
	r    *bufio.Reader
	base []byte
	left int64  // of the content
	out  []byte // made and not read yet
	err  error
}

// NewPatchReader reads patch from its beginning. Errors wrap ErrRefused, but
// for those of patch itself.
func NewPatchReader(patch io.Reader, base []byte, size int64) *patchReader {
	r := &patchReader{r: bufio.NewReaderSize(patch, 64<<10), base: base, left: size}
	magic := make([]byte, len(PatchMagic))
	if _, err := io.ReadFull(r.r, magic); err != nil {
		r.err = cutPatch(err)
	} else if string(magic) != PatchMagic {
		r.err = Refusef("patch begins with %q instead of %q", magic, PatchMagic)
	}
	return r
}

func cutPatch(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Refusef("patch is cut off")
	}
	return err
}

func (r *patchReader) Read(b []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		r.err = r.piece()
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}

// number reads a varint in its shortest form.
func (r *patchReader) number(limit int64) (int64, error) {
	var v uint64
	for i := range binary.MaxVarintLen64 {
		c, err := r.r.ReadByte()
		if err != nil {
			return 0, cutPatch(err)
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 || i == 9 && c > 1 {
			return 0, Refusef("patch has a number that is not in its shortest form")
		}
		if v > uint64(limit) {
			return 0, Refusef("patch has the number %d where up to %d are allowed", v, limit)
		}
		return int64(v), nil
	}
	return 0, Refusef("patch has a number that is too long")
}

// piece makes the next piece.
func (r *patchReader) piece() error {
	if r.left == 0 {
		if _, err := r.r.ReadByte(); err == nil {
			return Refusef("patch has trailing bytes")
		} else if err != io.EOF {
			return err
		}
		return io.EOF
	}
	var offset, length, raw, stored int64
	for _, f := range []struct {
		v     *int64
		limit int64
	}{{&offset, int64(len(r.base))}, {&length, MaxPatchWindow}, {&raw, min(maxPatchPiece, r.left)}, {&stored, maxPatchPiece + frameRoom}} {
		var err error
		if *f.v, err = r.number(f.limit); err != nil {
			return err
		}
	}
	switch {
	case length > int64(len(r.base))-offset, length == 0 && offset > 0:
		return Refusef("patch names %d bytes at %d of a base of %d", length, offset, len(r.base))
	case raw == 0 || stored == 0 || stored > raw+frameRoom:
		return Refusef("patch has a piece of %d bytes stored as %d", raw, stored)
	}
	frame := make([]byte, stored)
	if _, err := io.ReadFull(r.r, frame); err != nil {
		return cutPatch(err)
	}
	out, err := decodePiece(frame, r.base[offset:offset+length], raw)
	if err != nil {
		return Refusef("patch: %w", err)
	}
	r.out, r.left = out, r.left-raw
	return nil
}

// decodePiece decompresses one frame.
func decodePiece(frame, window []byte, raw int64) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return nil, fmt.Errorf("it is not compressed with zstd: %w", err)
	}
	dictionary := uint32(0)
	if len(window) > 0 {
		dictionary = patchDictionary
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(raw) || h.DictionaryID != dictionary || h.WindowSize > 2*MaxPatchWindow {
		return nil, ErrSize
	}
	o := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(max(raw, leastWindow))), zstd.WithDecoderMaxWindow(2 * MaxPatchWindow)}
	if len(window) > 0 {
		o = append(o, zstd.WithDecoderDictRaw(patchDictionary, window))
	}
	d, err := zstd.NewReader(nil, o...)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	out, err := d.DecodeAll(frame, make([]byte, 0, raw))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if int64(len(out)) != raw {
		return nil, ErrSize
	}
	return out, nil
}

// AppendPatchPiece appends the piece that makes raw of a window of the base.
func AppendPatchPiece(b []byte, base []byte, from, to int, raw []byte) ([]byte, error) {
	o := []zstd.EOption{zstd.WithEncoderLevel(patchLevel), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithWindowSize(4 << 20)}
	if to > from {
		o = append(o, zstd.WithEncoderDictRaw(patchDictionary, base[from:to]))
	}
	e, err := zstd.NewWriter(nil, o...)
	if err != nil {
		return nil, err
	}
	frame := e.EncodeAll(raw, nil)
	for _, n := range []int{from, to - from, len(raw), len(frame)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return append(b, frame...), nil
}
