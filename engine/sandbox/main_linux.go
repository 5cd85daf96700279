package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// initArg is the one argument of an init process, and initFD the descriptor of
// its connection. It is no flag, so that nobody hits it by accident.
const (
	initArg = "sandbox-init:1"
	initFD  = 3
)

// An init process becomes one here, and not in main: a program that opens a Sandbox
// may have much to initialise that an init process has no use for, and each step
// starts one. Go initialises a package as soon as what it imports is, so this one
// imports little, none of package net, os/exec and path/filepath.
func init() { Main() }

// Main turns this process into the init process of a sandbox if it was started
// as one; then it does not return. Every program that opens a Sandbox, and every
// test binary that does, calls it before anything else. It has happened by then:
// the call says that the program depends on it.
func Main() {
	if len(os.Args) != 2 || os.Args[1] != initArg {
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "airbuild sandbox:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve is the life of an init process: it ends when the connection does, and
// with it, where there is a process namespace, all that runs in it.
func serve() error {
	unix.CloseOnExec(initFD)
	l, err := newLink(initFD)
	if err != nil {
		return errors.New("this command is started by airbuild itself only")
	}
	var first request
	if _, err := l.receive(&first); err != nil || first.Op != "setup" || first.Setup == nil {
		return fmt.Errorf("read sandbox setup: %v", err)
	}
	n := &initProcess{link: l, setup: first.Setup, running: map[int]int{}}
	ready := reply{Op: "ready"}
	if err := n.prepare(&ready); err != nil {
		return l.send(reply{Op: "refused", Error: err.Error(), Errno: errno(err)})
	}
	if err := l.send(ready); err != nil {
		return err
	}
	go n.reap()
	for {
		var r request
		fds, err := l.receive(&r)
		if err != nil { // airbuild is done, or gone
			n.killAll()
			return nil
		}
		n.handle(&r, fds)
	}
}

// prepare makes the sandbox around this process.
func (n *initProcess) prepare(ready *reply) error {
	u := n.setup
	if u.Method == Namespaces {
		if err := u.isolate(); err != nil {
			return err
		}
		ready.Hidden = true
	} else if u.View == Declared {
		ready.Hidden = u.landlock() == nil
	}
	w := &watcher{report: n.attempt, barrier: u.Method == Filter && !u.Network, ownProc: ownProc()}
	if u.Method == Namespaces && !u.Network {
		w.ownNet, _ = os.Readlink("/proc/self/ns/net")
		answerNames(w)
	}
	n.spawner = make(chan spawn)
	started := make(chan error)
	go n.spawn(w, started)
	if err := <-started; err != nil {
		return err
	}
	ready.Named = w.listener >= 0
	if w.listener >= 0 {
		go w.watch()
	} else if w.barrier {
		return fmt.Errorf("install system call filter: %w", w.err)
	}
	return nil
}

func (n *initProcess) attempt(a Attempt) { n.link.send(reply{Op: "attempt", Attempt: &a}) }

// ownProc reports whether /proc shows the processes by the numbers that this
// process knows them by.
func ownProc() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == fmt.Sprint(os.Getpid())
}

func errno(err error) int {
	var e syscall.Errno
	errors.As(err, &e)
	return int(e)
}
