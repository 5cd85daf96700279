package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Box is one sandbox, open. Any number of goroutines may Run processes in it.
type Box struct {
	spaces bool // it has a process namespace
	hidden bool
	named  bool // by the supervisor
	link   *link
	init   *os.Process
	tell   func(Attempt)

	mu    sync.Mutex
	next  int
	calls map[int]chan reply
	ended chan struct{} // the init process is gone
}

// Started by the init process within this time, or never: it is a program that
// does not call Main.
const startTime = 20 * time.Second

// open starts an init process and waits until its sandbox is made. A
// *refusedError says that this host has none of the kind.
func open(ctx context.Context, m start, u *setup, tell func(Attempt)) (*Box, reply, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, reply{}, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, reply{}, err
	}
	// One processor is enough for one that waits, and spares it the threads of
	// the others when it starts.
	env := []string{"GODEBUG=", "GOTRACEBACK=none", "GOMAXPROCS=1"}
	p, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], initArg}, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{null, null, os.Stderr, initFD: theirs}, Sys: m.attr(),
	})
	null.Close()
	theirs.Close()
	if err != nil {
		ours.Close()
		return nil, reply{}, &refusedError{err}
	}
	b := &Box{spaces: m.method == Namespaces, link: ours, init: p, tell: tell, calls: map[int]chan reply{}, ended: make(chan struct{})}
	ready, err := b.shake(ctx, u)
	if err != nil {
		b.kill()
		return nil, ready, err
	}
	b.hidden, b.named = ready.Hidden, ready.Named
	go b.receive()
	return b, ready, nil
}

// A refusedError: the kernel would not do it.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// shake sends the setup and waits for the answer.
func (b *Box) shake(ctx context.Context, u *setup) (reply, error) {
	var r reply
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	stop := context.AfterFunc(limit, func() { b.link.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := b.link.send(request{Op: "setup", Setup: u})
	if err == nil {
		_, err = b.link.receive(&r)
	}
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err != nil:
		return r, &refusedError{fmt.Errorf("its init process did not answer: %w", err)}
	case r.Op != "ready":
		err = errors.New(r.Error)
		if r.Errno != 0 {
			err = &setupError{r.Error, syscall.Errno(r.Errno)}
		}
		return r, &refusedError{err}
	}
	return r, nil
}

// A setupError is an error of the init process.
type setupError struct {
	text string
	err  syscall.Errno
}

func (e *setupError) Error() string { return e.text }
func (e *setupError) Unwrap() error { return e.err }

// kill ends the init process, and with it all that runs in its namespaces.
func (b *Box) kill() {
	b.link.Close()
	b.init.Kill()
	b.init.Wait()
}

// FilesHidden reports whether files that were not declared are kept away here.
func (b *Box) FilesHidden() bool { return b.hidden }

// Close ends everything that runs in the sandbox. All Runs must have returned.
func (b *Box) Close() error {
	if !b.spaces { // the kernel would not end what it started
		b.link.shut()
		select {
		case <-b.ended:
		case <-time.After(time.Second):
		}
	}
	b.kill()
	<-b.ended
	return nil
}

// receive hands replies to those who wait for them.
func (b *Box) receive() {
	defer close(b.ended)
	for {
		var r reply
		if _, err := b.link.receive(&r); err != nil {
			return
		}
		if r.Op == "attempt" {
			if r.Attempt != nil && b.tell != nil {
				b.tell(*r.Attempt)
			}
			continue
		}
		b.mu.Lock()
		ch := b.calls[r.ID]
		b.mu.Unlock()
		if ch != nil {
			ch <- r // has room for both replies that there are
		}
	}
}

var errEnded = errors.New("the sandbox ended")

// Run runs one process and waits for its end, and until its output is copied.
// When ctx ends, its process group is interrupted, and killed after the grace
// time; nothing of the group outlives the call.
func (b *Box) Run(ctx context.Context, c *Cmd) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s, err := c.streams()
	if err != nil {
		return err
	}
	defer s.close()
	id, ch := b.begin()
	defer b.finish(id)
	err = b.link.send(request{
		Op: "start", ID: id, Path: []byte(c.Path), Args: toBytes(c.Args), Env: toBytes(c.Env), Dir: []byte(c.Dir),
	}, s.fds()...)
	s.started()
	if err != nil {
		return &StartError{c.Path, err}
	}
	r, ok := b.wait(ch)
	if !ok {
		return &StartError{c.Path, errEnded}
	}
	if r.Op == "started" && r.Errno != 0 {
		return &StartError{c.Path, syscall.Errno(r.Errno)}
	}
	var mu sync.Mutex
	var sure *time.Timer
	stop := context.AfterFunc(ctx, func() {
		b.signal(id, unix.SIGINT)
		mu.Lock()
		sure = time.AfterFunc(c.Grace, func() { b.signal(id, unix.SIGKILL) })
		mu.Unlock()
	})
	r, ok = b.wait(ch)
	s.wait(c.Grace + time.Second)
	b.signal(id, unix.SIGKILL) // what it left behind
	stop()
	mu.Lock()
	if sure != nil {
		sure.Stop()
	}
	mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !ok {
		return fmt.Errorf("run %s: %w", c.Path, errEnded)
	}
	return exitError(syscall.WaitStatus(r.Status))
}

func exitError(w syscall.WaitStatus) error {
	switch {
	case w.Signaled():
		return &ExitError{Code: -1, Signal: w.Signal(), Core: w.CoreDump()}
	case w.ExitStatus() != 0:
		return &ExitError{Code: w.ExitStatus()}
	}
	return nil
}

func (b *Box) begin() (int, chan reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	ch := make(chan reply, 2)
	b.calls[b.next] = ch
	return b.next, ch
}

func (b *Box) finish(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.calls, id)
}

// wait returns the next reply; false if there will be none.
func (b *Box) wait(ch chan reply) (reply, bool) {
	select {
	case r := <-ch:
		return r, true
	case <-b.ended:
	}
	select { // it may have come before the end
	case r := <-ch:
		return r, true
	default:
		return reply{}, false
	}
}

func (b *Box) signal(id int, s unix.Signal) {
	b.link.send(request{Op: "signal", ID: id, Signal: int(s)})
}

// streams are a process's standard streams: the files that it gets, and what
// is copied here.
type streams struct {
	files [3]*os.File
	give  []*os.File // ours only until the process has them
	keep  []*os.File // our ends
	done  sync.WaitGroup
	ended chan struct{}
}

func (c *Cmd) streams() (*streams, error) {
	s := &streams{ended: make(chan struct{})}
	if err := s.connect(c); err != nil {
		s.started()
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *streams) connect(c *Cmd) (err error) {
	if s.files[0], err = s.input(c.Stdin); err != nil {
		return err
	}
	if s.files[1], err = s.output(c.Stdout); err != nil {
		return err
	}
	if c.Stderr != nil && same(c.Stderr, c.Stdout) {
		s.files[2] = s.files[1]
		return nil
	}
	s.files[2], err = s.output(c.Stderr)
	return err
}

// same compares writers that may be of types that cannot be compared.
func same(a, b io.Writer) bool {
	defer func() { recover() }()
	return a == b
}

func (s *streams) null(flag int) (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, flag, 0)
	if err == nil {
		s.give = append(s.give, f)
	}
	return f, err
}

func (s *streams) input(r io.Reader) (*os.File, error) {
	if r == nil {
		return s.null(os.O_RDONLY)
	}
	if f, ok := r.(*os.File); ok {
		return f, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.give, s.keep = append(s.give, theirs), append(s.keep, ours)
	s.done.Go(func() {
		io.Copy(ours, r) // the process need not read all of it
		ours.Close()
	})
	return theirs, nil
}

func (s *streams) output(w io.Writer) (*os.File, error) {
	if w == nil {
		return s.null(os.O_WRONLY)
	}
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.give, s.keep = append(s.give, theirs), append(s.keep, ours)
	s.done.Go(func() { io.Copy(w, ours) })
	return theirs, nil
}

func (s *streams) fds() []int {
	var out []int
	for _, f := range s.files {
		out = append(out, int(f.Fd()))
	}
	return out
}

// started closes what the process has now.
func (s *streams) started() {
	for _, f := range s.give {
		f.Close()
	}
	s.give = nil
}

// wait waits until everything is copied; something that the process left
// behind may hold its output open for the given time.
func (s *streams) wait(limit time.Duration) {
	go func() {
		s.done.Wait()
		close(s.ended)
	}()
	select {
	case <-s.ended:
		return
	case <-time.After(limit):
	}
	for _, f := range s.keep {
		f.Close()
	}
}

func (s *streams) close() {
	for _, f := range s.keep {
		f.Close()
	}
}
