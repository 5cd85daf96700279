package sign

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/lists"
)

// EnvKeys names the variable with the keyring's directory.
const EnvKeys = "AIRBUILD_KEYS"

// A Keyring is a directory of keys:
//
//	NAME.key           one's own secret key, mode 0600
//	NAME.pub           its public half
//	trusted/NAME.pub   somebody else's public key, trusted for any purpose
//	trusted/NAME.json  the same, trusted for some purposes (see Grant)
//
// All but the last are files of minisign's format. One's own keys are trusted
// too, for any purpose. Where both files of a trusted key are there, the JSON
// counts: it says less. Nothing is made before something is written; many
// processes may use one keyring.
type Keyring struct {
	dir  string
	none error // see NoKeyring
}

// OpenKeyring is the keyring in a directory, which need not be there.
func OpenKeyring(dir string) *Keyring { return &Keyring{dir: dir} }

// NoKeyring is the keyring of a user for whom KeyringDir returned why. It has no
// keys, so that signatures are checked against those that are given as files; what
// needs a key by its name, or adds one, fails with why.
func NoKeyring(why error) *Keyring { return &Keyring{none: why} }

// KeyringDir is where the user's keyring is: $AIRBUILD_KEYS, or airbuild/keys
// in the user's configuration directory.
func KeyringDir(lookupEnv func(string) (string, bool)) (string, error) {
	if dir, _ := lookupEnv(EnvKeys); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the keyring: %w; say where it is with %s", err, EnvKeys)
	}
	return filepath.Join(dir, "airbuild", "keys"), nil
}

// Dir is the keyring's directory.
func (r *Keyring) Dir() string { return r.dir }

// CheckKeyName refuses names that could be more than a plain file name on any
// system: 1 to 100 letters, digits, dots, dashes and underscores of ASCII, no
// dot at either end, and no dash in front, which would be a flag. Names that
// end like the keyring's files are refused, and names of devices of Windows.
func CheckKeyName(name string) error {
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	if name == "" || len(name) > 100 || !plain || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") {
		return fmt.Errorf("key name %.120q: want at most 100 letters, digits, dashes, underscores, and dots inside", name)
	}
	if ext := strings.ToLower(filepath.Ext(name)); ext == ".key" || ext == ".pub" {
		return fmt.Errorf("key name %s: it is given without %s", name, filepath.Ext(name))
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	device := slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, stem) ||
		len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT"))
	if device || strings.EqualFold(name, "trusted") {
		return fmt.Errorf("key name %s: this name has a meaning of its own; choose another", name)
	}
	return nil
}

// SecretPath and the two below are where a key's files are. The name must have
// passed CheckKeyName.
func (r *Keyring) SecretPath(name string) string { return filepath.Join(r.dir, name+".key") }

// PublicPath is where the public half of one's own key is.
func (r *Keyring) PublicPath(name string) string { return filepath.Join(r.dir, name+".pub") }

// TrustedPath is where somebody else's key is that is trusted for any purpose.
func (r *Keyring) TrustedPath(name string) string {
	return filepath.Join(r.dir, "trusted", name+".pub")
}

// GrantPath is where somebody else's key is that is trusted for some purposes. An
// airbuild that knows no purposes does not look there, and does not trust it.
func (r *Keyring) GrantPath(name string) string {
	return filepath.Join(r.dir, "trusted", name+".json")
}

// NewOptions are what Keyring.New may be told.
type NewOptions struct {
	Password string    // encrypts the secret key; empty: it is not encrypted
	Force    bool      // replace a key of that name, which is lost
	Random   io.Reader // nil: the system's
}

// New makes a key. A key of that name is an error that wraps ErrExists. The
// public half is written first: a crash leaves no secret key without it.
func (r *Keyring) New(name string, o NewOptions) (PublicKey, error) {
	if err := CheckKeyName(name); err != nil {
		return PublicKey{}, err
	}
	if err := r.CheckFree(name, o.Force); err != nil {
		return PublicKey{}, err
	}
	k, err := Generate(o.Random)
	if err != nil {
		return PublicKey{}, err
	}
	if err := r.Add(name, k, o); err != nil {
		return PublicKey{}, err
	}
	return k.Public(), nil
}

// Add writes a key and its public half; New says how.
func (r *Keyring) Add(name string, k *SecretKey, o NewOptions) error {
	if r.none != nil {
		return r.none
	}
	if err := CheckKeyName(name); err != nil {
		return err
	}
	if err := r.CheckFree(name, o.Force); err != nil {
		return err
	}
	secret, err := k.File(o.Password)
	if err == nil {
		err = writeFile(r.PublicPath(name), k.Public().File(), 0o644, o.Force)
	}
	if err == nil {
		err = writeFile(r.SecretPath(name), secret, 0o600, o.Force)
	}
	if err != nil {
		return fmt.Errorf("new key %s: %w", name, err)
	}
	return nil
}

// CheckFree says whether a key can be given that name, before anything is done
// for it: New asks again. The error wraps ErrExists. Force replaces one's own
// key, and never one that is somebody else's.
func (r *Keyring) CheckFree(name string, force bool) error {
	for _, file := range []string{r.SecretPath(name), r.PublicPath(name), r.TrustedPath(name), r.GrantPath(name)} {
		if _, err := os.Lstat(file); err == nil && (!force || filepath.Dir(file) != r.dir) {
			return fmt.Errorf("new key %s: %w: %s", name, ErrExists, file)
		}
	}
	return nil
}

// Trust records somebody's public key. One that is trusted already keeps its
// grant, and a new one is trusted for any purpose. The same key under that name
// is no error; another one is, unless force, and wraps ErrExists.
func (r *Keyring) Trust(name string, key PublicKey, force bool) error {
	if r.none != nil {
		return r.none
	}
	var g Grant
	if old, ok := r.trusted(name); ok {
		g = old.Grant
	}
	return r.TrustFor(name, key, g, force)
}

// TrustFor is Trust with a grant, which a key that is trusted already gets in the
// place of its own.
func (r *Keyring) TrustFor(name string, key PublicKey, g Grant, force bool) error {
	if err := CheckKeyName(name); err != nil {
		return err
	}
	if err := g.check(); err != nil {
		return fmt.Errorf("trust key %s: %w", name, err)
	}
	if _, err := os.Lstat(r.PublicPath(name)); err == nil {
		return fmt.Errorf("trust key %s: %w, and it is your own: %s", name, ErrExists, r.PublicPath(name))
	}
	old, there := r.trusted(name)
	if there && old.Key != key && !force {
		return fmt.Errorf("trust key %s: %w", name, existsError(old.Path))
	}
	file, other, text := r.TrustedPath(name), r.GrantPath(name), key.File()
	if !g.Any() {
		var err error
		if text, err = encodeGrant(key, g); err != nil {
			return fmt.Errorf("trust key %s: %w", name, err)
		}
		file, other = other, file
	}
	if !there || old.Path != file || old.Key != key || !old.Grant.Equal(g) {
		if err := writeFile(file, text, 0o644, there || force); err != nil {
			return fmt.Errorf("trust key %s: %w", name, err)
		}
	}
	// Between the two the JSON file counts, whichever of them is the new one: a
	// crash leaves no key that is trusted for more than before or after.
	if err := removeFile(other); err != nil {
		return fmt.Errorf("trust key %s: %w", name, err)
	}
	return nil
}

// removeFile removes a file of the keyring that need not be there.
func removeFile(name string) error {
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(name))
}

// trusted returns the trusted key of a name. It is there also if it is damaged.
func (r *Keyring) trusted(name string) (e Entry, ok bool) {
	e = Entry{Name: name, Path: r.GrantPath(name)}
	if _, err := os.Lstat(e.Path); err == nil {
		e.Key, e.Grant, e.Err = readGrant(e.Path)
		return e, true
	}
	e.Path = r.TrustedPath(name)
	if _, err := os.Lstat(e.Path); err != nil {
		return e, false
	}
	e.Key, e.Err = ReadPublicKey(e.Path)
	return e, true
}

// Untrust takes a trusted key away, damaged or not. The error wraps ErrNoKey
// if there is none.
func (r *Keyring) Untrust(name string) error {
	if r.none != nil {
		return r.none
	}
	if err := CheckKeyName(name); err != nil {
		return err
	}
	_, ok := r.trusted(name)
	err := ErrNoKey
	if ok { // the one that says less goes last
		err = errors.Join(removeFile(r.TrustedPath(name)), removeFile(r.GrantPath(name)))
	}
	if err != nil {
		return fmt.Errorf("untrust %s: %w", name, err)
	}
	return nil
}

// An Entry is a key of the keyring.
type Entry struct {
	Name      string
	Key       PublicKey // zero if Err is set
	Own       bool      // the secret key is there; otherwise it is a trusted one
	Encrypted bool      // the secret key needs a password
	Grant     Grant     // what it is trusted for; zero for one's own, which may all
	Path      string    // of the public key
	Err       error     // why the key cannot be used
}

// List returns all keys, one's own first, by name. A keyring that is not there
// has none.
func (r *Keyring) List() ([]Entry, error) {
	if r.none != nil {
		return nil, nil
	}
	own, err := keyNames(r.dir, ".key")
	if err != nil {
		return nil, err
	}
	trusted, err := keyNames(filepath.Join(r.dir, "trusted"), ".pub", ".json")
	if err != nil {
		return nil, err
	}
	entries := lists.Map(own, r.own)
	for _, name := range trusted {
		if e, ok := r.trusted(name); ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func (r *Keyring) own(name string) Entry {
	e := Entry{Name: name, Own: true, Path: r.PublicPath(name)}
	text, err := r.secretText(name)
	e.Encrypted = IsEncrypted(text)
	e.Key, e.Err = ReadPublicKey(e.Path)
	if e.Err == nil && err != nil {
		e.Err = err
	}
	return e
}

// keyNames lists the names of files with one of the extensions, each once. Other
// files are left alone, whatever they are.
func keyNames(dir string, exts ...string) (names []string, err error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	for _, f := range files {
		for _, ext := range exts {
			name, ok := strings.CutSuffix(f.Name(), ext)
			if ok && !f.IsDir() && CheckKeyName(name) == nil {
				names = append(names, name)
			}
		}
	}
	return lists.Unique(names), nil
}

// Known returns every key of the keyring: the trusted ones and one's own. Whether
// a signature by one of them counts says Check. A key that cannot be read is an
// error: to go on without it could look like a bad signature.
func (r *Keyring) Known() ([]PublicKey, error) {
	entries, err := r.List()
	if err != nil {
		return nil, err
	}
	var keys []PublicKey
	for _, e := range entries {
		switch {
		case !e.Key.IsZero():
			keys = append(keys, e.Key)
		case e.Own && errors.Is(e.Err, fs.ErrNotExist): // a secret key that was put there by hand
		default:
			return nil, e.Err
		}
	}
	return keys, nil
}

// Check returns nil if a signature by key counts for n, and a *LimitError if the
// key is trusted for something else. Keys are told apart by their bytes, so that
// another id or name gives nobody more. A key that is not in the keyring was
// named by the user, and counts.
func (r *Keyring) Check(key PublicKey, n Need) error {
	entries, err := r.List()
	if err != nil {
		return err
	}
	var limit *LimitError
	for _, e := range entries {
		switch {
		case e.Key.IsZero() || !e.Key.SameKey(key):
		case e.Own || e.Grant.Allows(n):
			return nil
		case limit == nil:
			limit = &LimitError{Name: e.Name, Key: key, Grant: e.Grant, Need: n}
		}
	}
	if limit == nil {
		return nil
	}
	return limit
}

// Entries returns the entries of a key, which may have several names.
func (r *Keyring) Entries(key PublicKey) ([]Entry, error) {
	entries, err := r.List()
	return slices.DeleteFunc(entries, func(e Entry) bool { return e.Key.IsZero() || !e.Key.SameKey(key) }), err
}

// Find returns the key of a name or a key id. The error wraps ErrNoKey if
// there is none.
func (r *Keyring) Find(name string) (Entry, error) {
	entries, err := r.List()
	if err != nil {
		return Entry{}, err
	}
	id, idErr := ParseKeyID(name)
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	if i < 0 && idErr == nil {
		i = slices.IndexFunc(entries, func(e Entry) bool { return !e.Key.IsZero() && e.Key.id == id })
	}
	if i < 0 && r.none != nil {
		return Entry{}, fmt.Errorf("key %.120q: %w: %w", name, ErrNoKey, r.none)
	}
	if i < 0 {
		return Entry{}, fmt.Errorf("key %.120q: %w in %s", name, ErrNoKey, r.dir)
	}
	return entries[i], nil
}

// Name is what the keyring calls a key, or its id.
func (r *Keyring) Name(key PublicKey) string {
	entries, err := r.List()
	if err == nil {
		if i := slices.IndexFunc(entries, func(e Entry) bool { return e.Key == key }); i >= 0 {
			return entries[i].Name
		}
	}
	return key.id.String()
}

// Secret returns one's own key of that name; password is asked if it is
// encrypted. The error wraps ErrNoKey if there is none, and ErrPassword if the
// password is wrong.
func (r *Keyring) Secret(name string, password func() (string, error)) (*SecretKey, error) {
	if err := CheckKeyName(name); err != nil {
		return nil, err
	}
	text, err := r.secretText(name)
	if err != nil {
		return nil, err
	}
	k, err := ParseSecretKey(text, password)
	if err != nil {
		return nil, fmt.Errorf("secret key %s: %w", name, err)
	}
	if p, err := ReadPublicKey(r.PublicPath(name)); err == nil && p != k.Public() {
		return nil, fmt.Errorf("secret key %s: %s is the public half of another key", name, r.PublicPath(name))
	}
	return k, nil
}

func (r *Keyring) secretText(name string) ([]byte, error) {
	if r.none != nil {
		return nil, r.none
	}
	b, err := readSecretFile(r.SecretPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %s", ErrNoKey, r.SecretPath(name))
	}
	if err != nil {
		return nil, fmt.Errorf("secret key %s: %w", name, err)
	}
	return b, nil
}

// ReadSecretKey reads a secret key's file that is outside a keyring, with the
// same care.
func ReadSecretKey(file string, password func() (string, error)) (*SecretKey, error) {
	b, err := readSecretFile(file)
	if err != nil {
		return nil, fmt.Errorf("read secret key: %w", err)
	}
	k, err := ParseSecretKey(b, password)
	if err != nil {
		return nil, fmt.Errorf("read secret key %s: %w", file, err)
	}
	return k, nil
}

// readSecretFile refuses a file that others can read: it is no secret.
func readSecretFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Windows has no such bits; what Go makes up there says nothing.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read or changed by others (mode %#o). If nobody else has read it: chmod 600 %s; otherwise make a new key", file, mode, file)
	}
	if info.Size() > MaxKeyFile || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a key file", file)
	}
	return io.ReadAll(io.LimitReader(f, MaxKeyFile))
}
