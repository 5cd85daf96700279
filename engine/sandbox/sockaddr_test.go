package sandbox

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// raw makes a struct sockaddr of a family and what follows it.
func raw(family uint16, rest ...byte) []byte {
	return append(binary.NativeEndian.AppendUint16(nil, family), rest...)
}

func v6(port uint16, addr ...byte) []byte {
	b := raw(familyIPv6, byte(port>>8), byte(port), 0, 0, 0, 0)
	return append(append(b, addr...), 0, 0, 0, 0)
}

func TestParseSockaddr(t *testing.T) {
	one := append(make([]byte, 15), 1)
	inside := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}
	doc := []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}
	for _, tt := range []struct {
		name     string
		b        []byte
		want     string // "" if it is not an IP address
		external bool
	}{
		{"nothing", nil, "", false},
		{"family only", raw(familyIPv4), "", false},
		{"unspecified family", raw(0, 0, 80, 192, 0, 2, 7), "", false},
		{"unix", raw(familyUnix, '/', 'r', 'u', 'n', 0), "", false},
		{"IPv4, short", raw(familyIPv4, 0, 80, 192, 0, 2), "", false},
		{"IPv4", raw(familyIPv4, 0x1f, 0x90, 192, 0, 2, 7), "192.0.2.7:8080", true},
		{"IPv4, long", raw(familyIPv4, 0x1f, 0x90, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0), "192.0.2.7:8080", true},
		{"IPv4 loopback", raw(familyIPv4, 0, 53, 127, 0, 0, 53), "127.0.0.53:53", false},
		{"IPv4 any", raw(familyIPv4, 0, 53, 0, 0, 0, 0), "0.0.0.0:53", false},
		{"IPv4 multicast", raw(familyIPv4, 0x14, 0xe9, 224, 0, 0, 251), "224.0.0.251:5353", true},
		{"IPv6, short", v6(443, doc...)[:20], "", false},
		{"IPv6", v6(443, doc...), "[2001:db8::7]:443", true},
		{"IPv6 loopback", v6(443, one...), "[::1]:443", false},
		{"IPv4 loopback in IPv6", v6(443, inside...), "127.0.0.1:443", false},
	} {
		to, ok := parseSockaddr(tt.b)
		got := ""
		if ok {
			got = to.String()
		}
		if got != tt.want || ok && external(to) != tt.external {
			t.Errorf("%s: %q, external %v", tt.name, got, ok && external(to))
		}
	}
}

func FuzzParseSockaddr(f *testing.F) {
	f.Add(raw(familyIPv4, 0x1f, 0x90, 192, 0, 2, 7))
	for _, ip := range []string{"::", "::1", "1::", "1::2:0:0:3", "1:0:0:2::3", "0:0:1::", "1:0:2:3:4:5:6:7", "2001:db8::7:0", "fe80::1", "::ffff:127.0.0.1", "1:2:3:4:5:6:0:0"} {
		a := netip.MustParseAddr(ip).As16()
		f.Add(v6(443, a[:]...))
	}
	f.Add(raw(familyUnix, '/', 'x', 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		to, ok := parseSockaddr(b)
		if !ok {
			return
		}
		want := netip.AddrPortFrom(netip.AddrFrom16(to.ip).Unmap(), to.port)
		if got := to.String(); got != want.String() {
			t.Errorf("%x: %s, want %s", b, got, want)
		}
		if ip := want.Addr(); external(to) == (ip.IsLoopback() || ip.IsUnspecified()) {
			t.Errorf("%s: external %v", want, external(to))
		}
	})
}
