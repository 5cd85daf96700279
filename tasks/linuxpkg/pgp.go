package linuxpkg

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A pgpKey signs with OpenPGP. The same data gives the same signature: the
// time in it is the package's, there is no random notation, and kinds of key
// whose signatures are different each time are refused.
type pgpKey struct {
	entity     *openpgp.Entity
	passphrase string
	armor      bool
	when       time.Time // the package's; zero for the look-up, which does not sign
}

func openPGP(text []byte, passphrase string, armor bool) (*pgpKey, error) {
	read := openpgp.ReadKeyRing
	if bytes.Contains(text, []byte("-----BEGIN PGP")) {
		read = openpgp.ReadArmoredKeyRing
	}
	ring, err := read(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read OpenPGP key: %w", err)
	}
	var secret []*openpgp.Entity
	for _, e := range ring {
		if e.PrivateKey != nil {
			secret = append(secret, e)
		}
	}
	switch len(secret) {
	case 0:
		return nil, errors.New("there is no secret OpenPGP key; export it with gpg --export-secret-keys --armor")
	case 1:
		return &pgpKey{entity: secret[0], passphrase: passphrase, armor: armor}, nil
	}
	return nil, fmt.Errorf("there are %d secret OpenPGP keys; export the one that signs", len(secret))
}

func (k *pgpKey) fingerprint() string { return fmt.Sprintf("%X", k.entity.PrimaryKey.Fingerprint) }

// signingTime is the package's time, or the moment that the key was complete:
// a signature from before its key would be refused.
func (k *pgpKey) signingTime() time.Time {
	t := k.when
	later := func(o time.Time) {
		if o.After(t) {
			t = o
		}
	}
	later(k.entity.PrimaryKey.CreationTime)
	for _, id := range k.entity.Identities {
		if id.SelfSignature != nil {
			later(id.SelfSignature.CreationTime)
		}
	}
	for _, sub := range k.entity.Subkeys {
		later(sub.PublicKey.CreationTime)
		if sub.Sig != nil {
			later(sub.Sig.CreationTime)
		}
	}
	return t.UTC()
}

func (k *pgpKey) sign(data []byte) ([]byte, error) {
	when := k.signingTime()
	off := false
	cfg := &packet.Config{Time: func() time.Time { return when }, DefaultHash: crypto.SHA256, NonDeterministicSignaturesViaNotation: &off}
	key, ok := k.entity.SigningKeyById(when, 0)
	if !ok {
		return nil, fmt.Errorf("the OpenPGP key %s has no part that may sign, or it had expired at %s", k.fingerprint(), when.Format(time.RFC3339))
	}
	switch key.PublicKey.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519:
	default:
		return nil, errors.New("the OpenPGP key is of a kind whose signatures are different each time; use an RSA or Ed25519 key")
	}
	if key.PrivateKey.Encrypted {
		if k.passphrase == "" {
			return nil, errors.New("the OpenPGP key needs a passphrase: name the variable that holds it with passphrase_env")
		}
		if err := k.entity.DecryptPrivateKeys([]byte(k.passphrase)); err != nil {
			return nil, errors.New("the passphrase does not open the OpenPGP key")
		}
	}
	var out bytes.Buffer
	sign := openpgp.DetachSign
	if k.armor {
		sign = openpgp.ArmoredDetachSign
	}
	if err := sign(&out, k.entity, bytes.NewReader(data), cfg); err != nil {
		return nil, fmt.Errorf("sign with OpenPGP: %w", err)
	}
	return out.Bytes(), nil
}
