//go:build linux && (amd64 || arm64)

package trace

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	dataNr   = 0
	dataArch = 4
	dataArg0 = 16
)

// A stopAt is a call that the filter stops at: always, or if its first argument
// is one of a few.
type stopAt struct {
	nr    uint64
	first []uint32
}

// calls are those that the options want to see.
func calls(o Options) []stopAt {
	var out []stopAt
	if o.Clock != 0 {
		out = append(out, stopAt{unix.SYS_CLOCK_GETTIME, []uint32{unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_TAI}},
			stopAt{nr: unix.SYS_GETTIMEOFDAY})
		out = append(out, timeCalls...)
	}
	if o.Dir != "" {
		for _, c := range fileCalls {
			out = append(out, stopAt{nr: c.nr})
		}
	}
	return out
}

// filterProgram stops at the calls and lets the rest pass, and programs of
// another architecture too.
func filterProgram(arch uint32, stops []stopAt) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	p := []unix.SockFilter{load(dataArch), equal(arch, 1, 0), ret(unix.SECCOMP_RET_ALLOW), load(dataNr)}
	for _, s := range stops {
		if len(s.first) == 0 {
			p = append(p, equal(uint32(s.nr), 0, 1), ret(unix.SECCOMP_RET_TRACE))
			continue
		}
		n := uint8(len(s.first))
		p = append(p, equal(uint32(s.nr), 0, n+3), load(dataArg0))
		for i, v := range s.first {
			p = append(p, equal(v, n-uint8(i), 0))
		}
		p = append(p, ret(unix.SECCOMP_RET_ALLOW), ret(unix.SECCOMP_RET_TRACE))
	}
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

// installFilter filters this thread and what it becomes.
func installFilter(stops []stopAt) error {
	if len(stops) == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	p := filterProgram(arch, stops)
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return e
	}
	return nil
}
