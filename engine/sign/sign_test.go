package sign

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

// testKey is a key made of one byte, repeated.
func testKey(t testing.TB, seed byte) *SecretKey {
	t.Helper()
	k, err := Generate(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignIsDeterministic(t *testing.T) {
	k := testKey(t, 1)
	var files []string
	for range 2 {
		s, err := Sign(context.Background(), k, strings.NewReader("hello"), "file:hello.txt")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(s.File()))
	}
	if files[0] != files[1] {
		t.Errorf("%s\n%s", files[0], files[1])
	}
}

func TestVerify(t *testing.T) {
	ctx := context.Background()
	k, other := testKey(t, 1), testKey(t, 2)
	s, err := Sign(ctx, k, strings.NewReader("hello"), "comment")
	if err != nil {
		t.Fatal(err)
	}
	changed, impostor := *s, other.Public()
	changed.lib.TrustedComment = "another"
	impostor.id = k.id
	for _, tt := range []struct {
		name    string
		s       *Signature
		message string
		key     PublicKey
		want    string
	}{
		{"good", s, "hello", k.Public(), ""},
		{"bytes", s, "hullo", k.Public(), "not over these bytes"},
		{"key", s, "hello", other.Public(), "not trusted"},
		{"id of another", s, "hello", impostor, "not by that key"},
		{"comment", &changed, "hello", k.Public(), "comment was changed"},
	} {
		got, err := tt.s.Verify(ctx, strings.NewReader(tt.message), other.Public(), tt.key)
		if tt.want == "" && (err != nil || got != tt.key) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
		if tt.want != "" && (!errors.Is(err, ErrUnverified) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
