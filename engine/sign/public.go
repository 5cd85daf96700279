package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// MaxKeyFile bounds what is read of a key file, in bytes.
const MaxKeyFile = 4 << 10

// algorithm names ed25519 in key files.
const algorithm = "Ed"

// A KeyID is the name that a key carries in its files and signatures. It is
// chosen at random or by whoever made the key, and proves nothing: it says
// which key to try.
type KeyID uint64

// String is the id as minisign prints it: 16 upper case hexadecimal digits.
func (id KeyID) String() string { return fmt.Sprintf("%016X", uint64(id)) }

// ParseKeyID reads what String gives, in either case.
func ParseKeyID(s string) (KeyID, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("key id %q: want 16 hexadecimal digits", s)
	}
	return KeyID(n), nil
}

// A PublicKey is an ed25519 key that signatures are checked with. Values can
// be compared with ==; the zero value is no key.
type PublicKey struct {
	id  KeyID
	raw [ed25519.PublicKeySize]byte
}

// ID is the key's id.
func (p PublicKey) ID() KeyID { return p.id }

// IsZero reports whether p is no key.
func (p PublicKey) IsZero() bool { return p == PublicKey{} }

// SameKey reports whether both are one ed25519 key, whatever their ids are:
// an id can be written anew by anybody, and must not make two keys of one.
func (p PublicKey) SameKey(q PublicKey) bool { return p.raw == q.raw }

// Ed25519 is the key for the standard library.
func (p PublicKey) Ed25519() ed25519.PublicKey { return bytes.Clone(p.raw[:]) }

// String is the key in one line, as minisign's -P takes it.
func (p PublicKey) String() string {
	b := binary.LittleEndian.AppendUint64([]byte(algorithm), uint64(p.id))
	return base64.StdEncoding.EncodeToString(append(b, p.raw[:]...))
}

// File is the content of the key's file.
func (p PublicKey) File() []byte {
	return fmt.Appendf(nil, "untrusted comment: minisign public key %s\n%s\n", p.id, p)
}

// Fingerprint is the key in a form that people can read to each other: six
// groups of five digits, 99 bits of a SHA-256 of the key (not of its id).
// Keys of one fingerprint are one key.
func (p PublicKey) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("airbuild-fingerprint-1\n"), p.raw[:]...))
	var groups []string
	for i := range 6 {
		var b [8]byte
		copy(b[3:], sum[5*i:5*i+5])
		groups = append(groups, fmt.Sprintf("%05d", binary.BigEndian.Uint64(b[:])%100_000))
	}
	return strings.Join(groups, " ")
}

// ParsePublicKey reads a public key: the content of a file, or the one line of
// String.
func ParsePublicKey(text []byte) (PublicKey, error) {
	if IsSecretKey(text) {
		return PublicKey{}, errors.New("this is a secret key; the public one is in the .pub file next to it")
	}
	b, err := decodeKeyText(text)
	if err != nil {
		return PublicKey{}, fmt.Errorf("this is not a public key: %w", err)
	}
	if len(b) != len(algorithm)+8+ed25519.PublicKeySize || string(b[:2]) != algorithm {
		return PublicKey{}, errors.New("this is not a public key of minisign's format")
	}
	p := PublicKey{id: KeyID(binary.LittleEndian.Uint64(b[2:]))}
	copy(p.raw[:], b[10:])
	return p, nil
}

// ReadPublicKey reads a public key's file.
func ReadPublicKey(name string) (PublicKey, error) {
	b, err := readBounded(name, MaxKeyFile)
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key: %w", err)
	}
	p, err := ParsePublicKey(b)
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key %s: %w", name, err)
	}
	return p, nil
}

// decodeKeyText decodes what key files have in common: an optional line of
// comment, then one line of base64.
func decodeKeyText(text []byte) ([]byte, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxKeyFile)
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n \t"), "\n")
	if strings.HasPrefix(lines[0], commentPrefix) {
		lines = lines[1:]
	}
	if len(lines) != 1 || lines[0] == "" {
		return nil, errors.New("want a line of comment and a line of base64")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(lines[0]))
	if err != nil {
		return nil, errors.New("its second line is not base64")
	}
	return b, nil
}

const commentPrefix = "untrusted comment: "

// readBounded reads a file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return b, nil
}
