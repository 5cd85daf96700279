package format

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// PackHeader begins every pack: a zstd frame with one raw block that holds
// "airbuild-pack-1\n". The version is in the bytes, and programs that compress
// layers which are not compressed yet leave packs alone.
const PackHeader = "\x28\xb5\x2f\xfd\x20\x10\x81\x00\x00airbuild-pack-1\n"

// BlockSize is how much content makes a block, in bytes: large enough to
// compress nearly as well as the whole would, small enough to read one file
// quickly and to hold several in memory.
const BlockSize = 1 << 20

// worthIt is the share of a block, in percent, that compression must save at
// least. Decompressing costs more than reading that little.
const worthIt = 3

// NewEncoder returns the encoder of blocks and of the index. The bytes that it
// makes are part of what a bundle's identity depends on.
func NewEncoder(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithWindowSize(BlockSize*2))
}

// BlockLevel and indexLevel were chosen by measurement: see docs/formats.md.
const (
	BlockLevel = zstd.SpeedFastest
	IndexLevel = zstd.SpeedBetterCompression
)

// EncodeBlock returns the stored form of raw, which is raw itself where
// compression saves too little.
func EncodeBlock(e *zstd.Encoder, raw []byte, buf []byte) (stored []byte, k Block) {
	stored, k.Method = e.EncodeAll(raw, buf[:0]), BlockZstd
	if len(stored) >= len(raw)-len(raw)*worthIt/100 {
		stored, k.Method = raw, BlockStored
	}
	k.Raw, k.Stored, k.Sum = len(raw), len(stored), sha256.Sum256(stored)
	return stored, k
}

// leastWindow is the least that a decoder must be allowed to use, in bytes.
const leastWindow = 64 << 10

// NewDecoder returns a decoder that makes at most limit bytes, or leastWindow,
// of one frame. It may be used by many goroutines.
func NewDecoder(limit int64, jobs int) (*zstd.Decoder, error) {
	limit = max(limit, leastWindow)
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(jobs), zstd.WithDecoderMaxMemory(uint64(limit)), zstd.WithDecoderLowmem(true))
}

// DecodeFrame decompresses stored, which must be one zstd frame that says its
// size, and that exactly raw.
func DecodeFrame(d *zstd.Decoder, stored []byte, raw int64) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(stored); err != nil {
		return nil, fmt.Errorf("it is not compressed with zstd: %w", err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(raw) || h.DictionaryID != 0 || h.WindowSize > uint64(max(raw, 1<<10)) {
		return nil, ErrSize
	}
	b, err := d.DecodeAll(stored, make([]byte, 0, raw))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if int64(len(b)) != raw {
		return nil, ErrSize
	}
	return b, nil
}

// Decode verifies the stored bytes of k before it decompresses them.
func (k *Block) Decode(d *zstd.Decoder, stored []byte) ([]byte, error) {
	if sha256.Sum256(stored) != k.Sum {
		return nil, fmt.Errorf("its bytes are not those that were signed")
	}
	if k.Method == BlockStored {
		return stored, nil
	}
	return DecodeFrame(d, stored, int64(k.Raw))
}

// codecName stands for the encoder in recipes. It changes with every change of
// the encoder or its settings that could change a pack's bytes.
const codecName = "zstd-1"

// ErrSize says that a compressed text is not as large as it says.
var ErrSize = errors.New("it does not have the size that it should have")
