package linuxpkg

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// An rsaKey signs apk packages: PKCS #1 v1.5 over a SHA-1 digest, which is
// what apk-tools 2 reads. Such signatures are the same each time.
type rsaKey struct{ key *rsa.PrivateKey }

func openRSA(text []byte, passphrase string) (*rsaKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no PEM block; an apk is signed with an RSA key, made by openssl genrsa -out app.rsa 4096")
	}
	der := block.Bytes
	//lint:ignore SA1019 openssl genrsa -aes256 wrote such keys for decades
	if x509.IsEncryptedPEMBlock(block) {
		var err error
		//lint:ignore SA1019 the same
		if der, err = x509.DecryptPEMBlock(block, []byte(passphrase)); err != nil {
			return nil, errors.New("the passphrase does not open the RSA key: name the variable that holds it with passphrase_env")
		}
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return &rsaKey{k}, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read RSA key: %w", err)
	}
	k, ok := any.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is not an RSA key, and apk requires one")
	}
	return &rsaKey{k}, nil
}

func (k *rsaKey) fingerprint() string {
	der, err := x509.MarshalPKIXPublicKey(&k.key.PublicKey)
	if err != nil { // never for RSA
		return ""
	}
	return fmt.Sprintf("%X", sha256.Sum256(der))
}

func (k *rsaKey) sign(digest []byte) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, k.key, crypto.SHA1, digest)
}
