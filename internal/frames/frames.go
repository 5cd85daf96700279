// Package frames keeps files of frames with checksums, to which processes append.
//
// A file is a text that names its format, then frames. Integers are little-endian:
//
//	frame: uint32 length of the body, uint32 CRC-32C of the body, body
//
// Reading ends at the first frame that is cut off or does not match its checksum.
package frames

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// HeaderSize is the length of a frame without its body, in bytes.
const HeaderSize = 8

// Encode appends a frame with the given body to b.
func Encode(b, body []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, Checksum(body))
	return append(b, body...)
}

// Decode calls decode with the body of each frame of b, the content of a file that
// begins with magic. It stops and returns false where b is not such a file, a frame is
// cut off or damaged, or decode does not know the body.
func Decode(b []byte, magic string, decode func(body []byte) bool) bool {
	b, ok := bytes.CutPrefix(b, []byte(magic))
	for ok && len(b) > 0 {
		var body []byte
		body, b, ok = next(b)
		ok = ok && decode(body)
	}
	return ok
}

// next takes the first frame off b.
func next(b []byte) (body, rest []byte, ok bool) {
	if len(b) < HeaderSize {
		return nil, nil, false
	}
	size, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	b = b[HeaderSize:]
	if uint64(size) > uint64(len(b)) || Checksum(b[:size]) != sum {
		return nil, nil, false
	}
	return b[:size:size], b[size:], true
}

// Checksum is the CRC-32C of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Append appends a frame to the file name, which must exist, in one write: frames of
// processes that append at the same time do not mix.
func Append(name string, body []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(Encode(nil, body))
	return errors.Join(err, f.Close())
}

// Replace rewrites the file name, with magic and one frame. What another process
// appends meanwhile is lost. Only the user may read the file.
func Replace(name, magic string, body []byte) error {
	return atomicfile.Write(name, Encode([]byte(magic), body), atomicfile.Options{Perm: 0o600})
}
