package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An initProcess is what an init process keeps.
type initProcess struct {
	link    *link
	setup   *setup
	spawner chan spawn

	mu      sync.Mutex  // held from a process's start until it is in running
	running map[int]int // process number → request ID
	groups  sync.Map    // request ID → process group, until it is killed
	wake    chan struct{}
}

// A spawn is a process to start on the spawner's thread.
type spawn struct {
	r    *request
	fds  []int
	done chan result
}

type result struct {
	pid int
	err error
}

func (n *initProcess) handle(r *request, fds []int) {
	switch r.Op {
	case "start":
		n.launch(spawn{r, fds, make(chan result)})
		for _, fd := range fds {
			unix.Close(fd)
		}
	case "signal":
		pgid, ok := n.groups.Load(r.ID)
		if !ok {
			return
		}
		unix.Kill(-pgid.(int), unix.Signal(r.Signal))
		if r.Signal == int(unix.SIGKILL) {
			n.mu.Lock()
			alive := slices.Contains(slices.Collect(maps.Values(n.running)), r.ID)
			n.mu.Unlock()
			if !alive {
				n.groups.Delete(r.ID) // the number may be another's from now on
			}
		}
	}
}

// launch has a process started, and tells. The spawner must not tell by itself:
// its thread is filtered, and would wait for a supervisor that may wait for it.
func (n *initProcess) launch(s spawn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spawner <- s
	res := <-s.done
	if res.err != nil {
		code := cmp.Or(errno(res.err), int(unix.EINVAL))
		n.link.send(reply{Op: "started", ID: s.r.ID, Errno: code})
		return
	}
	n.running[res.pid] = s.r.ID
	n.groups.Store(s.r.ID, res.pid)
	n.link.send(reply{Op: "started", ID: s.r.ID})
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// killAll ends every group. In a process namespace the end of this process
// ends what has left its group, too.
func (n *initProcess) killAll() {
	n.groups.Range(func(_, pgid any) bool {
		unix.Kill(-pgid.(int), unix.SIGKILL)
		return true
	})
}

// spawn starts processes, all from one thread: what it does to itself (a
// filter, fewer capabilities, no new privileges) is the thread's own and is
// inherited by what the thread starts.
func (n *initProcess) spawn(w *watcher, started chan<- error) {
	runtime.LockOSThread() // and never unlocked; nothing that is filtered may be called here
	n.wake = make(chan struct{}, 1)
	if err := n.restrict(w); err != nil {
		started <- err
		return
	}
	started <- nil
	for s := range n.spawner {
		s.done <- n.start(s)
	}
}

func (n *initProcess) start(s spawn) result {
	if len(s.fds) != 3 {
		return result{err: errors.New("no standard streams")}
	}
	attr := &syscall.ProcAttr{
		Dir: string(s.r.Dir), Env: toStrings(s.r.Env),
		Files: []uintptr{uintptr(s.fds[0]), uintptr(s.fds[1]), uintptr(s.fds[2])},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	pid, err := syscall.ForkExec(string(s.r.Path), toStrings(s.r.Args), attr)
	return result{pid, err}
}

// reap waits for every child: those that were started, and those whose own
// parent has ended.
func (n *initProcess) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil { // no child now
			select {
			case <-n.wake:
			case <-time.After(time.Second):
			}
			continue
		}
		n.mu.Lock()
		id, ours := n.running[pid]
		delete(n.running, pid)
		n.mu.Unlock()
		if ours {
			n.link.send(reply{Op: "exited", ID: id, Status: uint32(status)})
		}
	}
}

// kept are the capabilities that root has inside: enough to build packages and
// to become another user, not to change the sandbox. In a namespace of its own
// a process may still get all of them.
var kept = [...]int{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_MKNOD,
	unix.CAP_NET_RAW, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETFCAP, unix.CAP_SETPCAP,
	unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE,
}

// restrict takes away from this thread what processes must not have.
func (n *initProcess) restrict(w *watcher) error {
	if n.setup.Method == Namespaces {
		for c := 0; c <= unix.CAP_LAST_CAP; c++ {
			if slices.Contains(kept[:], c) {
				continue
			}
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
		unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	w.listener = -1
	if !n.setup.Network {
		w.listener, w.err = installFilter()
	}
	if n.setup.Method == Namespaces {
		return dropCapabilities(n.setup.UID == 0)
	}
	return nil
}

// dropCapabilities leaves this thread, and what it starts, with those of kept
// if it is root's, and with none otherwise.
func dropCapabilities(root bool) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if root {
		for _, c := range kept {
			data[c/32].Permitted |= 1 << (c % 32)
			data[c/32].Effective |= 1 << (c % 32)
		}
	}
	// Not unix.Capset: its second argument is one element.
	if _, _, e := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0); e != 0 {
		return fmt.Errorf("drop capabilities: %w", e)
	}
	return nil
}
