package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/sign"
)

// A signatureFlags are the flags of verify-signature alone.
type signatureFlags struct {
	signature string
	keys      []string
	threshold int
}

func verifySignatureCommand(a *app) *cobra.Command {
	f := &signatureFlags{}
	c := &cobra.Command{
		Use:   "verify-signature FILE…",
		Short: "Check the signatures of files",
		Long: "Check the signatures of files: FILE.minisig and FILE.dsse.json beside each, all that\n" +
			"are there and at least one. Without --key they are to be by a key of the keyring, one\n" +
			"that is trusted or your own. Ends with exit code 3 if one does not verify.",
		Example: "  airbuild verify-signature dist/*.tar.gz\n  airbuild verify-signature app.zip --key site.pub",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.UsageError("%s wants files: %s", c.CommandPath(), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runVerifySignature(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.signature, "signature", "", "the signature is in `FILE`; for one file only")
	fl.StringArrayVar(&f.keys, "key", nil, "a public `KEY`: a file, a key's text, or a name or id of the keyring; may be repeated")
	fl.IntVar(&f.threshold, "threshold", 1, "want signatures by `N` keys; more than one is for DSSE only")
	return c
}

// A verified is a signature that is genuine.
type verified struct {
	File      string   `json:"file"`
	Signature string   `json:"signature"`
	Format    string   `json:"format"`
	Keys      []string `json:"keys"`  // ids
	Names     []string `json:"names"` // what the keyring calls them
	Comment   string   `json:"comment"`
}

// A verifier checks signatures with some keys.
type verifier struct {
	ring      *sign.Keyring
	keys      []sign.PublicKey
	threshold int
	accepted  []sign.PublicKey // those that signed
}

func runVerifySignature(ctx context.Context, a *app, files []string, f *signatureFlags) error {
	if f.signature != "" && len(files) > 1 {
		return exit.UsageError("--signature is for one file, and there are %d", len(files))
	}
	if f.threshold < 1 {
		return exit.UsageError("--threshold %d: want a number from 1", f.threshold)
	}
	var err error
	ring := a.knownKeys()
	v := &verifier{ring: ring, threshold: f.threshold}
	if v.keys, err = signatureKeys(ring, f.keys); err != nil {
		return err
	}
	var first error
	good := []verified{}
	for _, file := range files {
		found, err := v.file(ctx, file, f.signature)
		good = append(good, found...)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(a.err, "%s: %s\n", human.OneLine(file), human.OneLine(err.Error()))
		if code := signatureCode(err); first == nil || code == exit.Unverified {
			first = exit.Silent(code)
		}
	}
	a.warnUnlimited(ring, distinct(v.accepted), sign.Need{Purpose: sign.Release})
	if a.json() {
		err = a.writeJSON(map[string]any{"ok": first == nil, "signatures": good})
	} else {
		err = writeVerified(a, good)
	}
	return exit.First(first, err)
}

// distinct leaves each key once.
func distinct(keys []sign.PublicKey) (once []sign.PublicKey) {
	for _, key := range keys {
		if !slices.ContainsFunc(once, key.SameKey) {
			once = append(once, key)
		}
	}
	return once
}

// signatureCode is the exit code for a file that was not verified.
func signatureCode(err error) int {
	switch {
	case errors.Is(err, sign.ErrUnverified):
		return exit.Unverified
	case errors.Is(err, fs.ErrNotExist):
		return exit.Usage
	}
	return exit.Failed
}

// signatureKeys are the keys that are named, or all of the keyring. Whether they
// are trusted for what they signed is checked where they did.
func signatureKeys(ring *sign.Keyring, named []string) ([]sign.PublicKey, error) {
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
	if isKeyFile(name) {
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

// file verifies the signatures of one file.
func (v *verifier) file(ctx context.Context, file, signature string) (good []verified, err error) {
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
	return "it has no signature: there is neither a .minisig nor a .dsse.json beside it; say where it is with --signature"
}

func (notSigned) Is(target error) bool { return target == sign.ErrUnverified }

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

func (v *verifier) signature(ctx context.Context, file, signature string) (*verified, error) {
	text, err := readSignature(signature)
	if err != nil {
		return nil, err
	}
	content, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	ok := &verified{File: file, Signature: signature, Keys: []string{}, Names: []string{}}
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
	v.accepted = append(v.accepted, keys...)
	for _, k := range keys {
		ok.Keys = append(ok.Keys, k.ID().String())
		ok.Names = append(ok.Names, v.ring.Name(k))
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
func (v *verifier) admit(key sign.PublicKey) error {
	return v.ring.Check(key, sign.Need{Purpose: sign.Release})
}

func (v *verifier) minisign(ctx context.Context, text []byte, content io.Reader) ([]sign.PublicKey, string, error) {
	if v.threshold > 1 {
		return nil, "", notEnough{}
	}
	s, err := sign.ParseSignature(text)
	if err != nil {
		return nil, "", err
	}
	key, err := s.Verify(ctx, content, v.keys...)
	if err == nil {
		err = v.admit(key)
	}
	return []sign.PublicKey{key}, s.Comment(), err
}

// notEnough says that a file of minisign's format holds one signature.
type notEnough struct{}

func (notEnough) Error() string {
	return "a signature of minisign's format is by one key, and --threshold wants more"
}

func (notEnough) Is(target error) bool { return target == sign.ErrUnverified }

// envelope verifies an envelope; own says that the file is the envelope.
func (v *verifier) envelope(ctx context.Context, text []byte, content io.Reader, own bool) ([]sign.PublicKey, string, error) {
	e, err := sign.ParseEnvelope(text)
	if err != nil {
		return nil, "", err
	}
	keys, err := e.VerifyAs(v.threshold, v.keys, v.admit)
	if err == nil && !own {
		err = e.Covers(ctx, content)
	}
	return keys, e.Comment(), err
}

func writeVerified(a *app, good []verified) error {
	for _, g := range good {
		text := fmt.Sprintf("%s: signed by %s (%s)", g.File, strings.Join(g.Names, ", "), g.Format)
		if g.Comment != "" {
			text += ": " + strings.ReplaceAll(g.Comment, "\t", " ")
		}
		if _, err := fmt.Fprintln(a.out, human.OneLine(text)); err != nil {
			return err
		}
	}
	return nil
}
