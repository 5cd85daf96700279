package trace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileCalls are the system calls of arm64 that name a file.
var fileCalls = []fileCall{
	{unix.SYS_OPENAT, opens, 0, 1, 2}, {unix.SYS_OPENAT2, opens2, 0, 1, 2},
	{unix.SYS_TRUNCATE, writes, -1, 0, 0},
	{unix.SYS_RENAMEAT, writes, 2, 3, 0}, {unix.SYS_RENAMEAT2, writes, 2, 3, 0},
	{unix.SYS_LINKAT, writes, 2, 3, 0}, {unix.SYS_SYMLINKAT, writes, 1, 2, 0},
	{unix.SYS_NEWFSTATAT, looks, 0, 1, 0}, {unix.SYS_STATX, looks, 0, 1, 0},
	{unix.SYS_FACCESSAT, looks, 0, 1, 0}, {unix.SYS_FACCESSAT2, looks, 0, 1, 0},
	{unix.SYS_READLINKAT, follows, 0, 1, 0},
	{unix.SYS_EXECVE, runs, -1, 0, 0}, {unix.SYS_EXECVEAT, runs, 0, 1, 0},
}

// timeCalls read the time of day and are not on every architecture.
var timeCalls []stopAt

func isTime(uint64) bool { return false }

// readCall reads the call that a thread was stopped at.
func readCall(pid int) (sysCall, error) {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &r); err != nil {
		return sysCall{}, err
	}
	return sysCall{r.Regs[8], [6]uint64{r.Regs[0], r.Regs[1], r.Regs[2], r.Regs[3], r.Regs[4], r.Regs[5]}}, nil
}

// ntSystemCall is the register set that holds the number of the call that is
// about to be done (NT_ARM_SYSTEM_CALL).
const ntSystemCall = 0x404

// skipCall has the call that a thread was stopped at return a value, undone.
func skipCall(pid int, value uint64) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(pid, &r) != nil {
		return
	}
	none := int32(-1)
	v := unix.Iovec{Base: (*byte)(unsafe.Pointer(&none)), Len: 4}
	if ptrace(unix.PTRACE_SETREGSET, pid, ntSystemCall, uintptr(unsafe.Pointer(&v))) != 0 {
		return
	}
	r.Regs[0] = value
	unix.PtraceSetRegs(pid, &r)
}

func stackPointer(pid int) (uint64, error) {
	var r unix.PtraceRegs
	err := unix.PtraceGetRegs(pid, &r)
	return r.Sp, err
}
