//go:build linux && (amd64 || arm64)

package trace

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A tracer follows one process and all that it starts. All of it happens on the
// one thread that the kernel knows as the tracer.
type tracer struct {
	files bool
	clock time.Duration
	exact bool // /proc has our process numbers, so that relative paths are known
	seen  map[string]*Access
	lost  string
}

// run starts the command as a child that waits, watches it, and lets it go.
func (t *tracer) run(args []string) (unix.WaitStatus, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{os.Args[0], childArg}, args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2, r.Fd()},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	r.Close()
	if err != nil {
		return 0, err
	}
	const options = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if e := ptrace(unix.PTRACE_SEIZE, pid, 0, options); e != 0 {
		w.Close()
		var status unix.WaitStatus
		unix.Wait4(pid, &status, 0, nil)
		return 0, fmt.Errorf("the kernel does not let a process be traced: %w", e)
	}
	w.Write([]byte{0})
	w.Close()
	return t.follow(pid)
}

func ptrace(request, pid int, addr, data uintptr) syscall.Errno {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0)
	return e
}

// follow goes on until the first process ends. What it left behind ends with
// the tracer.
func (t *tracer) follow(root int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for the traced process: %w", err)
		}
		if !status.Stopped() {
			if pid == root {
				return status, nil
			}
			continue
		}
		t.stopped(pid, int(status)>>16, int(status.StopSignal()))
	}
}

// stopped handles one stop and lets the thread go on.
func (t *tracer) stopped(pid, event, sig int) {
	switch event {
	case unix.PTRACE_EVENT_SECCOMP:
		t.call(pid)
		sig = 0
	case unix.PTRACE_EVENT_EXEC:
		if t.clock != 0 {
			hideVDSO(pid)
		}
		sig = 0
	case unix.PTRACE_EVENT_STOP:
		if sig != int(unix.SIGTRAP) { // a group was stopped, and stays so
			ptrace(unix.PTRACE_LISTEN, pid, 0, 0)
			return
		}
		sig = 0
	case 0: // a signal on its way
	default:
		sig = 0
	}
	ptrace(unix.PTRACE_CONT, pid, 0, uintptr(sig))
}

// call looks at a system call before it is done.
func (t *tracer) call(pid int) {
	r, err := readCall(pid)
	if err != nil {
		return // the thread was killed meanwhile
	}
	if isClock(r.nr) {
		t.tellTime(pid, r)
		return
	}
	for _, c := range fileCalls {
		if c.nr == r.nr {
			t.access(pid, c, r)
			return
		}
	}
}

// A kind is what a call does to the file that it names.
type kind uint8

const (
	opens   kind = iota // by its flags
	opens2              // by flags in a struct
	writes              // makes or replaces it
	looks               // asks what it is
	follows             // reads a link
	runs
)

// A fileCall is a system call that names a file: the arguments that hold the
// directory's descriptor (-1: none, relative to the working directory), the path
// and the flags.
type fileCall struct {
	nr               uint64
	kind             kind
	dir, path, flags int
}

// A sysCall is a system call of a stopped thread.
type sysCall struct {
	nr   uint64
	args [6]uint64
}

func (t *tracer) access(pid int, c fileCall, r sysCall) {
	p, err := readString(pid, r.args[c.path])
	if err != nil {
		return // the call will fail in the same way
	}
	if p == "" { // the descriptor itself, which was opened before
		return
	}
	if !filepath.IsAbs(p) {
		base, err := t.base(pid, c, r)
		if err != nil {
			t.lose("a relative path could not be resolved: " + err.Error())
			return
		}
		p = filepath.Join(base, p)
	}
	var flags uint64
	switch c.kind {
	case opens:
		flags = r.args[c.flags]
	case opens2:
		var b [8]byte
		if read(pid, r.args[c.flags], b[:]) == nil {
			flags = binary.NativeEndian.Uint64(b[:])
		}
	}
	p = filepath.Clean(p)
	t.note(pid, p, c.kind, flags)
	if end, err := filepath.EvalSymlinks(p); err == nil && end != p {
		t.note(pid, end, c.kind, flags)
	}
}

// base is the directory that a relative path of the call begins at.
func (t *tracer) base(pid int, c fileCall, r sysCall) (string, error) {
	if !t.exact {
		return "", errors.New("/proc does not show the sandbox's processes")
	}
	if c.dir < 0 || int32(r.args[c.dir]) == unix.AT_FDCWD {
		return os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	}
	return os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int32(r.args[c.dir])))
}

func (t *tracer) lose(why string) {
	t.lost = cmp.Or(t.lost, why)
}

// note adds what a call does. It runs before the call: what is there now is what
// the call finds.
func (t *tracer) note(pid int, p string, k kind, flags uint64) {
	for _, dir := range [...]string{"/proc/", "/dev/", "/sys/"} {
		if strings.HasPrefix(p, dir) {
			return
		}
	}
	a := t.seen[p]
	if a == nil {
		info, err := os.Stat(p)
		if err != nil {
			info, err = os.Lstat(p)
		}
		a = &Access{Path: p, Found: err == nil, Dir: err == nil && info.IsDir()}
		t.seen[p] = a
	}
	if k == looks || k == follows || flags&unix.O_PATH != 0 && k != writes && k != runs {
		a.Stat = true
		return
	}
	if by := t.program(pid); by != "" && !slices.Contains(a.By, by) {
		a.By = names(a.By, []string{by})
	}
	switch k {
	case writes:
		a.Write = true
	case runs:
		a.Exec = true
	default:
		mode := flags & unix.O_ACCMODE
		a.Write = a.Write || mode != unix.O_RDONLY || flags&(unix.O_CREAT|unix.O_TRUNC) != 0
		a.Read = a.Read || mode != unix.O_WRONLY && flags&unix.O_TRUNC == 0
	}
}

// program is what the kernel calls a thread's program; "" if /proc is another's.
func (t *tracer) program(pid int) string {
	if !t.exact {
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSuffix(string(b), "\n"), "?")
}

// record is what was seen.
func (t *tracer) record() *Record {
	r := &Record{Version: version, Accesses: []Access{}, Incomplete: t.lost}
	for _, a := range t.seen {
		if _, err := os.Lstat(a.Path); err == nil {
			a.Left = true
		}
		if !a.Found && !a.Write && !a.Left {
			continue // a search that found nothing
		}
		r.Accesses = append(r.Accesses, *a)
	}
	slices.SortFunc(r.Accesses, func(a, b Access) int { return strings.Compare(a.Path, b.Path) })
	return r
}

// read fills b from a process's memory.
func read(pid int, at uint64, b []byte) error {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	n, err := unix.ProcessVMReadv(pid, []unix.Iovec{v}, []unix.RemoteIovec{{Base: uintptr(at), Len: len(b)}}, 0)
	if err == nil && n < len(b) {
		err = unix.EFAULT
	}
	return err
}

// write puts b into a process's memory.
func write(pid int, at uint64, b []byte) error {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	n, err := unix.ProcessVMWritev(pid, []unix.Iovec{v}, []unix.RemoteIovec{{Base: uintptr(at), Len: len(b)}}, 0)
	if err == nil && n < len(b) {
		err = unix.EFAULT
	}
	return err
}

// readString reads a path, page by page: what lies behind its end may be
// nobody's memory.
func readString(pid int, at uint64) (string, error) {
	if at == 0 {
		return "", unix.EFAULT
	}
	const page = 4096
	var out []byte
	for len(out) < unix.PathMax {
		b := make([]byte, page-at%page)
		if err := read(pid, at, b); err != nil {
			return "", err
		}
		for i, c := range b {
			if c == 0 {
				return string(append(out, b[:i]...)), nil
			}
		}
		out = append(out, b...)
		at += uint64(len(b))
	}
	return "", unix.ENAMETOOLONG
}
