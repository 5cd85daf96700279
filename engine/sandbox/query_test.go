package sandbox

import (
	"bytes"
	"strings"
	"testing"
)

// query is a DNS query for the address of a name.
func query(name string) []byte {
	q := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}
	for l := range strings.SplitSeq(name, ".") {
		q = append(append(q, byte(len(l))), l...)
	}
	return append(q, 0, 0, 1, 0, 1, 0, 0, 41, 5, 0, 0, 0, 0, 0, 0, 0)
}

func TestAskedName(t *testing.T) {
	response := query("example.com")
	response[2] |= 0x80
	pointer := append(query("example.com")[:12], 0xc0, 12, 0, 1, 0, 1)
	for _, tt := range []struct {
		q    []byte
		want string
	}{
		{query("example.com"), "example.com"},
		{query("Proxy.Golang.ORG"), "proxy.golang.org"},
		{query("a b.\x1b[31m.c"), "a?b.??31m.c"},
		{[]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1}, "."},
		{query(strings.Repeat("a.", 130) + "a"), ""},
		{query("example.com")[:20], ""},
		{query("example.com")[:25], ""},
		{response, ""},
		{pointer, ""},
		{nil, ""},
	} {
		if got, _ := askedName(tt.q); got != tt.want {
			t.Errorf("%x: %q, want %q", tt.q, got, tt.want)
		}
	}
}

func TestRefusal(t *testing.T) {
	q := query("example.com")
	_, end := askedName(q)
	a := refusal(q, end)
	want := append([]byte{0x12, 0x34, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if !bytes.Equal(a, want) {
		t.Errorf("%x, want %x", a, want)
	}
}

func TestLocalName(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "a.localhost": true, "no.invalid": true, "x.test": true,
		"example.com": false, "mylocalhost": false, "test.example.com": false,
	} {
		if localName(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func FuzzAskedName(f *testing.F) {
	f.Add(query("example.com"))
	f.Add(query(""))
	f.Fuzz(func(t *testing.T, q []byte) {
		name, end := askedName(q)
		if (name == "") != (end == 0) || end > len(q) {
			t.Fatalf("%x: %q, %d", q, name, end)
		}
		if end > 0 && len(refusal(q, end)) != end {
			t.Errorf("%x: the answer has another question", q)
		}
	})
}
