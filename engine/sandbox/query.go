package sandbox

import (
	"encoding/binary"
	"strings"
)

// dnsHeader is the size in bytes of a DNS message's header, RFC 1035, 4.1.1.
const dnsHeader = 12

// askedName returns the name that a DNS query asks for, and where its question
// ends; "" and 0 for what is no query.
func askedName(q []byte) (name string, end int) {
	if len(q) < dnsHeader || q[2]&0x80 != 0 || binary.BigEndian.Uint16(q[4:]) == 0 {
		return "", 0
	}
	var labels []string
	at, size := dnsHeader, 0
	for {
		if at >= len(q) {
			return "", 0
		}
		n := int(q[at])
		at++
		if n == 0 {
			break
		}
		if size += n + 1; n > 63 || size > 255 || at+n > len(q) {
			return "", 0
		}
		labels = append(labels, plainLabel(q[at:at+n]))
		at += n
	}
	if at += 4; at > len(q) { // type and class
		return "", 0
	}
	if len(labels) == 0 {
		return ".", at
	}
	return strings.ToLower(strings.Join(labels, ".")), at
}

// plainLabel is a label as text; bytes that no host name has become "?".
func plainLabel(b []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '*':
			return r
		}
		return '?'
	}, string(b))
}

// refusal answers a query with "server failure": what a resolver without a
// network says. Programs take it for a passing trouble, not for a name that
// does not exist. end is askedName's.
func refusal(q []byte, end int) []byte {
	const servfail = 2
	a := append([]byte{}, q[:end]...)
	a[2] = 0x80 | q[2]&0x79 // a response, with the query's opcode and "recursion desired"
	a[3] = 0x80 | servfail
	binary.BigEndian.PutUint16(a[4:], 1)
	clear(a[6:dnsHeader])
	return a
}

// localName reports whether a name never leaves the host, by RFC 6761 and
// RFC 6762; looking it up is no attempt to reach the network.
func localName(name string) bool {
	for _, top := range [...]string{"localhost", "invalid", "test"} {
		if name == top || strings.HasSuffix(name, "."+top) {
			return true
		}
	}
	return name == "."
}
