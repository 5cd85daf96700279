package trace

import "golang.org/x/sys/unix"

// fileCalls are the system calls of x86-64 that name a file.
var fileCalls = []fileCall{
	{unix.SYS_OPEN, opens, -1, 0, 1}, {unix.SYS_OPENAT, opens, 0, 1, 2}, {unix.SYS_OPENAT2, opens2, 0, 1, 2},
	{unix.SYS_CREAT, writes, -1, 0, 0}, {unix.SYS_TRUNCATE, writes, -1, 0, 0},
	{unix.SYS_RENAME, writes, -1, 1, 0}, {unix.SYS_RENAMEAT, writes, 2, 3, 0}, {unix.SYS_RENAMEAT2, writes, 2, 3, 0},
	{unix.SYS_LINK, writes, -1, 1, 0}, {unix.SYS_LINKAT, writes, 2, 3, 0},
	{unix.SYS_SYMLINK, writes, -1, 1, 0}, {unix.SYS_SYMLINKAT, writes, 1, 2, 0},
	{unix.SYS_STAT, looks, -1, 0, 0}, {unix.SYS_LSTAT, looks, -1, 0, 0}, {unix.SYS_NEWFSTATAT, looks, 0, 1, 0}, {unix.SYS_STATX, looks, 0, 1, 0},
	{unix.SYS_ACCESS, looks, -1, 0, 0}, {unix.SYS_FACCESSAT, looks, 0, 1, 0}, {unix.SYS_FACCESSAT2, looks, 0, 1, 0},
	{unix.SYS_READLINK, follows, -1, 0, 0}, {unix.SYS_READLINKAT, follows, 0, 1, 0},
	{unix.SYS_EXECVE, runs, -1, 0, 0}, {unix.SYS_EXECVEAT, runs, 0, 1, 0},
}

// timeCalls read the time of day and are not on every architecture.
var timeCalls = []stopAt{{nr: unix.SYS_TIME}}

func isTime(nr uint64) bool { return nr == unix.SYS_TIME }

// readCall reads the call that a thread was stopped at.
func readCall(pid int) (sysCall, error) {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &r); err != nil {
		return sysCall{}, err
	}
	return sysCall{r.Orig_rax, [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}}, nil
}

// skipCall has the call that a thread was stopped at return a value, undone.
func skipCall(pid int, value uint64) {
	var r unix.PtraceRegs
	if unix.PtraceGetRegs(pid, &r) != nil {
		return
	}
	r.Orig_rax, r.Rax = ^uint64(0), value
	unix.PtraceSetRegs(pid, &r)
}

func stackPointer(pid int) (uint64, error) {
	var r unix.PtraceRegs
	err := unix.PtraceGetRegs(pid, &r)
	return r.Rsp, err
}
