package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A socket waits as package net's do, by the runtime. Package net itself is not
// imported here: Main says why.
type socket struct {
	*os.File
	raw syscall.RawConn
}

// newSocket takes over a descriptor.
func newSocket(fd int) (*socket, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return &socket{f, raw}, nil
}

// reading calls f, again as soon as there is something to read if it says that
// there is nothing yet.
func (s *socket) reading(f func(fd int) error) error { return retry(s.raw.Read, f) }

// writing calls f, again as soon as there is room if it says that there is none.
func (s *socket) writing(f func(fd int) error) error { return retry(s.raw.Write, f) }

func retry(wait func(func(uintptr) bool) error, f func(fd int) error) error {
	var err error
	werr := wait(func(fd uintptr) bool {
		for err = f(int(fd)); errors.Is(err, unix.EINTR); err = f(int(fd)) {
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	if werr != nil {
		return werr
	}
	return err
}

// shut ends what is sent.
func (s *socket) shut() {
	s.raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
}

// bound makes a socket of IP at an address of this host.
func bound(kind int, at unix.Sockaddr) (*socket, error) {
	family := unix.AF_INET
	if _, ok := at.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, at)
	}
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind socket: %w", err)
	}
	return newSocket(fd)
}

// portOf is the port of an IP address.
func portOf(a unix.Sockaddr) uint16 {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port)
	case *unix.SockaddrInet6:
		return uint16(a.Port)
	}
	return 0
}
