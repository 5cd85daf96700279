package sandbox

import (
	"syscall"
	"unsafe"
)

// offline reports whether this host, or the namespace that this process is in,
// has no network interface up but loopback.
func offline() bool {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return false
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return false
	}
	some := false
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		some = true
		link := (*syscall.IfInfomsg)(unsafe.Pointer(&m.Data[0]))
		if link.Flags&syscall.IFF_UP != 0 && link.Flags&syscall.IFF_LOOPBACK == 0 {
			return false
		}
	}
	return some
}
