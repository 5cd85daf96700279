package format

import (
	"archive/tar"
	"bytes"
	"errors"
	"strconv"
	"time"
)

// A volume is a tar file of one strict form: regular files alone, mode 0644, no
// owner, no time, zeros as padding, two blocks of zeros at the end. So there is
// one encoding for each member, and a reader takes nothing else: no links, no
// devices, no modes, no extensions.

const (
	TarBlock   = 512
	TarTrailer = 2 * TarBlock
)

// TarHeader returns the header of a member. Names have at most 100 bytes.
func TarHeader(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0),
	})
	return b.Bytes(), err
}

var (
	ErrTarEnd    = errors.New("end of the volume")
	errTarHeader = errors.New("it is not the header of a member as airbuild writes it")
)

// ParseTarHeader reads a header. At the trailer the error is errTarEnd.
func ParseTarHeader(b []byte) (name string, size int64, err error) {
	if AllZero(b) {
		return "", 0, ErrTarEnd
	}
	text, _, _ := bytes.Cut(b[:100], []byte{0})
	digits := bytes.TrimRight(b[124:136], "\x00 ")
	size, err = strconv.ParseInt(string(digits), 8, 64)
	if err != nil || size < 0 || len(text) == 0 {
		return "", 0, errTarHeader
	}
	again, err := TarHeader(string(text), size)
	if err != nil || !bytes.Equal(again, b) {
		return "", 0, errTarHeader
	}
	return string(text), size, nil
}

// TarPadding is how many zeros follow a member of this size.
func TarPadding(size int64) int64 { return -size & (TarBlock - 1) }

// TarSize is what a member takes in a volume.
func TarSize(size int64) int64 { return TarBlock + size + TarPadding(size) }

// AllZero reports whether b is zeros alone.
func AllZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
