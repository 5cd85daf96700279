package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// answerNames runs the sandbox's name server: it refuses every query, and
// tells which name was asked for. It listens where resolvers look for one: what
// resolv.conf says, and what they take without one. Addresses that cannot be
// listened on are left out.
func answerNames(w *watcher) {
	const port = 53
	for _, at := range [...]unix.Sockaddr{
		&unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}},
		&unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}},
	} {
		if s, err := bound(unix.SOCK_DGRAM, at); err == nil {
			go answerPackets(s, w)
		}
		if s, err := bound(unix.SOCK_STREAM, at); err == nil {
			go answerStreams(s, w)
		}
	}
}

func answerPackets(s *socket, w *watcher) {
	b := make([]byte, 4096)
	for {
		var n int
		var from unix.Sockaddr
		err := s.reading(func(fd int) (err error) {
			n, from, err = unix.Recvfrom(fd, b, 0)
			return err
		})
		if err != nil {
			return
		}
		if end := w.asked("udp", portOf(from), b[:n]); end > 0 {
			a := refusal(b[:n], end)
			s.writing(func(fd int) error { return unix.Sendto(fd, a, 0, from) })
		}
	}
}

func answerStreams(s *socket, w *watcher) {
	for {
		var conn int
		var from unix.Sockaddr
		err := s.reading(func(fd int) (err error) {
			conn, from, err = unix.Accept4(fd, unix.SOCK_CLOEXEC)
			return err
		})
		if errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return
		}
		if c, err := newSocket(conn); err == nil {
			go answerStream(c, portOf(from), w)
		}
	}
}

// answerStream answers queries that have their length before them, RFC 1035,
// 4.2.2.
func answerStream(c *socket, from uint16, w *watcher) {
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
		end := w.asked("tcp", from, q)
		if end == 0 {
			return
		}
		a := refusal(q, end)
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

// asked tells of a query, that came from a port, and returns where its question
// ends, or 0.
func (w *watcher) asked(network string, from uint16, q []byte) int {
	name, end := askedName(q)
	if end > 0 && !localName(name) {
		a := Attempt{Op: Lookup, Host: name}
		if from != 0 && w.ownProc {
			if pid := socketOwner(network, from); pid > 0 {
				a.Program, a.PID = w.who(pid)
			}
		}
		w.report(a)
	}
	return end
}

// socketOwner is the process that has a socket with the given local port, or 0.
// The resolver waits for its answer meanwhile.
func socketOwner(network string, port uint16) int {
	for _, table := range [...]string{network, network + "6"} {
		if inode := socketInode("/proc/self/net/"+table, port); inode != "" {
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
