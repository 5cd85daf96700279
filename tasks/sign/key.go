package sign

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine"
	signing "github.com/airbuild/airbuild/engine/sign"
)

// A Config is what the stage type needs of its host. One Config serves the Tasks
// and the Tools of one run.
type Config struct {
	// Password asks for the password of a secret key, by the name of the key
	// or its file. It is called by any goroutine, by one at a time; nil if
	// nobody can be asked.
	Password func(ctx context.Context, name string) (string, error)

	opening sync.Mutex           // guards opened; held while a password is asked for
	opened  map[string]openedKey // by source.id, so that nothing is asked twice
}

// A planned is what a step's look-up found out for its tool.
type planned struct {
	from   source
	public signing.PublicKey
}

type openedKey struct {
	key *signing.SecretKey
	err error
}

type kind uint8

const (
	fromKeyring kind = iota
	fromFile
	fromEnv
)

// A source is where a secret key is.
type source struct {
	kind   kind
	name   string  // of the key, of the file (absolute), of the variable
	dir    string  // fromKeyring: the keyring
	secret *secret // fromEnv: what the variable holds
}

// A secret is the text of a secret key. It stands behind a pointer, so that
// printing what holds it shows an address.
type secret struct{ text string }

// value is what the variable holds; empty if it is not set.
func (s source) value() string {
	if s.secret == nil {
		return ""
	}
	return s.secret.text
}

// id is the same for the same key from the same place, and shows nothing.
func (s source) id() string {
	return fmt.Sprintf("%d %q %q %x", s.kind, s.name, s.dir, sha256.Sum256([]byte(s.value())))
}

// Format shows where the key is, whatever the verb.
func (s source) Format(f fmt.State, _ rune) {
	fmt.Fprint(f, [...]string{"key ", "key_file ", "key_env "}[s.kind]+s.name)
}

// A discoverer makes the public key a fact of the step, and tells the tool where
// the secret one is.
type discoverer struct {
	place   string // of the attribute: "Airbuildfile:12"
	from    source
	missing string            // why there is no keyring
	public  signing.PublicKey // as the stage says, or zero
}

// KeyNames implements tasks.KeyNamer. With public_key nothing is looked up.
func (l *discoverer) KeyNames() []string {
	if l.from.kind != fromKeyring || !l.public.IsZero() {
		return nil
	}
	return []string{l.from.name}
}

// Lacking implements tasks.SecretUser.
func (l *discoverer) Lacking() string {
	name := ""
	switch l.from.kind {
	case fromKeyring:
		name = signing.OpenKeyring(l.from.dir).SecretPath(l.from.name)
	case fromFile:
		name = l.from.name
	default:
		if l.from.value() == "" {
			return fmt.Sprint(l.from)
		}
		return ""
	}
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprint(l.from)
	}
	return ""
}

// Discover implements engine.InputDiscoverer.
func (l *discoverer) Discover(context.Context, engine.Files) (engine.Discovery, error) {
	public, err := l.public, error(nil)
	switch {
	case !public.IsZero():
	case l.missing != "":
		err = errors.New(l.missing)
	default:
		public, err = l.from.public()
	}
	if err != nil {
		return engine.Discovery{}, fmt.Errorf("%s: %w", l.place, err)
	}
	return engine.Discovery{
		Facts:   []engine.Fact{{Name: "signing key", Value: public.String()}},
		Private: planned{l.from, public},
	}, nil
}

// public finds the public key without asking for a password.
func (s source) public() (signing.PublicKey, error) {
	switch s.kind {
	case fromKeyring:
		return s.publicOfRing()
	case fromFile:
		return s.publicOfFile()
	}
	if s.value() == "" {
		return signing.PublicKey{}, fmt.Errorf("the variable %s is not set; set it to the text of a secret key, or set public_key to reuse that key's signatures from the cache", s.name)
	}
	if signing.IsEncrypted([]byte(s.value())) {
		return signing.PublicKey{}, fmt.Errorf("the key in the variable %s is encrypted, so that its public key cannot be seen; give it with public_key", s.name)
	}
	k, err := signing.ParseSecretKey([]byte(s.value()), nil)
	if err != nil {
		return signing.PublicKey{}, fmt.Errorf("the variable %s: %w", s.name, err)
	}
	return k.Public(), nil
}

// publicOfRing takes one's own key or, on a host that has the signatures in
// its cache and not the secret, a trusted one.
func (s source) publicOfRing() (signing.PublicKey, error) {
	e, err := signing.OpenKeyring(s.dir).Find(s.name)
	if errors.Is(err, signing.ErrNoKey) {
		return signing.PublicKey{}, fmt.Errorf("the keyring %s has no key %q; to sign, make it: airbuild key new %s; to take signatures from the cache, trust its public half: airbuild key trust FILE --name %s --for release", s.dir, s.name, s.name, s.name)
	}
	if err == nil && e.Key.IsZero() {
		err = e.Err
	}
	return e.Key, err
}

func (s source) publicOfFile() (signing.PublicKey, error) {
	stem := strings.TrimSuffix(s.name, filepath.Ext(s.name))
	for _, name := range []string{stem + ".pub", s.name + ".pub"} {
		key, err := signing.ReadPublicKey(name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return key, err
		}
	}
	if _, err := os.Stat(s.name); errors.Is(err, fs.ErrNotExist) {
		return signing.PublicKey{}, fmt.Errorf("there is no key file %s", s.name)
	}
	k, err := signing.ReadSecretKey(s.name, func() (string, error) {
		return "", fmt.Errorf("it is encrypted, so its public key cannot be read; put %s next to it, or set public_key", filepath.Base(stem)+".pub")
	})
	if err != nil {
		return signing.PublicKey{}, err
	}
	return k.Public(), nil
}

// open returns a secret key. Several steps that sign with it ask once for its
// password, and all fail if that was wrong.
func (c *Config) open(ctx context.Context, p planned) (*signing.SecretKey, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, ok := c.opened[p.from.id()]
	if !ok {
		o.key, o.err = c.read(ctx, p.from)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c.opened == nil {
			c.opened = map[string]openedKey{}
		}
		c.opened[p.from.id()] = o
	}
	if o.err == nil && o.key.Public() != p.public {
		return nil, fmt.Errorf("%v is key %s, and key %s is to sign; look at public_key, and whether .key and .pub belong together",
			p.from, o.key.Public().ID(), p.public.ID())
	}
	return o.key, o.err
}

func (c *Config) read(ctx context.Context, from source) (*signing.SecretKey, error) {
	password := func() (string, error) {
		if c.Password == nil {
			return "", errors.New("it needs a password, and there is no terminal to ask for it")
		}
		return c.Password(ctx, from.shortName())
	}
	switch from.kind {
	case fromKeyring:
		k, err := signing.OpenKeyring(from.dir).Secret(from.name, password)
		if errors.Is(err, signing.ErrNoKey) {
			return nil, fmt.Errorf("%w; the key is known here, but its secret half is not: sign on the host that has it, or take the signatures from its cache", err)
		}
		return k, err
	case fromFile:
		return signing.ReadSecretKey(from.name, password)
	}
	if from.value() == "" {
		return nil, fmt.Errorf("the variable %s is not set; set it to the text of a secret key", from.name)
	}
	k, err := signing.ParseSecretKey([]byte(from.value()), password)
	if err != nil {
		return nil, fmt.Errorf("the variable %s: %w", from.name, err)
	}
	return k, nil
}

func (s source) shortName() string {
	if s.kind == fromFile {
		return filepath.Base(s.name)
	}
	return s.name
}
