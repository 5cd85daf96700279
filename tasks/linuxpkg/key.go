package linuxpkg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
)

// A signer says which secret key signs one kind of package. Its texts stand
// behind pointers, so that printing it shows addresses.
type signer struct {
	format      string
	place       string // of the attribute: "Airbuildfile:12"
	file        string // absolute; or
	env         string // the variable's name, and
	text        *string
	passEnv     string
	passphrase  *string
	fingerprint string // as the stage says, or as the look-up found
}

// planKeys reads the signature blocks.
func planKeys(b *tasks.Block, packages []pkg) (all signers, diags hcl.Diagnostics) {
	for i := range packages {
		p := &packages[i]
		if !slices.Contains(b.Labels["signature"], p.Format) {
			continue
		}
		s, sig, more := planKey(b, p)
		all, p.Signature = append(all, s), &sig
		diags = append(diags, more...)
	}
	return all, diags
}

func planKey(b *tasks.Block, p *pkg) (s signer, sig signature, diags hcl.Diagnostics) {
	prefix := "signature." + p.Format + "."
	fail := func(attr, summary, detail string) {
		diags = append(diags, b.Error(attr, summary, detail))
	}
	if p.Format == archlinux {
		fail(firstOf(b, prefix), "Detached signature", "An archlinux package is signed by a separate file from gpg --detach-sign. Remove this block.")
	}
	s.format = p.Format
	s.fingerprint = strings.ToUpper(strings.ReplaceAll(b.String(prefix+"fingerprint"), " ", ""))
	if b.Has(prefix+"fingerprint") && (strings.Trim(s.fingerprint, "0123456789ABCDEF") != "" || len(s.fingerprint) < 40) {
		fail(prefix+"fingerprint", "Not a fingerprint", "fingerprint is 40 or 64 hexadecimal digits, as gpg --fingerprint shows them.")
	}
	file, env := b.String(prefix+"key_file"), b.String(prefix+"key_env")
	switch at := firstOf(b, prefix); {
	case file == "" && env == "":
		fail(at, "No key to sign with", "Say which key signs: key_file or key_env.")
	case file != "" && env != "":
		fail(prefix+"key_env", "Two keys to sign with", "key_file says it already. Keep one of the two.")
	case file != "":
		s.place = place(b.RangeOf(prefix + "key_file"))
		if s.file = filepath.FromSlash(file); !filepath.IsAbs(s.file) {
			s.file = filepath.Join(b.Project.Root, filepath.FromSlash(b.Meta.Dir), s.file)
		}
	default:
		s.place = place(b.RangeOf(prefix + "key_env"))
		s.env, s.text = env, variable(b, env)
	}
	if s.passEnv = b.String(prefix + "passphrase_env"); s.passEnv != "" {
		s.passphrase = variable(b, s.passEnv)
	}
	for _, attr := range []string{"key_name", "role"} {
		if only := map[string]string{"key_name": apk, "role": deb}[attr]; b.Has(prefix+attr) && only != p.Format {
			fail(prefix+attr, "Attribute of another format", attr+" is for "+only+" packages.")
		}
	}
	switch p.Format {
	case apk:
		sig.KeyName = b.String(prefix + "key_name")
		if sig.KeyName == "" && p.Maintainer == "" || strings.ContainsAny(sig.KeyName, "/\\ \n") {
			fail(firstOf(b, prefix), "Name of a key", "Say with key_name what the public key is called in /etc/apk/keys, or set maintainer.")
		}
	case deb:
		sig.Role = b.StringOr(prefix+"role", "origin")
	}
	return s, sig, diags
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// variable is the value of an environment variable: the stage's own, or that
// of airbuild's environment.
func variable(b *tasks.Block, name string) *string {
	for _, env := range []map[string]string{b.Meta.Env, b.Meta.PassEnv} {
		if value, ok := env[name]; ok {
			return &value
		}
	}
	value := ""
	if b.Project.Environ != nil {
		value, _ = b.Project.Environ(name)
	}
	return &value
}

// hideKeys takes the secrets out of the step: of its environment, where they
// would be in the key and in the store, and of its log.
func hideKeys(s *engine.Step, signers []signer) {
	for _, k := range signers {
		named := func(v action.EnvVar) bool { return v.Name == k.env || v.Name == k.passEnv }
		s.Command.Env = slices.DeleteFunc(s.Command.Env, named)
		s.Secrets = slices.DeleteFunc(s.Secrets, named)
		for _, secret := range []*string{k.text, k.passphrase} {
			if secret != nil && *secret != "" {
				s.Mask = append(s.Mask, *secret)
			}
		}
	}
}

// signers are those of a step. As an InputDiscoverer they make the fingerprints facts
// of it, and tell the tool where the secret keys are.
type signers []signer

// Discover implements engine.InputDiscoverer.
func (all signers) Discover(context.Context, engine.Files) (engine.Discovery, error) {
	var list engine.Discovery
	found := slices.Clone(all)
	for i, s := range found {
		if s.fingerprint == "" {
			k, err := s.open()
			if err != nil {
				return engine.Discovery{}, fmt.Errorf("%s: %w", s.place, err)
			}
			found[i].fingerprint = k.fingerprint()
		}
		list.Facts = append(list.Facts, engine.Fact{Name: "signing key of " + s.format, Value: found[i].fingerprint})
	}
	slices.SortFunc(list.Facts, func(a, b engine.Fact) int { return strings.Compare(a.Name, b.Name) })
	list.Private = found
	return list, nil
}

// of returns the one that signs a kind of package.
func (all signers) of(format string) (signer, error) {
	for _, s := range all {
		if s.format == format {
			return s, nil
		}
	}
	return signer{}, errors.New("no key was looked up for it")
}

// read returns the text of the secret key.
func (s signer) read() ([]byte, error) {
	if s.file == "" {
		if *s.text == "" {
			return nil, fmt.Errorf("the variable %s is not set; set it to the text of a secret key, or set fingerprint to reuse that key's packages from the cache", s.env)
		}
		return []byte(*s.text), nil
	}
	b, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key file %s; set fingerprint to reuse that key's packages from the cache", s.file)
	}
	return b, err
}

// A secretKey is one that was read.
type secretKey interface {
	fingerprint() string
	// sign signs what nfpm hands in for the format.
	sign(data []byte) ([]byte, error)
}

// open reads the secret key. A passphrase is needed to sign only, or for what
// hides its public key too.
func (s signer) open() (secretKey, error) {
	text, err := s.read()
	if err != nil {
		return nil, err
	}
	passphrase := ""
	if s.passphrase != nil {
		passphrase = *s.passphrase
	}
	var k secretKey
	if s.format == apk {
		k, err = openRSA(text, passphrase)
	} else {
		k, err = openPGP(text, passphrase, s.format == deb)
	}
	if err != nil {
		from := cmp.Or(s.file, "variable "+s.env)
		return nil, fmt.Errorf("key in %s: %w", from, err)
	}
	if s.fingerprint != "" && s.fingerprint != k.fingerprint() {
		return nil, fmt.Errorf("this is the key %s, and %s is to sign", k.fingerprint(), s.fingerprint)
	}
	return k, nil
}
