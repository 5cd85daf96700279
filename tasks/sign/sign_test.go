package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/airbuild/airbuild/engine"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

func sample() fstest.MapFS {
	return fstest.MapFS{
		"dist/app.tar.gz": {Data: []byte("archive")},
		"LICENSE":         {Data: []byte("Free.\n")},
		"docs/a.md":       {Data: []byte("a")},
	}
}

// newKey makes a key and its keyring.
func newKey(t *testing.T, seed byte) (*signing.SecretKey, *signing.Keyring) {
	t.Helper()
	k, err := signing.Generate(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	r := signing.OpenKeyring(t.TempDir())
	if err := r.Add("site", k, signing.NewOptions{}); err != nil {
		t.Fatal(err)
	}
	return k, r
}

// block is a stage in a project whose environment is env, a list of NAME, value.
func block(ring *signing.Keyring, env ...string) *tasks.Block {
	b := tasktest.Block("sign", "sig", sample())
	b.Project.Root = "/project"
	b.Project.Source = tasks.Source{Time: time.Unix(1700000000, 0).UTC(), Epoch: 1700000000}
	env = append(env, signing.EnvKeys, ring.Dir())
	b.Project.Environ = func(name string) (string, bool) {
		for i := 0; i < len(env); i += 2 {
			if env[i] == name {
				return env[i+1], true
			}
		}
		return "", false
	}
	tasktest.Set(b, "files", append(tasktest.Made("dist/app.tar.gz"), tasktest.Files("LICENSE")...))
	return b
}

func set(b *tasks.Block, attrs map[string]any) {
	for _, name := range []string{"files", "format", "key", "key_file", "key_env", "public_key", "comment", "payload_type"} {
		if v, ok := attrs[name]; ok {
			tasktest.Set(b, name, v)
		}
	}
}

// run plans, lists and runs a block.
func run(t *testing.T, b *tasks.Block) (dir string, s engine.Step, fact string, err error) {
	t.Helper()
	cfg := &Config{}
	s = tasktest.Step(t, task{cfg}, b)
	l, err := s.Discoverer.Discover(t.Context(), nil)
	if err != nil {
		return "", s, "", err
	}
	dir, log, err := tasktest.RunPrivate(t, Tools(cfg), s, sample(), l.Private)
	if err == nil && !strings.HasPrefix(log, "signed with key ") {
		t.Errorf("log %q", log)
	}
	return dir, s, l.Facts[0].Value, err
}

func TestSign(t *testing.T) {
	k, ring := newKey(t, 1)
	text, err := k.File("")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ci.key")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var first []byte
	for name, attrs := range map[string]map[string]any{
		"key":            {"key": "site"},
		"key_file":       {"key_file": file},
		"key_env":        {"key_env": "SIGN_KEY"},
		"key_env of ci":  {"key_env": "SIGN_KEY", "public_key": k.Public().String()},
		"key and public": {"key": "site", "public_key": k.Public().String()},
	} {
		b := block(ring, "SIGN_KEY", string(text))
		attrs["format"] = []string{"dsse", "minisign"}
		set(b, attrs)
		dir, s, fact, err := run(t, b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fact != k.Public().String() {
			t.Errorf("%s: fact %q", name, fact)
		}
		if got := fmt.Sprint(s.Command.OutputPaths); got != "[dist/LICENSE.dsse.json dist/LICENSE.minisig dist/app.tar.gz.dsse.json dist/app.tar.gz.minisig]" {
			t.Errorf("%s: outputs %s", name, got)
		}
		if got := fmt.Sprintf("%+v", s.Command); strings.Contains(got, "site") || strings.Contains(got, "ci.key") || strings.Contains(got, "SIGN_KEY") {
			t.Errorf("%s: where the secret is stands in the command: %s", name, got)
		}
		all := check(t, dir, k.Public())
		if first == nil {
			first = all
		} else if !bytes.Equal(first, all) {
			t.Errorf("%s: other bytes", name)
		}
	}
}

// check verifies what TestSign made, and returns its bytes.
func check(t *testing.T, dir string, key signing.PublicKey) (all []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "dist", "app.tar.gz.minisig"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := signing.ParseSignature(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), strings.NewReader("archive"), key); err != nil || s.Comment() != "timestamp:1700000000\tfile:app.tar.gz" {
		t.Errorf("%v, %q", err, s.Comment())
	}
	b, err := os.ReadFile(filepath.Join(dir, "dist", "LICENSE.dsse.json"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := signing.ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Verify(1, key); err != nil || e.Covers(t.Context(), strings.NewReader("Free.\n")) != nil {
		t.Errorf("%v", err)
	}
	return append(s.File(), b...)
}

func TestInline(t *testing.T) {
	k, ring := newKey(t, 1)
	b := block(ring)
	set(b, map[string]any{"key": "site", "format": []string{"dsse"}, "payload_type": "text/plain", "files": tasktest.Files("LICENSE")})
	dir, _, _, err := run(t, b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "dist", "LICENSE.dsse.json"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := signing.ParseEnvelope(text)
	if err != nil || string(e.Payload) != "Free.\n" || e.PayloadType != "text/plain" {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := e.Verify(1, k.Public()); err != nil {
		t.Error(err)
	}
}

// A variable of the stage goes neither into the command nor among the secrets,
// whose hashes are in the key.
func TestSecretLeavesTheStep(t *testing.T) {
	k, ring := newKey(t, 1)
	text, err := k.File("")
	if err != nil {
		t.Fatal(err)
	}
	for _, sensitive := range []bool{false, true} {
		b := block(ring)
		b.Meta.Env = map[string]string{"SIGN_KEY": string(text), "OTHER": "x"}
		if sensitive {
			b.Meta.Secrets = map[string]string{"SIGN_KEY": string(text)}
		}
		set(b, map[string]any{"key_env": "SIGN_KEY"})
		_, s, fact, err := run(t, b)
		if err != nil || fact != k.Public().String() {
			t.Fatalf("%q, %v", fact, err)
		}
		if len(s.Secrets) != 0 || len(s.Command.Env) != 1 {
			t.Errorf("secrets %v, environment %v", s.Secrets, s.Command.Env)
		}
		if len(s.Mask) != 1 || s.Mask[0] != string(text) {
			t.Error("the secret is not masked")
		}
		if shown := fmt.Sprintf("%+v %v", s.Discoverer, s.Discoverer.(*discoverer).from); strings.Contains(shown, "RWQ") {
			t.Errorf("the secret is printed: %s", shown)
		}
	}
}

// A host without the secret knows the key of the step all the same.
func TestWithoutSecret(t *testing.T) {
	k, _ := newKey(t, 1)
	ring := signing.OpenKeyring(t.TempDir())
	if err := ring.Trust("site", k.Public(), false); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		attrs map[string]any
		words string
	}{
		"trusted": {map[string]any{"key": "site"}, "its secret half is not"},
		"env":     {map[string]any{"key_env": "UNSET", "public_key": k.Public().String()}, "the variable UNSET is not set"},
		"file":    {map[string]any{"key_file": "/nowhere/x.key", "public_key": k.Public().String()}, "x.key"},
	} {
		b := block(ring)
		set(b, tt.attrs)
		_, _, fact, err := run(t, b)
		if err == nil || !strings.Contains(err.Error(), tt.words) || fact != k.Public().String() {
			t.Errorf("%s: fact %q, %v", name, fact, err)
		}
	}
}

func TestNoKey(t *testing.T) {
	k, ring := newKey(t, 1)
	other, _ := newKey(t, 2)
	for name, tt := range map[string]struct {
		attrs map[string]any
		words string
	}{
		"keyring":   {map[string]any{"key": "gone"}, `Airbuildfile:2: the keyring ` + ring.Dir() + ` has no key "gone"; to sign, make it: airbuild key new gone`},
		"file":      {map[string]any{"key_file": "gone.key"}, "there is no key file "},
		"env":       {map[string]any{"key_env": "GONE"}, "the variable GONE is not set"},
		"no key":    {map[string]any{"key_env": "NOISE"}, "the variable NOISE: this is not a secret key"},
		"other key": {map[string]any{"key": "site", "public_key": other.Public().String()}, "key site is key " + k.Public().ID().String()},
	} {
		b := block(ring, "NOISE", "noise")
		set(b, tt.attrs)
		if _, _, _, err := run(t, b); err == nil || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A password is asked for once, however many steps sign.
func TestPassword(t *testing.T) {
	k, ring := newKey(t, 1)
	// The same key, encrypted at a cost that a test can bear.
	locked, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", "sign-1", "locked.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ring.SecretPath("site"), locked, 0o600); err != nil {
		t.Fatal(err)
	}
	asked := 0
	cfg := &Config{Password: func(_ context.Context, name string) (string, error) {
		asked++
		if name != "site" {
			t.Errorf("asked for %q", name)
		}
		return "correct horse", nil
	}}
	for range 2 {
		b := block(ring)
		set(b, map[string]any{"key": "site"})
		s := tasktest.Step(t, task{cfg}, b)
		l, err := s.Discoverer.Discover(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tasktest.RunPrivate(t, Tools(cfg), s, sample(), l.Private); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	nobody := errors.New("nobody is here")
	cfg = &Config{Password: func(context.Context, string) (string, error) { return "", nobody }}
	p := planned{source{kind: fromKeyring, name: "site", dir: ring.Dir()}, k.Public()}
	if _, err := cfg.open(t.Context(), p); !errors.Is(err, nobody) {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	_, ring := newKey(t, 1)
	for _, tt := range []struct {
		attrs map[string]any
		words string
	}{
		{map[string]any{}, "No key to sign with"},
		{map[string]any{"key": "site", "key_env": "X"}, "key says it already"},
		{map[string]any{"key": "a/b"}, "A file is given with key_file"},
		{map[string]any{"key_file": ""}, "key_file is empty"},
		{map[string]any{"key_env": "RWQ AAE"}, "not its value"},
		{map[string]any{"key": "site", "public_key": "noise"}, "neither the text of a public key"},
		{map[string]any{"key": "site", "public_key": "LICENSE"}, "LICENSE: this is not a public key"},
		{map[string]any{"key": "site", "comment": "a\nb"}, "It is one line of printable text"},
		{map[string]any{"key": "site", "payload_type": "text/plain"}, "Add \"dsse\" to format"},
		{map[string]any{"key": "site", "format": []string{"dsse"}, "payload_type": "x y"}, "Want a media type"},
		{map[string]any{"key": "site", "files": tasktest.Files()}, "Nothing to sign"},
		{map[string]any{"key": "site", "files": tasktest.Files("docs")}, "docs is a directory"},
		{map[string]any{"key": "site", "files": tasktest.Files("a/x", "b/x")}, "written twice"},
	} {
		b := block(ring)
		set(b, tt.attrs)
		tasktest.WantError(t, task{&Config{}}, b, tt.words)
	}
}

// TestSpec freezes the last argument of the command: keys hang on it.
func TestSpec(t *testing.T) {
	_, ring := newKey(t, 1)
	b := block(ring)
	set(b, map[string]any{"key": "site", "format": []string{"minisign", "dsse"}, "files": tasktest.Made("dist/b", "dist/b"), "payload_type": "text/plain", "comment": "c"})
	s := tasktest.Step(t, task{&Config{}}, b)
	const want = `[airbuild:sign 1 {"files":[{"file":"dist/b","minisig":"dist/b.minisig","dsse":"dist/b.dsse.json","comment":"c","payload_type":"text/plain"}]}]`
	if got := fmt.Sprint(s.Command.Arguments); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(s.Inputs) != 1 {
		t.Errorf("inputs %+v", s.Inputs)
	}
}

// TestBytes freezes what the tool writes: its version hangs on it.
func TestBytes(t *testing.T) {
	k, ring := newKey(t, 1)
	b := block(ring)
	set(b, map[string]any{"key": "site", "format": []string{"dsse", "minisign"}})
	dir, _, _, err := run(t, b)
	if err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(check(t, dir, k.Public())))
	if want := "231ef636293de9796ed9405259ccb82216535e49a95efc932f0d2c9f6bb6d31d"; sum != want {
		t.Errorf("%s, want %s", sum, want)
	}
}
