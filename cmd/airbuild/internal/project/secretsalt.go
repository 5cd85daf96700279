package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sign"
)

// saltFile is the file of the keyring's directory, and saltVariable the variable
// that goes before it, with what makes the hashes of secrets in keys impossible
// to guess. Neither is ever carried.
const (
	saltFile     = "secret.salt"
	saltVariable = "AIRBUILD_SECRET_SALT"
)

// leastSalt is the length of a salt, in bytes, that cannot be guessed itself.
const leastSalt = 16

// secretSalt is the user's salt; nil if there is none, or no step has a secret.
func (p *Project) secretSalt() ([]byte, error) {
	if !slices.ContainsFunc(p.Plan.Graph.Steps, func(s engine.Step) bool { return len(s.Secrets) > 0 }) {
		return nil, nil
	}
	from, salt := "$"+saltVariable, []byte(nil)
	if v, ok := p.Options.LookupEnv(saltVariable); ok && v != "" {
		salt = []byte(v)
	} else {
		dir, err := sign.KeyringDir(p.Options.LookupEnv)
		if err != nil {
			return nil, nil // no keyring, no salt
		}
		from = filepath.Join(dir, saltFile)
		salt, err = os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the salt of secrets: %w", err)
		}
	}
	if len(salt) < leastSalt {
		return nil, exit.UsageError("%s has %d bytes: a salt of fewer than %d can be guessed.\nTo make one: head -c 32 /dev/urandom > FILE", from, len(salt), leastSalt)
	}
	return salt, nil
}
