package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"

	"golang.org/x/crypto/scrypt"

	"github.com/airbuild/airbuild/engine/action"
)

// The cost of one hash of a secret: 32 MiB and some 80 ms. Keys are carried, and
// whoever has one can try secrets; each try costs as much.
const (
	secretN = 1 << 15
	secretR = 8
	secretP = 1
)

// secretHash stands for a secret in a key: a change of the value changes the
// key, and the value cannot be read from it. Guessing costs scrypt's price for
// each try, and is impossible for who does not know Options.SecretSalt, if there
// is one. See docs/formats.md.
func (o *Options) secretHash(v action.EnvVar) string {
	return o.hashes.of(o.SecretSalt, v)
}

// secretHashes remembers hashes for the length of a run.
type secretHashes struct {
	mu   sync.Mutex
	done map[[sha256.Size]byte]func() string
}

func (h *secretHashes) of(salt []byte, v action.EnvVar) string {
	h.mu.Lock()
	id := sha256.Sum256([]byte(v.Name + "\x00" + v.Value))
	f := h.done[id]
	if f == nil {
		f = sync.OnceValue(func() string { return hashSecret(salt, v) })
		if h.done == nil {
			h.done = map[[sha256.Size]byte]func() string{}
		}
		h.done[id] = f
	}
	h.mu.Unlock()
	return f()
}

func hashSecret(salt []byte, v action.EnvVar) string {
	kind := "scrypt:"
	if len(salt) > 0 {
		kind = "scrypt-salted:"
	}
	public := []byte("airbuild secret v2 " + v.Name + "\x00")
	b, err := scrypt.Key([]byte(v.Value), slices.Concat(public, salt), secretN, secretR, secretP, sha256.Size)
	if err != nil {
		panic("engine: scrypt refuses its constants: " + err.Error())
	}
	return kind + hex.EncodeToString(b)
}
