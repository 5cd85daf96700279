package sandbox

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
)

// Address families, as Linux numbers them.
const (
	familyUnix  = 1
	familyIPv4  = 2
	familyIPv6  = 10
	maxSockaddr = 128 // bytes of a struct sockaddr_storage
)

// An endpoint is an IP address and a port. IPv4 addresses are in the last four
// bytes, mapped as in IPv6.
type endpoint struct {
	ip   [16]byte
	port uint16
}

// mapped begins an IPv4 address in IPv6.
const mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"

func (e endpoint) is4() bool { return string(e.ip[:12]) == mapped }

// String is as package netip writes it: "192.0.2.7:8080", "[2001:db8::7]:443".
func (e endpoint) String() string {
	port := ":" + strconv.Itoa(int(e.port))
	if e.is4() {
		return strings.Join(lists.Map(e.ip[12:], func(b byte) string { return strconv.Itoa(int(b)) }), ".") + port
	}
	return "[" + ipv6(e.ip) + "]" + port
}

// ipv6 writes an address as RFC 5952 says: the first of the longest runs of two
// or more zero groups is "::".
func ipv6(ip [16]byte) string {
	group := func(i int) uint16 { return binary.BigEndian.Uint16(ip[2*i:]) }
	from, to := -1, -1
	for i := 0; i < 8; i++ {
		j := i
		for j < 8 && group(j) == 0 {
			j++
		}
		if j-i >= 2 && j-i > to-from {
			from, to = i, j
		}
		i = max(i, j-1)
	}
	var b strings.Builder
	for i := 0; i < 8; i++ {
		if i == from {
			b.WriteString("::")
			if i = to; i == 8 {
				break
			}
		} else if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strconv.FormatUint(uint64(group(i)), 16))
	}
	return b.String()
}

// parseSockaddr reads an IP address and port out of a struct sockaddr, as it
// lies in a process's memory. ok is false for other families and for what is
// too short.
func parseSockaddr(b []byte) (to endpoint, ok bool) {
	if len(b) < 4 {
		return to, false
	}
	to.port = binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case familyIPv4:
		if len(b) < 8 {
			return endpoint{}, false
		}
		copy(to.ip[:], mapped)
		copy(to.ip[12:], b[4:8])
		return to, true
	case familyIPv6:
		if len(b) < 24 {
			return endpoint{}, false
		}
		copy(to.ip[:], b[8:24])
		return to, true
	}
	return endpoint{}, false
}

// external reports whether an address is on the network: neither loopback nor
// the unspecified address, which stands for loopback in connect.
func external(to endpoint) bool {
	if to.is4() {
		return to.ip[12] != 127 && [4]byte(to.ip[12:]) != [4]byte{}
	}
	return to.ip != [16]byte{} && to.ip != [16]byte{15: 1}
}
