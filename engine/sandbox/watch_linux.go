package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A watcher supervises the filtered system calls of all processes of a
// sandbox. In a network namespace it lets every call through, for the kernel
// to refuse, and tells which of them led out. As a barrier it refuses those
// itself: that is no protection against a program that changes the address
// while it is being looked at. For naming that is no matter: whoever does so
// hides its own mistake, and reaches nobody.
type watcher struct {
	report   func(Attempt)
	barrier  bool
	ownProc  bool   // /proc has our process numbers
	ownNet   string // the network namespace that attempts are told of; empty for any
	listener int
	err      error // why there is no listener
}

// A notification is struct seccomp_notif.
type notification struct {
	id    uint64
	pid   uint32 // of the thread
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// A verdict is struct seccomp_notif_resp.
type verdict struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// watch answers notifications until the process ends.
func (w *watcher) watch() {
	for {
		var n notification
		if e := ioctl(w.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); e != 0 {
			if e == unix.EINTR || e == unix.ENOENT { // the caller died meanwhile
				continue
			}
			return
		}
		v := verdict{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if a, out := w.attempt(&n); out {
			if w.barrier {
				v.flags, v.err = 0, -int32(unix.ENETUNREACH)
			}
			w.report(a)
		}
		ioctl(w.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&v))
	}
}

func ioctl(fd int, call uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), call, uintptr(arg))
	return e
}

// attempt reads where a call leads; false if it stays on the host, or cannot
// be read.
func (w *watcher) attempt(n *notification) (Attempt, bool) {
	a := Attempt{Op: Send}
	var to endpoint
	var ok bool
	switch n.nr {
	case unix.SYS_CONNECT:
		a.Op = Connect
		to, ok = w.address(n.pid, n.args[1], n.args[2])
	case unix.SYS_SENDTO:
		to, ok = w.address(n.pid, n.args[4], n.args[5])
	case unix.SYS_SENDMSG:
		to, ok = w.messageAddress(n.pid, n.args[1])
	case unix.SYS_SENDMMSG:
		to, ok = w.messagesAddress(n.pid, n.args[1], n.args[2])
	}
	if !ok || !external(to) || w.elsewhere(n.pid) {
		return a, false
	}
	a.Address = to.String()
	a.Program, a.PID = w.who(int(n.pid))
	return a, true
}

// address reads a struct sockaddr of a process.
func (w *watcher) address(pid uint32, at, size uint64) (endpoint, bool) {
	b, err := peek(pid, at, min(size, maxSockaddr))
	if err != nil {
		return endpoint{}, false
	}
	return parseSockaddr(b)
}

// maxMessages is how many messages sendmmsg sends at most: UIO_MAXIOV.
const maxMessages = 1024

// messagesAddress reads where an array of struct mmsghdr leads: to the first
// address on the network, else to any. Such a struct is a msghdr, and a number
// of 32 bits, in whole words.
func (w *watcher) messagesAddress(pid uint32, at, count uint64) (to endpoint, ok bool) {
	const word, stride = uint64(unsafe.Sizeof(uintptr(0))), uint64(unsafe.Sizeof(unix.Msghdr{}) + 4)
	const step = (stride + word - 1) / word * word
	for i := range min(count&0xffffffff, maxMessages) {
		one, has := w.messageAddress(pid, at+i*step)
		if has && external(one) {
			return one, true
		}
		if has {
			to, ok = one, true
		}
	}
	return to, ok
}

// messageAddress reads where a struct msghdr leads: its first two fields are
// the address and its size.
func (w *watcher) messageAddress(pid uint32, at uint64) (endpoint, bool) {
	const word = uint64(unsafe.Sizeof(uintptr(0)))
	b, err := peek(pid, at, word+4)
	if err != nil {
		return endpoint{}, false
	}
	name := uint64(binary.NativeEndian.Uint32(b))
	if word == 8 {
		name = binary.NativeEndian.Uint64(b)
	}
	if name == 0 {
		return endpoint{}, false
	}
	return w.address(pid, name, uint64(binary.NativeEndian.Uint32(b[word:])))
}

// peek reads the memory of a process.
func peek(pid uint32, at, size uint64) ([]byte, error) {
	if at == 0 || size == 0 {
		return nil, errors.New("nothing to read")
	}
	b := make([]byte, size)
	n, err := unix.ProcessVMReadv(int(pid),
		[]unix.Iovec{iovec(b)}, []unix.RemoteIovec{{Base: uintptr(at), Len: int(size)}}, 0)
	if err != nil {
		return nil, err
	}
	if uint64(n) < size {
		return nil, fmt.Errorf("%d of %d bytes", n, size)
	}
	return b, nil
}

func iovec(b []byte) unix.Iovec {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return v
}

// elsewhere reports whether a process has made itself a network namespace of
// its own: what it does there is not for us to tell.
func (w *watcher) elsewhere(pid uint32) bool {
	if w.ownNet == "" || !w.ownProc {
		return false
	}
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && ns != w.ownNet
}

// who names the process that a thread is of.
func (w *watcher) who(tid int) (program string, pid int) {
	if !w.ownProc {
		return "", tid
	}
	pid = tid
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid)); err == nil {
		for line := range strings.Lines(string(status)) {
			if v, ok := strings.CutPrefix(line, "Tgid:"); ok {
				if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
					pid = n
				}
			}
		}
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "", pid
	}
	return printable(strings.TrimSuffix(string(comm), "\n")), pid
}

// printable is a program's name without what a terminal could take for more.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}
