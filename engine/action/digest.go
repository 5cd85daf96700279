package action

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Digest names bytes by content: their SHA-256 and their length. The length
// is part of the name, as in the Remote Execution API, so that a reader can
// refuse a wrong size before it reads anything. Digests are comparable and
// serve as map keys. The zero Digest names nothing.
type Digest struct {
	Hash [sha256.Size]byte
	Size int64
}

// Of returns the digest of b.
func Of(b []byte) Digest {
	return Digest{Hash: sha256.Sum256(b), Size: int64(len(b))}
}

// IsZero reports whether d names nothing. The digest of no bytes is not zero.
func (d Digest) IsZero() bool { return d == Digest{} }

// Hex returns the hash as 64 lower-case hexadecimal digits.
func (d Digest) Hex() string { return hex.EncodeToString(d.Hash[:]) }

// String returns "<hex>/<size>", the Remote Execution API's way to write one.
func (d Digest) String() string { return d.Hex() + "/" + strconv.FormatInt(d.Size, 10) }

// ParseHash parses the 64 lower-case hexadecimal digits of a hash. Names that
// become file names are checked here and nowhere else.
func ParseHash(s string) (h [sha256.Size]byte, err error) {
	if len(s) != 2*sha256.Size || strings.ToLower(s) != s {
		return h, fmt.Errorf("hash %q: want %d lower-case hexadecimal digits", s, 2*sha256.Size)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("hash %q: %w", s, err)
	}
	return h, nil
}

// OfReader returns the digest of all that r gives.
func OfReader(r io.Reader) (Digest, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	d := Digest{Size: n}
	h.Sum(d.Hash[:0])
	return d, err
}

// OfFile returns the digest of a file that was just opened, and closes it; the
// error is that of opening it if there was one.
func OfFile[F io.ReadCloser](f F, err error) (Digest, error) {
	if err != nil {
		return Digest{}, err
	}
	defer f.Close()
	return OfReader(f)
}

// ParseDigest parses what String writes.
func ParseDigest(s string) (Digest, error) {
	hash, size, ok := strings.Cut(s, "/")
	if !ok {
		return Digest{}, fmt.Errorf("digest %q: want <hash>/<size>", s)
	}
	h, err := ParseHash(hash)
	if err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", s, err)
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 || size != strconv.FormatInt(n, 10) {
		return Digest{}, fmt.Errorf("digest %q: bad size", s)
	}
	return Digest{Hash: h, Size: n}, nil
}
