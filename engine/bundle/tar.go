package bundle

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
	tarBlock   = 512
	tarTrailer = 2 * tarBlock
)

// tarHeader returns the header of a member. Names have at most 100 bytes.
func tarHeader(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0),
	})
	return b.Bytes(), err
}

var (
	errTarEnd    = errors.New("end of the volume")
	errTarHeader = errors.New("it is not the header of a member as airbuild writes it")
)

// parseTarHeader reads a header. At the trailer the error is errTarEnd.
func parseTarHeader(b []byte) (name string, size int64, err error) {
	if allZero(b) {
		return "", 0, errTarEnd
	}
	text, _, _ := bytes.Cut(b[:100], []byte{0})
	digits := bytes.TrimRight(b[124:136], "\x00 ")
	size, err = strconv.ParseInt(string(digits), 8, 64)
	if err != nil || size < 0 || len(text) == 0 {
		return "", 0, errTarHeader
	}
	again, err := tarHeader(string(text), size)
	if err != nil || !bytes.Equal(again, b) {
		return "", 0, errTarHeader
	}
	return string(text), size, nil
}

// tarPadding is how many zeros follow a member of this size.
func tarPadding(size int64) int64 { return -size & (tarBlock - 1) }

// tarSize is what a member takes in a volume.
func tarSize(size int64) int64 { return tarBlock + size + tarPadding(size) }

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
