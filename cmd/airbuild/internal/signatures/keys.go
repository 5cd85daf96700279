package signatures

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/sign"
)

// ExplainKey adds what to do.
func ExplainKey(err error) error {
	switch {
	case errors.Is(err, sign.ErrExists):
		return exit.UsageError("%w.\nChoose another name, or replace that key with --force", err)
	case errors.Is(err, sign.ErrNoKey):
		return exit.UsageError("%w.\nThe keys there are: airbuild key list", err)
	}
	return err
}

// A KeyReport is a key as JSON.
type KeyReport struct {
	Name        string `json:"name"`
	ID          string `json:"id,omitempty"`
	Own         bool   `json:"own"`
	Encrypted   bool   `json:"encrypted"`
	Fingerprint string `json:"fingerprint,omitempty"`
	PublicKey   string `json:"public_key,omitempty"`
	Path        string `json:"path"`
	SecretPath  string `json:"secret_path,omitempty"`
	Error       string `json:"error,omitempty"`
	// What a trusted key is trusted for; "any" for any purpose.
	Purposes []string `json:"purposes,omitempty"`
	Series   []string `json:"series,omitempty"`
	// Before is what it was trusted for, where key trust changed that.
	Before *GrantReport `json:"before,omitempty"`
}

// A GrantReport is a sign.Grant as JSON.
type GrantReport struct {
	Purposes []string `json:"purposes"`
	Series   []string `json:"series,omitempty"`
}

func ReportOfGrant(g sign.Grant) GrantReport {
	s := GrantReport{Purposes: []string{sign.AnyPurpose}, Series: g.Series}
	if !g.Any() {
		s.Purposes = nil
	}
	for _, p := range g.Purposes {
		s.Purposes = append(s.Purposes, string(p))
	}
	return s
}

func ReportOfKey(ring *sign.Keyring, e sign.Entry) KeyReport {
	k := KeyReport{Name: e.Name, Own: e.Own, Encrypted: e.Encrypted, Path: e.Path}
	switch {
	case e.Own:
		k.SecretPath = ring.SecretPath(e.Name)
	case e.Name != "" && e.Err == nil:
		g := ReportOfGrant(e.Grant)
		k.Purposes, k.Series = g.Purposes, g.Series
	}
	if !e.Key.IsZero() {
		k.ID, k.Fingerprint, k.PublicKey = e.Key.ID().String(), e.Key.Fingerprint(), e.Key.String()
	}
	if e.Err != nil {
		k.Error = e.Err.Error()
	}
	return k
}

func Encryption(e sign.Entry) string {
	if e.Encrypted {
		return "needs its password"
	}
	return "not encrypted"
}

// KeyToTrust is the key of a file, or of a name that is trusted already, and what
// it is called.
func KeyToTrust(ring *sign.Keyring, arg, as string) (key sign.PublicKey, name string, err error) {
	if !IsKeyFile(arg) && as == "" && sign.CheckKeyName(arg) == nil {
		e, found, err := TrustedEntry(ring, arg)
		if err != nil {
			return key, "", err
		}
		if found {
			if e.Err != nil {
				return key, "", exit.With(exit.Unverified, e.Err)
			}
			return e.Key, arg, nil
		}
	}
	key, err = sign.ReadPublicKey(arg)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return key, "", exit.UsageError("%w", err)
	}
	if err != nil {
		return key, "", exit.With(exit.Unverified, err)
	}
	if name = as; name == "" {
		base := filepath.Base(arg)
		name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	if err := sign.CheckKeyName(name); err != nil {
		return key, "", exit.UsageError("%w; give it one with --name", err)
	}
	return key, name, nil
}

// TrustedEntry is the entry of a name that is not one's own.
func TrustedEntry(ring *sign.Keyring, name string) (sign.Entry, bool, error) {
	entries, err := ring.List()
	i := slices.IndexFunc(entries, func(e sign.Entry) bool { return e.Name == name && !e.Own })
	if i < 0 || err != nil {
		return sign.Entry{}, false, err
	}
	return entries[i], true, nil
}

// GrantOf is what a key is to be trusted for. Without purposes it keeps those that
// it has.
func GrantOf(purposes, series []string, old sign.Entry) (sign.Grant, error) {
	if len(purposes) == 0 && len(series) == 0 {
		return old.Grant, nil
	}
	if len(purposes) == 0 {
		purposes = ReportOfGrant(old.Grant).Purposes
	}
	return sign.NewGrant(purposes, series)
}
