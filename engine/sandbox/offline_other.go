//go:build !linux

package sandbox

import "net"

// offline reports whether this host, or the namespace that this process is in,
// has no network interface up but loopback.
func offline() bool {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		return false
	}
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 {
			return false
		}
	}
	return true
}
