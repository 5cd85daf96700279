package sign

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"aead.dev/minisign"
	"golang.org/x/crypto/blake2b"
)

// A SecretKey signs. It never shows itself: every form of printing gives its
// id alone.
type SecretKey struct {
	id  KeyID
	key ed25519.PrivateKey
}

// Public is the key that checks what k signs.
func (k *SecretKey) Public() PublicKey {
	p := PublicKey{id: k.id}
	copy(p.raw[:], k.key[ed25519.SeedSize:])
	return p
}

// Format prints the id, whatever the verb is.
func (k *SecretKey) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "secret key %s", k.id) }

// Generate makes a key from random bytes; with nil, from the system's.
func Generate(random io.Reader) (*SecretKey, error) {
	random = cmp.Or(random, rand.Reader)
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	k := &SecretKey{key: ed25519.NewKeyFromSeed(seed[:])}
	id := blake2b.Sum256(k.key[ed25519.SeedSize:])
	k.id = KeyID(binary.LittleEndian.Uint64(id[:]))
	return k, nil
}

// Bytes of a secret key's file, after base64. Numbers are little endian.
const (
	kdfAt    = 2   // "Sc": scrypt with a password; 0: none
	sumAlgAt = 4   // "B2": BLAKE2b-256
	saltAt   = 6   // 32 bytes
	opsAt    = 38  // scrypt's limits, as libsodium counts them: 8 bytes each
	bodyAt   = 54  // id, seed, public key and sum; XORed with scrypt's stream
	sumAt    = 126 // BLAKE2b-256 of algorithm, id, seed and public key
	secretSz = 158

	kdfScrypt = "Sc"
	sumAlg    = "B2"
)

const secretComment = commentPrefix + "minisign encrypted secret key\n"

// File is the content of the key's file, encrypted with a password unless that
// is empty. The file holds the secret: mode 0600. Encryption takes a gigabyte
// of memory and a second or more, which is what makes guessing dear; it uses
// random bytes, so that no two files are alike.
func (k *SecretKey) File(password string) ([]byte, error) {
	b := k.plain()
	if password == "" {
		return secretText(b), nil
	}
	var lib minisign.PrivateKey
	if err := lib.UnmarshalText(secretText(b)); err != nil {
		return nil, fmt.Errorf("encrypt secret key: %w", err)
	}
	text, err := minisign.EncryptKey(password, lib)
	if err != nil {
		return nil, fmt.Errorf("encrypt secret key: %w", err)
	}
	if b, err = decodeKeyText(text); err != nil {
		return nil, fmt.Errorf("encrypt secret key: %w", err)
	}
	return secretText(b), nil
}

// plain is the unencrypted form. Unlike the library's it has the sum, which
// tells damage from a key.
func (k *SecretKey) plain() []byte {
	b := make([]byte, secretSz)
	copy(b, algorithm)
	copy(b[sumAlgAt:], sumAlg)
	binary.LittleEndian.PutUint64(b[bodyAt:], uint64(k.id))
	copy(b[bodyAt+8:], k.key)
	sum := secretSum(b)
	copy(b[sumAt:], sum[:])
	return b
}

func secretSum(plain []byte) [blake2b.Size256]byte {
	return blake2b.Sum256(append([]byte(algorithm), plain[bodyAt:sumAt]...))
}

func secretText(b []byte) []byte {
	return append([]byte(secretComment), base64.StdEncoding.EncodeToString(b)+"\n"...)
}

// IsSecretKey reports whether text is the content of a secret key's file.
func IsSecretKey(text []byte) bool {
	b, err := decodeKeyText(text)
	return err == nil && len(b) == secretSz && string(b[:2]) == algorithm
}

// IsEncrypted reports whether text is a secret key that needs a password.
func IsEncrypted(text []byte) bool {
	b, err := decodeKeyText(text)
	return err == nil && len(b) == secretSz && string(b[kdfAt:kdfAt+2]) == kdfScrypt
}

// ParseSecretKey reads the content of a secret key's file. The password is
// asked for only if the key is encrypted; nil says that there is none to be
// had. The error never quotes the text.
func ParseSecretKey(text []byte, password func() (string, error)) (*SecretKey, error) {
	b, err := decodeKeyText(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("this is not a secret key: %w", err)
	case len(b) != secretSz || string(b[:2]) != algorithm || string(b[sumAlgAt:sumAlgAt+2]) != sumAlg:
		return nil, errors.New("this is not a secret key of minisign's format")
	}
	switch kdf := string(b[kdfAt : kdfAt+2]); kdf {
	case "\x00\x00":
		return parsePlain(b)
	case kdfScrypt:
		return decrypt(b, password)
	}
	return nil, errors.New("this secret key uses an unsupported encryption")
}

func parsePlain(b []byte) (*SecretKey, error) {
	var none [blake2b.Size256]byte
	sum := secretSum(b)
	// Some programs leave the sum of an unencrypted key empty.
	if subtle.ConstantTimeCompare(sum[:], b[sumAt:])|subtle.ConstantTimeCompare(none[:], b[sumAt:]) != 1 {
		return nil, errors.New("this secret key is damaged")
	}
	return newSecretKey(b[bodyAt:sumAt])
}

// newSecretKey takes id, seed and public key. A public half that is not the
// seed's would give signatures that betray the secret.
func newSecretKey(body []byte) (*SecretKey, error) {
	k := &SecretKey{
		id:  KeyID(binary.LittleEndian.Uint64(body)),
		key: ed25519.NewKeyFromSeed(body[8 : 8+ed25519.SeedSize]),
	}
	if subtle.ConstantTimeCompare(k.key, body[8:]) != 1 {
		return nil, errors.New("this secret key is damaged: its halves do not belong together")
	}
	return k, nil
}

// The most that a file may ask of scrypt: what EncryptKey and minisign use.
const (
	maxScryptOps = 1 << 25
	maxScryptMem = 1 << 30 // bytes
)

func decrypt(b []byte, password func() (string, error)) (*SecretKey, error) {
	if password == nil {
		return nil, errors.New("this secret key needs a password")
	}
	ops, mem := binary.LittleEndian.Uint64(b[opsAt:]), binary.LittleEndian.Uint64(b[opsAt+8:])
	if ops > maxScryptOps || mem > maxScryptMem {
		return nil, errors.New("this secret key asks for more memory or time than any program gives it")
	}
	word, err := password()
	if err != nil {
		return nil, err
	}
	lib, err := minisign.DecryptKey(word, secretText(b))
	if err != nil {
		return nil, ErrPassword
	}
	text, err := lib.MarshalText()
	if err != nil {
		return nil, ErrPassword
	}
	if b, err = decodeKeyText(text); err != nil {
		return nil, ErrPassword
	}
	return newSecretKey(b[bodyAt:sumAt])
}
