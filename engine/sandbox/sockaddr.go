package sandbox

import (
	"encoding/binary"
	"net/netip"
)

// Address families, as Linux numbers them.
const (
	familyUnix  = 1
	familyIPv4  = 2
	familyIPv6  = 10
	maxSockaddr = 128 // bytes of a struct sockaddr_storage
)

// parseSockaddr reads an IP address and port out of a struct sockaddr, as it
// lies in a process's memory. ok is false for other families and for what is
// too short.
func parseSockaddr(b []byte) (to netip.AddrPort, ok bool) {
	if len(b) < 4 {
		return to, false
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case familyIPv4:
		if len(b) < 8 {
			return to, false
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port), true
	case familyIPv6:
		if len(b) < 24 {
			return to, false
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port), true
	}
	return to, false
}

// outward reports whether an address is on the network: neither loopback nor
// the unspecified address, which stands for loopback in connect.
func outward(to netip.AddrPort) bool {
	return !to.Addr().IsLoopback() && !to.Addr().IsUnspecified()
}
