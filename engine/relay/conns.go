package relay

import (
	"net"
	"net/http"
	"sync"
)

// conns bounds how many connections are open. When there are as many as may be,
// one that is idle is closed, and if none is, the next client waits in the
// system's queue: clients that do not try again, like the go command, are better
// served by waiting than by a refusal.
type conns struct {
	slots chan struct{}
	once  sync.Once
	done  chan struct{} // closed with the listener

	mu   sync.Mutex // guards idle
	idle map[net.Conn]bool
}

func newConns(most int) *conns {
	return &conns{slots: make(chan struct{}, most), done: make(chan struct{}), idle: map[net.Conn]bool{}}
}

// listener returns ln with the bound.
func (c *conns) listener(ln net.Listener) net.Listener { return &boundListener{ln, c} }

// state is for http.Server.ConnState: it notes who is idle.
func (c *conns) state(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != http.StateIdle {
		delete(c.idle, conn)
		return
	}
	c.idle[conn] = true
	if len(c.slots) == cap(c.slots) {
		c.shed()
	}
}

// shed closes an idle connection. A client sees it closed before an answer, and
// takes a new one. Callers hold mu.
func (c *conns) shed() {
	for conn := range c.idle {
		delete(c.idle, conn)
		conn.Close()
		return
	}
}

// enter waits for a slot, and reports false when the listener was closed.
func (c *conns) enter() bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
	}
	c.mu.Lock()
	c.shed()
	c.mu.Unlock()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-c.done:
		return false
	}
}

type boundListener struct {
	net.Listener
	c *conns
}

func (l *boundListener) Accept() (net.Conn, error) {
	if !l.c.enter() {
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.c.slots
		return nil, err
	}
	return l.c.count(conn), nil
}

func (l *boundListener) Close() error {
	l.c.once.Do(func() { close(l.c.done) })
	return l.Listener.Close()
}

// count returns conn, which gives its slot back when it is closed. A TCP
// connection stays one that files can be sent on without copying.
func (c *conns) count(conn net.Conn) net.Conn {
	free := sync.OnceFunc(func() { <-c.slots })
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tcpConn{tcp, free}
	}
	return &plainConn{conn, free}
}

type tcpConn struct {
	*net.TCPConn
	free func()
}

func (c *tcpConn) Close() error {
	defer c.free()
	return c.TCPConn.Close()
}

type plainConn struct {
	net.Conn
	free func()
}

func (c *plainConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
