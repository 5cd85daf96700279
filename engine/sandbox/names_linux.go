package sandbox

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
)

// nameAddresses are where resolvers look for a name server: what resolv.conf
// says, and what they take without one.
var nameAddresses = [...]string{"127.0.0.1:53", "[::1]:53"}

// answerNames runs the sandbox's name server: it refuses every query, and
// tells which name was asked for. Addresses that cannot be listened on are
// left out.
func answerNames(w *watcher) {
	for _, at := range nameAddresses {
		if c, err := net.ListenPacket("udp", at); err == nil {
			go answerPackets(c, w)
		}
		if l, err := net.Listen("tcp", at); err == nil {
			go answerStreams(l, w)
		}
	}
}

func answerPackets(c net.PacketConn, w *watcher) {
	b := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		if end := w.asked("udp", from, b[:n]); end > 0 {
			c.WriteTo(refusal(b[:n], end), from)
		}
	}
}

func answerStreams(l net.Listener, w *watcher) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go answerStream(c, w)
	}
}

// answerStream answers queries that have their length before them, RFC 1035,
// 4.2.2.
func answerStream(c net.Conn, w *watcher) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := w.asked("tcp", c.RemoteAddr(), q)
		if end == 0 {
			return
		}
		a := refusal(q, end)
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

// asked tells of a query and returns where its question ends, or 0.
func (w *watcher) asked(network string, from net.Addr, q []byte) int {
	name, end := askedName(q)
	if end > 0 && !localName(name) {
		a := Attempt{Op: Lookup, Host: name}
		if at, err := netip.ParseAddrPort(from.String()); err == nil && w.ownProc {
			if pid := socketOwner(network, at); pid > 0 {
				a.Program, a.PID = w.who(pid)
			}
		}
		w.tell(a)
	}
	return end
}

// socketOwner is the process that has a socket with the given local address,
// or 0. The resolver waits for its answer meanwhile.
func socketOwner(network string, at netip.AddrPort) int {
	for _, table := range [...]string{network, network + "6"} {
		if inode := socketInode("/proc/self/net/"+table, at.Port()); inode != "" {
			return holder("socket:[" + inode + "]")
		}
	}
	return 0
}

// socketInode finds a socket in one of the kernel's tables by its local port.
func socketInode(table string, port uint16) string {
	b, err := os.ReadFile(table)
	if err != nil {
		return ""
	}
	want := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], want) && f[9] != "0" {
			return f[9]
		}
	}
	return ""
}

// holder is the first process, but for this one, with an open file that reads
// as link.
func holder(link string) int {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, p := range procs {
		var pid int
		if _, err := fmt.Sscan(p.Name(), &pid); err != nil || pid == os.Getpid() {
			continue
		}
		dir := "/proc/" + p.Name() + "/fd"
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if l, err := os.Readlink(dir + "/" + fd.Name()); err == nil && l == link {
				return pid
			}
		}
	}
	return 0
}
