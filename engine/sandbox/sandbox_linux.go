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

	"github.com/airbuild/airbuild/internal/lists"
)

// A Sandbox keeps the processes that run in it to its Spec. Any number of goroutines may Run processes in it.
type Sandbox struct {
	spaces bool // it has a process namespace
	hidden bool
	named  bool // by the supervisor
	link   *link
	init   *os.Process
	report func(Attempt)

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
func open(ctx context.Context, m start, u *setup, report func(Attempt)) (*Sandbox, reply, error) {
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
		return nil, reply{}, err
	}
	sb := &Sandbox{spaces: m.method == Namespaces, link: ours, init: p, report: report, calls: map[int]chan reply{}, ended: make(chan struct{})}
	ready, err := sb.shake(ctx, u)
	if err != nil {
		sb.kill()
		return nil, ready, err
	}
	sb.hidden, sb.named = ready.Hidden, ready.Named
	go sb.receive()
	return sb, ready, nil
}

// shake sends the setup and waits for the answer.
func (sb *Sandbox) shake(ctx context.Context, u *setup) (reply, error) {
	var r reply
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	stop := context.AfterFunc(limit, func() { sb.link.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := sb.link.send(request{Op: "setup", Setup: u})
	if err == nil {
		_, err = sb.link.receive(&r)
	}
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err != nil:
		return r, fmt.Errorf("its init process did not answer: %w", err)
	case r.Op != "ready":
		err = errors.New(r.Error)
		if r.Errno != 0 {
			err = &setupError{r.Error, syscall.Errno(r.Errno)}
		}
		return r, err
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
func (sb *Sandbox) kill() {
	sb.link.Close()
	sb.init.Kill()
	sb.init.Wait()
}

// FilesHidden reports whether files that were not declared are kept away here.
func (sb *Sandbox) FilesHidden() bool { return sb.hidden }

// Close ends everything that runs in the sandbox. All Runs must have returned.
func (sb *Sandbox) Close() error {
	if !sb.spaces { // the kernel would not end what it started
		sb.link.shut()
		select {
		case <-sb.ended:
		case <-time.After(time.Second):
		}
	}
	sb.kill()
	<-sb.ended
	return nil
}

// receive hands replies to those who wait for them.
func (sb *Sandbox) receive() {
	defer close(sb.ended)
	for {
		var r reply
		if _, err := sb.link.receive(&r); err != nil {
			return
		}
		if r.Op == "attempt" {
			if r.Attempt != nil && sb.report != nil {
				sb.report(*r.Attempt)
			}
			continue
		}
		sb.mu.Lock()
		ch := sb.calls[r.ID]
		sb.mu.Unlock()
		if ch != nil {
			ch <- r // has room for both replies that there are
		}
	}
}

var errEnded = errors.New("the sandbox ended")

// Run runs one process and waits for its end, and until its output is copied.
// When ctx ends, its process group is interrupted, and killed after the grace
// time; nothing of the group outlives the call.
func (sb *Sandbox) Run(ctx context.Context, c *Cmd) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s, err := c.streams()
	if err != nil {
		return err
	}
	defer s.close()
	id, ch := sb.begin()
	defer sb.finish(id)
	err = sb.link.send(request{
		Op: "start", ID: id, Path: []byte(c.Path), Args: toBytes(c.Args), Env: toBytes(c.Env), Dir: []byte(c.Dir),
	}, s.fds()...)
	s.started()
	if err != nil {
		return &StartError{c.Path, err}
	}
	r, ok := sb.wait(ch)
	if !ok {
		return &StartError{c.Path, errEnded}
	}
	if r.Op == "started" && r.Errno != 0 {
		return &StartError{c.Path, syscall.Errno(r.Errno)}
	}
	var mu sync.Mutex
	var sure *time.Timer
	stop := context.AfterFunc(ctx, func() {
		sb.signal(id, unix.SIGINT)
		mu.Lock()
		sure = time.AfterFunc(c.Grace, func() { sb.signal(id, unix.SIGKILL) })
		mu.Unlock()
	})
	r, ok = sb.wait(ch)
	s.wait(c.Grace + time.Second)
	sb.signal(id, unix.SIGKILL) // what it left behind
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

func (sb *Sandbox) begin() (int, chan reply) {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	sb.next++
	ch := make(chan reply, 2)
	sb.calls[sb.next] = ch
	return sb.next, ch
}

func (sb *Sandbox) finish(id int) {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	delete(sb.calls, id)
}

// wait returns the next reply; false if there will be none.
func (sb *Sandbox) wait(ch chan reply) (reply, bool) {
	select {
	case r := <-ch:
		return r, true
	case <-sb.ended:
	}
	select { // it may have come before the end
	case r := <-ch:
		return r, true
	default:
		return reply{}, false
	}
}

func (sb *Sandbox) signal(id int, s unix.Signal) {
	sb.link.send(request{Op: "signal", ID: id, Signal: int(s)})
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
	return lists.Map(s.files[:], func(f *os.File) int { return int(f.Fd()) })
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
