package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	dataNr   = 0
	dataArch = 4
	dataArgs = 16 // eight bytes each
)

// auditArch is what the kernel calls this architecture, or 0 where no filter
// is made.
func auditArch() uint32 {
	return map[string]uint32{
		"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "arm": unix.AUDIT_ARCH_ARM,
		"386": unix.AUDIT_ARCH_I386, "riscv64": unix.AUDIT_ARCH_RISCV64, "s390x": unix.AUDIT_ARCH_S390X,
	}[runtime.GOARCH]
}

// supervised are the calls that go to the supervisor whatever their arguments
// are. A filter sees a message's header as a number only, so that those without
// an address go there too.
var supervised = [...]uint32{unix.SYS_CONNECT, unix.SYS_SENDMSG, unix.SYS_SENDMMSG}

// filterProgram hands the supervised calls, and sendto with an address, to the
// supervisor and lets the rest pass. io_uring would connect and send past the
// filter: there is none, as on a kernel that was built without it, which is what
// programs have another way for. Programs of another architecture pass.
func filterProgram(arch uint32) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	p := []unix.SockFilter{
		load(dataArch), equal(arch, 1, 0), ret(unix.SECCOMP_RET_ALLOW),
		load(dataNr), equal(unix.SYS_IO_URING_SETUP, 0, 1), ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)),
	}
	// The end: [sendto: 5 instructions] allow, notify.
	n := uint8(len(supervised))
	for i, nr := range supervised {
		p = append(p, equal(nr, n-uint8(i)+5, 0))
	}
	return append(p,
		equal(unix.SYS_SENDTO, 0, 4),
		load(dataArgs+8*4), // the address: both halves are zero if there is none
		equal(0, 0, 3),
		load(dataArgs+8*4+4),
		equal(0, 0, 1),
		ret(unix.SECCOMP_RET_ALLOW),
		ret(unix.SECCOMP_RET_USER_NOTIF),
	)
}

// installFilter filters this thread and what it starts. It returns the
// supervisor's descriptor. It fails with EBUSY in a process that is supervised
// already: there the outer supervisor is told.
func installFilter() (int, error) {
	arch := auditArch()
	if arch == 0 {
		return -1, fmt.Errorf("no filter for %s", runtime.GOARCH)
	}
	p := filterProgram(arch)
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	install := func(flags uintptr) (int, error) {
		fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		if e != 0 {
			return -1, e
		}
		return int(fd), nil
	}
	// Not to be woken by a signal once the supervisor has it: Go's threads get
	// many, and each would tell the attempt again. Linux 5.19.
	fd, err := install(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if errors.Is(err, unix.EINVAL) {
		fd, err = install(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	return fd, err
}
