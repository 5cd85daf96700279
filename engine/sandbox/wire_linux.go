package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/airbuild/airbuild/internal/lists"
)

// maxMessage bounds one message between airbuild and an init process, bytes.
const maxMessage = 64 << 20

// A request goes to the init process. The first is a setup.
type request struct {
	Op     string // "setup", "start", "signal"
	Setup  *setup `json:",omitempty"`
	ID     int    // of a process: chosen by who asks
	Path   []byte `json:",omitempty"` // bytes: neither paths nor variables need be UTF-8
	Args   [][]byte
	Env    [][]byte
	Dir    []byte `json:",omitempty"`
	Signal int
	// A start comes with three descriptors: standard input, output, error.
}

// A reply comes from the init process.
type reply struct {
	Op      string // "ready", "refused", "started", "exited", "attempt"
	ID      int
	Status  uint32   // exited: as wait4 gives it
	Errno   int      // started: why it was not, or zero
	Error   string   // refused: what failed
	Named   bool     // ready: attempts will be told
	Hidden  bool     // ready: files are kept away
	Attempt *Attempt `json:",omitempty"`
}

// A link is one end of the connection. Any goroutine may send, one receives.
type link struct {
	mu sync.Mutex
	*socket
}

// pair makes a connection: this end, and the file to hand to a process.
func pair() (*link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "sandbox")
	l, err := newLink(fds[0])
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return l, theirs, nil
}

// newLink takes over a socket's descriptor.
func newLink(fd int) (*link, error) {
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_UNIX {
		return nil, errors.New("open sandbox socket: not a Unix socket")
	}
	s, err := newSocket(fd)
	if err != nil {
		return nil, err
	}
	return &link{socket: s}, nil
}

// send writes a message: its length in four bytes, with which the descriptors
// go, and its JSON.
func (l *link) send(m any, fds ...int) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("%d bytes of arguments and environment are too many", len(body))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	n := 0
	err = l.writing(func(fd int) (err error) {
		n, err = unix.SendmsgN(fd, head, oob, nil, unix.MSG_NOSIGNAL)
		return err
	})
	if err != nil || n < len(head) {
		return errors.Join(err, io.ErrShortWrite)
	}
	_, err = l.Write(body)
	return err
}

// receive reads a message into m and returns the descriptors that came with
// it. They are closed on exec.
func (l *link) receive(m any) ([]int, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4*8))
	var n, oobn int
	err := l.reading(func(fd int) (err error) {
		n, oobn, _, _, err = unix.Recvmsg(fd, head, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, err
	}
	fds, err := rights(oob[:oobn])
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return fds, io.EOF
	}
	if _, err := io.ReadFull(l, head[n:]); err != nil {
		return fds, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxMessage {
		return fds, fmt.Errorf("a message of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(l, body); err != nil {
		return fds, err
	}
	return fds, json.Unmarshal(body, m)
}

func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return all, err
		}
		all = append(all, fds...)
	}
	return all, nil
}

func toBytes(list []string) [][]byte {
	return lists.Map(list, func(s string) []byte { return []byte(s) })
}

func toStrings(list [][]byte) []string {
	return lists.Map(list, func(b []byte) string { return string(b) })
}
