package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/scrypt"
)

var update = flag.Bool("update", false, "write the fixtures anew; frozen ones must not change")

func fixture(name string) string {
	return filepath.Join("..", "..", "testdata", "formats", "sign-1", name)
}

// encryptCheaply is File with a password, at costs that a test can bear: what
// a file asks for is in the file.
func encryptCheaply(t testing.TB, k *SecretKey, password string) []byte {
	t.Helper()
	b := k.plain()
	copy(b[kdfAt:], kdfScrypt)
	for i := range 32 {
		b[saltAt+i] = byte(i)
	}
	binary.LittleEndian.PutUint64(b[opsAt:], 1<<15)
	binary.LittleEndian.PutUint64(b[opsAt+8:], 1<<24)
	stream, err := scrypt.Key([]byte(password), b[saltAt:opsAt], 1<<10, 8, 1, secretSz-bodyAt)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range stream {
		b[bodyAt+i] ^= x
	}
	return secretText(b)
}

// made are the fixtures that come out the same every time.
func made(t *testing.T) map[string][]byte {
	t.Helper()
	k, message := testKey(t, 1), []byte("hello\n")
	secret, err := k.File("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Sign(t.Context(), k, bytes.NewReader(message), "timestamp:1769860800\tfile:message")
	if err != nil {
		t.Fatal(err)
	}
	statement, err := FileStatement("message", sha256.Sum256(message), "timestamp:1769860800\tfile:message")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"message": message, "site.key": secret, "site.pub": k.Public().File(),
		"locked.key": encryptCheaply(t, k, "correct horse"), "message.minisig": s.File(),
	}
	for name, e := range map[string]struct {
		typ     string
		payload []byte
		keys    []*SecretKey
	}{
		"message.dsse.json": {PayloadStatement, statement, []*SecretKey{k}},
		"inline.dsse.json":  {"text/plain", message, []*SecretKey{k, testKey(t, 2)}},
	} {
		envelope, err := NewEnvelope(e.typ, e.payload, e.keys...)
		if err != nil {
			t.Fatal(err)
		}
		if files[name], err = envelope.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestFixtures holds every format byte for byte. legacy.minisig and foreign.*
// were made by minisign 0.11.
func TestFixtures(t *testing.T) {
	foreign := []string{"legacy.minisig", "foreign.key", "foreign.pub"}
	files := made(t)
	if *update {
		for name, b := range files {
			if err := os.WriteFile(fixture(name), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range files {
		if got, err := os.ReadFile(fixture(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
	there, err := os.ReadDir(fixture("."))
	if err != nil || len(there) != len(files)+len(foreign) {
		t.Errorf("%d fixtures, %v; want %d", len(there), err, len(files)+len(foreign))
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(fixture(name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What old versions and other programs wrote can be read.
func TestFixturesAreRead(t *testing.T) {
	key := testKey(t, 1)
	for name, password := range map[string]string{"site.key": "", "locked.key": "correct horse"} {
		k, err := ParseSecretKey(read(t, name), ask(password))
		if err != nil || k.Public() != key.Public() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseSecretKey(read(t, "locked.key"), ask("correct house")); !errors.Is(err, ErrPassword) {
		t.Errorf("with the wrong password: %v", err)
	}
	foreign, err := ParsePublicKey(read(t, "foreign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := ParseSecretKey(read(t, "foreign.key"), nil); err != nil || k.Public() != foreign {
		t.Errorf("foreign.key: %v", err)
	}
	for name, key := range map[string]PublicKey{"message.minisig": key.Public(), "legacy.minisig": foreign} {
		s, err := ParseSignature(read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(context.Background(), bytes.NewReader(read(t, "message")), key); err != nil || s.Legacy() != strings.HasPrefix(name, "legacy") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, signers := range map[string]int{"message.dsse.json": 1, "inline.dsse.json": 2} {
		e, err := ParseEnvelope(read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Verify(signers, key.Public(), testKey(t, 2).Public()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := e.Covers(context.Background(), bytes.NewReader(read(t, "message"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
