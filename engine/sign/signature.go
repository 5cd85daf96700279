package sign

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"aead.dev/minisign"
	"golang.org/x/crypto/blake2b"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// Limits of a signature file, in bytes. Those of comments are minisign's.
const (
	MaxSignatureFile  = 16 << 10
	MaxTrustedComment = 8192 - 1
	// maxLegacy bounds messages whose signature is over the bytes themselves
	// and not over their hash: they must be held in memory.
	maxLegacy = 256 << 20
)

// A Signature is a detached signature in minisign's format.
type Signature struct {
	lib minisign.Signature
}

// Sign signs what message gives, to its end, by its hash: no more than a block
// of it is in memory. The comment is signed too; it is what programs show, one
// line of printable text.
func Sign(ctx context.Context, k *SecretKey, message io.Reader, comment string) (*Signature, error) {
	if err := CheckComment(comment); err != nil {
		return nil, err
	}
	sum, err := hash(ctx, message)
	if err != nil {
		return nil, err
	}
	s := minisign.Signature{
		Algorithm:        minisign.HashEdDSA,
		KeyID:            uint64(k.id),
		TrustedComment:   comment,
		UntrustedComment: "signature from key " + k.id.String(),
	}
	copy(s.Signature[:], ed25519.Sign(k.key, sum))
	copy(s.CommentSignature[:], ed25519.Sign(k.key, append(s.Signature[:], comment...)))
	return &Signature{s}, nil
}

// CheckComment refuses what cannot be a trusted comment.
func CheckComment(comment string) error {
	printable := !strings.ContainsFunc(comment, func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' })
	if !printable || !utf8.ValidString(comment) || len(comment) > MaxTrustedComment {
		return fmt.Errorf("a signature's comment is one line of printable text, at most %d bytes", MaxTrustedComment)
	}
	return nil
}

// ParseSignature reads the content of a signature's file. The error wraps
// ErrUnverified: what cannot be read proves nothing.
func ParseSignature(text []byte) (*Signature, error) {
	if len(text) > MaxSignatureFile {
		return nil, refuse("the signature is longer than %d bytes", MaxSignatureFile)
	}
	var s Signature
	if err := s.lib.UnmarshalText(text); err != nil {
		return nil, refuse("this is not a signature of minisign's format")
	}
	if CheckComment(s.lib.TrustedComment) != nil {
		return nil, refuse("the signature's comment holds what is not printable text")
	}
	return &s, nil
}

// File is the content of the signature's file.
func (s *Signature) File() []byte { return []byte(s.lib.String()) }

// KeyID says which key made s, if s is genuine.
func (s *Signature) KeyID() KeyID { return KeyID(s.lib.KeyID) }

// Comment is the comment that was signed. Believe it only after Verify.
func (s *Signature) Comment() string { return s.lib.TrustedComment }

// Legacy reports whether the signature is over the bytes themselves. Such are
// read, and never made.
func (s *Signature) Legacy() bool { return s.lib.Algorithm == minisign.EdDSA }

// Verify checks that one of the keys signed what message gives, and returns
// it. An error that wraps ErrUnverified says why not; others are of reading.
func (s *Signature) Verify(ctx context.Context, message io.Reader, keys ...PublicKey) (PublicKey, error) {
	keys = s.candidates(keys)
	if len(keys) == 0 {
		return PublicKey{}, refuse("signed by key %s, which is not trusted", s.KeyID())
	}
	signed, err := s.signed(ctx, message)
	if err != nil {
		return PublicKey{}, err
	}
	for _, key := range keys {
		if !ed25519.Verify(key.raw[:], signed, s.lib.Signature[:]) {
			continue
		}
		all := append(s.lib.Signature[:len(s.lib.Signature):len(s.lib.Signature)], s.lib.TrustedComment...)
		if !ed25519.Verify(key.raw[:], all, s.lib.CommentSignature[:]) {
			return PublicKey{}, refuse("the signature's comment was changed after signing")
		}
		return key, nil
	}
	return PublicKey{}, refuse("the signature of key %s is not over these bytes, or not by that key", s.KeyID())
}

// candidates are the keys with the signature's id.
func (s *Signature) candidates(keys []PublicKey) (found []PublicKey) {
	for _, k := range keys {
		if k.id == s.KeyID() {
			found = append(found, k)
		}
	}
	return found
}

// signed is what the signature is over.
func (s *Signature) signed(ctx context.Context, message io.Reader) ([]byte, error) {
	if !s.Legacy() {
		return hash(ctx, message)
	}
	b, err := io.ReadAll(io.LimitReader(ctxio.Reader(ctx, message), maxLegacy+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxLegacy {
		return nil, refuse("the signature is in the legacy format, which is supported up to %d MiB only; sign the file again", maxLegacy>>20)
	}
	return b, nil
}

func hash(ctx context.Context, r io.Reader) ([]byte, error) {
	h, err := blake2b.New512(nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyBuffer(h, ctxio.Reader(ctx, r), make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}
