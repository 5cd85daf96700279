package sign

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func ask(word string) func() (string, error) { return func() (string, error) { return word, nil } }

func TestSecretKeyFile(t *testing.T) {
	k := testKey(t, 1)
	text, err := k.File("")
	if err != nil {
		t.Fatal(err)
	}
	if !IsSecretKey(text) || IsEncrypted(text) {
		t.Errorf("secret %v, encrypted %v", IsSecretKey(text), IsEncrypted(text))
	}
	got, err := ParseSecretKey(text, nil)
	if err != nil || !got.key.Equal(k.key) || got.id != k.id {
		t.Fatalf("%v, %v", got, err)
	}
	if again, _ := got.File(""); !bytes.Equal(again, text) {
		t.Errorf("%s\n%s", text, again)
	}
	if _, err := ParsePublicKey(text); err == nil || !strings.Contains(err.Error(), "secret key") {
		t.Errorf("read as a public key: %v", err)
	}
}

// Our own encryption, once: each use takes a gigabyte and seconds.
func TestPassword(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a gigabyte of memory")
	}
	k := testKey(t, 1)
	text, err := k.File("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !IsSecretKey(text) || !IsEncrypted(text) || len(text) != len(encryptCheaply(t, k, "x")) {
		t.Errorf("not an encrypted secret key: %s", text)
	}
	if got, err := ParseSecretKey(text, ask("correct horse")); err != nil || !got.key.Equal(k.key) || got.id != k.id {
		t.Errorf("%v, %v", got, err)
	}
}

func TestPasswordIsAskedFor(t *testing.T) {
	text := encryptCheaply(t, testKey(t, 1), "correct horse")
	if _, err := ParseSecretKey(text, nil); err == nil || !strings.Contains(err.Error(), "needs a password") {
		t.Errorf("without a password: %v", err)
	}
	cancelled := errors.New("cancelled")
	if _, err := ParseSecretKey(text, func() (string, error) { return "", cancelled }); !errors.Is(err, cancelled) {
		t.Errorf("password not given: %v", err)
	}
	broken := rewrite(t, text, func(b []byte) { b[sumAt] ^= 1 })
	if _, err := ParseSecretKey(broken, ask("correct horse")); !errors.Is(err, ErrPassword) {
		t.Errorf("damaged: %v", err)
	}
}

// rewrite changes bytes of a secret key's file.
func rewrite(t testing.TB, text []byte, change func([]byte)) []byte {
	t.Helper()
	b, err := decodeKeyText(text)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	return secretText(b)
}

func TestParseSecretKeyRefuses(t *testing.T) {
	text, err := testKey(t, 1).File("")
	if err != nil {
		t.Fatal(err)
	}
	noSum := func(b []byte) { clear(b[sumAt:]) }
	for _, tt := range []struct {
		name   string
		change func([]byte)
		words  string // empty: it is taken
	}{
		{"sum left out", noSum, ""},
		{"seed", func(b []byte) { b[bodyAt+9] ^= 1 }, "damaged"},
		{"seed without sum", func(b []byte) { noSum(b); b[bodyAt+9] ^= 1 }, "do not belong together"},
		{"public half without sum", func(b []byte) { noSum(b); b[bodyAt+50] ^= 1 }, "do not belong together"},
		{"algorithm", func(b []byte) { b[0] = 'X' }, "not a secret key of minisign's format"},
		{"sum's kind", func(b []byte) { b[sumAlgAt] = 'X' }, "not a secret key of minisign's format"},
		{"encryption", func(b []byte) { copy(b[kdfAt:], "Xx") }, "uses an unsupported encryption"},
		{"memory", func(b []byte) { copy(b[kdfAt:], kdfScrypt); b[opsAt+8+7] = 0x7f }, "asks for more memory"},
		{"time", func(b []byte) { copy(b[kdfAt:], kdfScrypt); b[opsAt+7] = 0x7f }, "asks for more memory"},
	} {
		_, err := ParseSecretKey(rewrite(t, text, tt.change), ask("x"))
		if tt.words == "" && err != nil || tt.words != "" && (err == nil || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, text := range []string{"", "untrusted comment: x\n", "a\nb\nc", strings.Repeat("A", MaxKeyFile+1), "untrusted comment: x\n*\n"} {
		if _, err := ParseSecretKey([]byte(text), nil); err == nil {
			t.Errorf("%.30q is taken", text)
		}
	}
}

// A secret key shows itself to nobody.
func TestSecretKeyIsNotPrinted(t *testing.T) {
	k := testKey(t, 1)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, k); got != "secret key "+k.id.String() {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestPublicKeyText(t *testing.T) {
	p := testKey(t, 1).Public()
	for _, text := range []string{string(p.File()), p.String(), p.String() + "\n", strings.ReplaceAll(string(p.File()), "\n", "\r\n"), "untrusted comment: \n" + p.String()} {
		if got, err := ParsePublicKey([]byte(text)); err != nil || got != p {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", p.String()[:40], p.String() + "\n" + p.String(), "x\n" + p.String(), base64.StdEncoding.EncodeToString(make([]byte, 42))} {
		if _, err := ParsePublicKey([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestKeyID(t *testing.T) {
	id := KeyID(0xA345BDA18A33D06)
	if got, err := ParseKeyID(id.String()); id.String() != "0A345BDA18A33D06" || err != nil || got != id {
		t.Errorf("%s, %v, %v", id, got, err)
	}
	for _, s := range []string{"", "A345BDA18A33D06", "0A345BDA18A33D0X", "+A345BDA18A33D06"} {
		if _, err := ParseKeyID(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestLegacySignature(t *testing.T) {
	// The example of the library's documentation, made by the C program.
	const key = "RWQGPaMY2ls0CkF/83ls7D+IU25w3jeYczwo3s451zDlnrJJwOdt2ro8"
	const sig = "untrusted comment: signature from private key: A345BDA18A33D06\n" +
		"RWQGPaMY2ls0CmMflCAP5J/MpaXmt+3+UoT1vRSPRjXO6w0KNtpkcQe3TxQ35kAwhjFVB6CEYYrHZmMvWjXRutefRHicRUiAJwQ=\n" +
		"trusted comment: timestamp:1600100266\n" +
		"2x/lxCqL+PHoT4I9Wc8PHmoNBtohgmFdWwPBON55Y2P0ttpBHgr4OFldr/Hq7nDcBGt5SBs2XjtMnxjVs6byBg==\n"
	k, err := ParsePublicKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSignature([]byte(sig))
	if err != nil || !s.Legacy() {
		t.Fatalf("%v", err)
	}
	if _, err := s.Verify(context.Background(), strings.NewReader("Hello Gopher!"), k); err != nil {
		t.Error(err)
	}
	if _, err := s.Verify(context.Background(), strings.NewReader("Hello Gopher?"), k); !errors.Is(err, ErrUnverified) {
		t.Error(err)
	}
}

func TestParseSignatureRefuses(t *testing.T) {
	s, err := Sign(context.Background(), testKey(t, 1), strings.NewReader("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(s.File()), "\n")
	for name, text := range map[string]string{
		"empty": "", "cut": strings.Join(lines[:3], ""), "no comment": strings.Join(lines[1:], ""),
		"escape": lines[0] + lines[1] + "trusted comment: \x1b[2J\n" + lines[3],
		"long":   string(s.File()) + strings.Repeat("\n", MaxSignatureFile),
	} {
		if _, err := ParseSignature([]byte(text)); !errors.Is(err, ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, comment := range []string{"a\nb", "\x1b[1m", "\xff", strings.Repeat("x", MaxTrustedComment+1)} {
		if _, err := Sign(context.Background(), testKey(t, 1), strings.NewReader("x"), comment); err == nil {
			t.Errorf("comment %.10q is taken", comment)
		}
	}
}

func TestSignEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Sign(ctx, testKey(t, 1), strings.NewReader("x"), ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestKeyring(t *testing.T) {
	r := OpenKeyring(filepath.Join(t.TempDir(), "a", "keys"))
	if entries, err := r.List(); err != nil || len(entries) != 0 {
		t.Fatalf("%v, %v", entries, err)
	}
	site, err := r.New("site", NewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.New("site", NewOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second time: %v", err)
	}
	other := testKey(t, 9).Public()
	for range 2 {
		if err := r.Trust("other", other, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Trust("other", site, false); !errors.Is(err, ErrExists) {
		t.Errorf("another key of that name: %v", err)
	}
	if err := r.Trust("site", other, true); !errors.Is(err, ErrExists) {
		t.Errorf("one's own name: %v", err)
	}
	if _, err := r.New("other", NewOptions{Force: true}); !errors.Is(err, ErrExists) {
		t.Errorf("somebody else's name: %v", err)
	}
	k, err := r.Secret("site", nil)
	if err != nil || k.Public() != site {
		t.Fatalf("%v, %v", k, err)
	}
	if _, err := r.Secret("other", nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("secret of another: %v", err)
	}
	for _, name := range []string{"site", site.ID().String(), strings.ToLower(site.ID().String())} {
		if e, err := r.Find(name); err != nil || e.Key != site || !e.Own || e.Encrypted {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	if keys, err := r.Known(); err != nil || len(keys) != 2 || keys[0] != site || keys[1] != other {
		t.Errorf("%v, %v", keys, err)
	}
	if r.Name(other) != "other" || r.Name(testKey(t, 5).Public()) == "" {
		t.Error("names")
	}
	if err := r.Untrust("other"); err != nil {
		t.Error(err)
	}
	if err := r.Untrust("other"); !errors.Is(err, ErrNoKey) {
		t.Errorf("untrust twice: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(r.Dir(), "*", ".airbuild-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestKeyringDamage(t *testing.T) {
	r := OpenKeyring(t.TempDir())
	site, err := r.New("site", NewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.PublicPath("site"), testKey(t, 1).Public().File(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Secret("site", nil); err == nil || !strings.Contains(err.Error(), "public half of another key") {
		t.Errorf("halves of two keys: %v", err)
	}
	if err := r.Trust("friend", site, false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.TrustedPath("friend"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Known(); err == nil || !strings.Contains(err.Error(), "friend.pub") {
		t.Errorf("a damaged key: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if info, err := os.Stat(r.SecretPath("site")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(r.SecretPath("site"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Secret("site", nil); err == nil || !strings.Contains(err.Error(), "can be read or changed by others (mode 0640)") {
		t.Errorf("readable by others: %v", err)
	}
	if _, err := ReadSecretKey(r.SecretPath("site"), nil); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: %v", err)
	}
}

func TestCheckKeyName(t *testing.T) {
	for _, name := range []string{"site", "a.b", "A-1_2", strings.Repeat("x", 100)} {
		if err := CheckKeyName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".x", "x.", "-x", "a/b", `a\b`, "..", "ü", "a b", "x.key", "x.PUB", "nul", "Com1", "trusted", "con.x", strings.Repeat("x", 101)} {
		if CheckKeyName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func TestKeyringDir(t *testing.T) {
	dir, err := KeyringDir(func(name string) (string, bool) { return "/x/keys", name == EnvKeys })
	if err != nil || filepath.ToSlash(dir) != "/x/keys" && runtime.GOOS != "windows" {
		t.Errorf("%s, %v", dir, err)
	}
}

func FuzzParseKeys(f *testing.F) {
	k := testKey(f, 1)
	text, err := k.File("")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(k.Public().File())
	f.Add(rewrite(f, text, func(b []byte) { clear(b[sumAt:]) }))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := ParsePublicKey(text); err == nil {
			if again, err := ParsePublicKey(p.File()); err != nil || again != p {
				t.Fatalf("%v, %v", again, err)
			}
		}
		k, err := ParseSecretKey(text, func() (string, error) { return "", errors.New("none") })
		if err != nil {
			return
		}
		file, err := k.File("")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseSecretKey(file, nil); err != nil || again.Public() != k.Public() {
			t.Fatalf("%v, %v", again, err)
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	k := testKey(f, 1)
	s, err := Sign(context.Background(), k, strings.NewReader("hello"), "timestamp:1\tfile:x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.File())
	f.Add(bytes.ReplaceAll(s.File(), []byte("\n"), []byte("\r\n")))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseSignature(text)
		if err != nil {
			if !errors.Is(err, ErrUnverified) {
				t.Fatalf("%v is not ErrUnverified", err)
			}
			return
		}
		again, err := ParseSignature(s.File())
		if err != nil || !again.lib.Equal(s.lib) {
			t.Fatalf("%v\n%s\n%s", err, text, s.File())
		}
		if _, err := s.Verify(context.Background(), strings.NewReader("hello"), k.Public()); err == nil && s.Comment() != "timestamp:1\tfile:x" {
			t.Fatalf("verified with the comment %q", s.Comment())
		}
	})
}
