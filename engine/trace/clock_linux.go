//go:build linux && (amd64 || arm64)

package trace

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// tellTime answers a call that reads the time of day, in the kernel's place.
// What it cannot answer the kernel does.
func (t *tracer) tellTime(pid int, r sysCall) {
	now := time.Now().Add(t.clock)
	if r.nr == unix.SYS_CLOCK_GETTIME && r.args[0] == unix.CLOCK_TAI {
		now = now.Add(37 * time.Second)
	}
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], uint64(now.Unix()))
	at, value := r.args[0], uint64(0)
	switch {
	case r.nr == unix.SYS_CLOCK_GETTIME:
		binary.NativeEndian.PutUint64(b[8:], uint64(now.Nanosecond()))
		at = r.args[1]
	case r.nr == unix.SYS_GETTIMEOFDAY:
		binary.NativeEndian.PutUint64(b[8:], uint64(now.Nanosecond()/1000))
	default: // time
		value = uint64(now.Unix())
	}
	size := len(b)
	if isTime(r.nr) {
		size = 8
	}
	if at != 0 && write(pid, at, b[:size]) != nil {
		return
	}
	skipCall(pid, value)
}

// isClock reports whether a call reads the clock; the filter lets only those
// through that read the time of day.
func isClock(nr uint64) bool {
	return nr == unix.SYS_CLOCK_GETTIME || nr == unix.SYS_GETTIMEOFDAY || isTime(nr)
}

// The keys of the auxiliary vector that matter here.
const (
	auxEnd    = 0
	auxIgnore = 1
	auxVDSO   = 33
)

// maxStack bounds how far up the stack of a new program the auxiliary vector is
// looked for, in words: arguments and environment may have 6 MiB.
const maxStack = 1 << 20

// hideVDSO takes the kernel's fast clock away from a program that is about to
// begin, so that it asks for the time by system calls.
func hideVDSO(pid int) {
	sp, err := stackPointer(pid)
	if err != nil {
		return
	}
	w := words{pid: pid, at: sp}
	argc, ok := w.next()
	if !ok || argc > maxStack {
		return
	}
	w.skip(argc + 1)
	for i := 0; ; i++ { // the environment
		v, ok := w.next()
		if !ok || i > maxStack {
			return
		}
		if v == 0 {
			break
		}
	}
	for range 100 {
		at := w.at
		key, ok := w.next()
		if !ok || key == auxEnd {
			return
		}
		if key == auxVDSO {
			var b [8]byte
			binary.NativeEndian.PutUint64(b[:], auxIgnore)
			write(pid, at, b[:])
			return
		}
		w.skip(1)
	}
}

// words reads a process's memory word by word.
type words struct {
	pid int
	at  uint64
	buf []byte
}

func (w *words) next() (uint64, bool) {
	if len(w.buf) < 8 {
		b := make([]byte, 4096-w.at%4096)
		if read(w.pid, w.at, b) != nil {
			return 0, false
		}
		w.buf = b
	}
	v := binary.NativeEndian.Uint64(w.buf)
	w.buf, w.at = w.buf[8:], w.at+8
	return v, true
}

func (w *words) skip(n uint64) { w.at, w.buf = w.at+8*n, nil }
