// Package signatures verifies signatures beside files, and statements of provenance
// about files, with keys that are given or trusted, and says what keys are and are
// trusted for.
package signatures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/sign"
)

// A Verified is a signature that is genuine.
type Verified struct {
	File      string   `json:"file"`
	Signature string   `json:"signature"`
	Format    string   `json:"format"`
	Keys      []string `json:"keys"`  // ids
	Names     []string `json:"names"` // what the keyring calls them
	Comment   string   `json:"comment"`
}

// A Verifier checks signatures with some keys.
type Verifier struct {
	Ring      *sign.Keyring
	Keys      []sign.PublicKey
	Threshold int
	Accepted  []sign.PublicKey // those that signed
}

// Distinct leaves each key once.
func Distinct(keys []sign.PublicKey) (once []sign.PublicKey) {
	for _, key := range keys {
		if !slices.ContainsFunc(once, key.SameKey) {
			once = append(once, key)
		}
	}
	return once
}

// ExitCode is the exit code for a file that was not verified.
func ExitCode(err error) int {
	switch {
	case errors.Is(err, sign.ErrUnverified):
		return exit.Unverified
	case errors.Is(err, fs.ErrNotExist):
		return exit.Usage
	}
	return exit.Failed
}

// KeysOf are the keys that are named, or all of the keyring. Whether they
// are trusted for what they signed is checked where they did.
func KeysOf(ring *sign.Keyring, named []string) ([]sign.PublicKey, error) {
	if len(named) == 0 {
		keys, err := ring.Known()
		if err == nil && len(keys) == 0 {
			err = exit.With(exit.Unverified, fmt.Errorf("no key is trusted, and none is given.\nTo trust one: airbuild key trust FILE --for release. To use one this time: --key FILE"))
		}
		return keys, err
	}
	var keys []sign.PublicKey
	for _, name := range named {
		key, err := signatureKey(ring, name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// signatureKey reads a key that is given as a file, as text, or by name or id.
func signatureKey(ring *sign.Keyring, name string) (sign.PublicKey, error) {
	if IsKeyFile(name) {
		if key, err := sign.ParsePublicKey([]byte(name)); err == nil { // base64 may hold a slash
			return key, nil
		}
		key, err := sign.ReadPublicKey(name)
		if err != nil {
			return key, exit.UsageError("--key: %w", err)
		}
		return key, nil
	}
	e, err := ring.Find(name)
	if err == nil && e.Key.IsZero() {
		return sign.PublicKey{}, exit.UsageError("--key %s: %w", name, e.Err)
	}
	if err == nil {
		return e.Key, nil
	}
	if key, perr := sign.ParsePublicKey([]byte(name)); perr == nil {
		return key, nil
	}
	if errors.Is(err, sign.ErrNoKey) {
		return sign.PublicKey{}, exit.UsageError("--key: %w.\nThe keys there are: airbuild key list. A file is named with its folder or .pub: ./%s", err, name)
	}
	return sign.PublicKey{}, err
}

// File verifies the signatures of one file.
func (v *Verifier) File(ctx context.Context, file, signature string) (good []Verified, err error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	signatures := []string{signature}
	if signature == "" {
		if signatures = signaturesOf(file); len(signatures) == 0 {
			return nil, notSigned{file}
		}
	}
	for _, s := range signatures {
		ok, err := v.signature(ctx, file, s)
		if err != nil {
			return good, err
		}
		good = append(good, *ok)
	}
	return good, nil
}

// notSigned says that there is no signature to verify.
type notSigned struct{ file string }

func (n notSigned) Error() string {
	return "it has no signature: there is neither a .minisig nor a .dsse.json next to it; use --signature to name it"
}

// signaturesOf finds the signatures beside a file. An envelope that has none
// is its own.
func signaturesOf(file string) (found []string) {
	for _, ext := range []string{".minisig", ".dsse.json"} {
		if _, err := os.Stat(file + ext); err == nil {
			found = append(found, file+ext)
		}
	}
	if len(found) == 0 && strings.HasSuffix(file, ".dsse.json") {
		found = []string{file}
	}
	return found
}

func (v *Verifier) signature(ctx context.Context, file, signature string) (*Verified, error) {
	text, err := readSignature(signature)
	if err != nil {
		return nil, err
	}
	content, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	ok := &Verified{File: file, Signature: signature, Keys: []string{}, Names: []string{}}
	var keys []sign.PublicKey
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		ok.Format = "dsse"
		keys, ok.Comment, err = v.envelope(ctx, text, content, file == signature)
	} else {
		ok.Format = "minisign"
		keys, ok.Comment, err = v.minisign(ctx, text, content)
	}
	if err != nil {
		return nil, err
	}
	v.Accepted = append(v.Accepted, keys...)
	for _, k := range keys {
		ok.Keys = append(ok.Keys, k.ID().String())
		ok.Names = append(ok.Names, v.Ring.Name(k))
	}
	return ok, nil
}

// readSignature reads a signature of either kind. What is too long is cut one
// byte behind the limit, so that it is refused by who decodes it.
func readSignature(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, sign.MaxEnvelope+1))
}

// admit lets keys count that are trusted for releases.
func (v *Verifier) admit(key sign.PublicKey) error {
	return v.Ring.Check(key, sign.Need{Purpose: sign.Release})
}

func (v *Verifier) minisign(ctx context.Context, text []byte, content io.Reader) ([]sign.PublicKey, string, error) {
	if v.Threshold > 1 {
		return nil, "", notEnough{}
	}
	s, err := sign.ParseSignature(text)
	if err != nil {
		return nil, "", err
	}
	key, err := s.Verify(ctx, content, v.Keys...)
	if err == nil {
		err = v.admit(key)
	}
	return []sign.PublicKey{key}, s.Comment(), err
}

// notEnough says that a file of minisign's format holds one signature.
type notEnough struct{}

// envelope verifies an envelope; own says that the file is the envelope.
func (v *Verifier) envelope(ctx context.Context, text []byte, content io.Reader, own bool) ([]sign.PublicKey, string, error) {
	e, err := sign.ParseEnvelope(text)
	if err != nil {
		return nil, "", err
	}
	keys, err := e.VerifyAs(v.Threshold, v.Keys, v.admit)
	if err == nil && !own {
		err = e.Covers(ctx, content)
	}
	return keys, e.Comment(), err
}

// IsKeyFile reports whether an argument that is a key or a file is a file:
// names of keys have no separator and no .pub.
func IsKeyFile(arg string) bool {
	return strings.ContainsAny(arg, `/\`) || strings.EqualFold(filepath.Ext(arg), ".pub")
}

func (notSigned) Is(target error) bool { return target == sign.ErrUnverified }

func (notEnough) Error() string {
	return "a signature of minisign's format is by one key, and --threshold requires more"
}

func (notEnough) Is(target error) bool { return target == sign.ErrUnverified }
