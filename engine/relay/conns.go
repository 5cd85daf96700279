package relay

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// conns bounds how many connections are open. When there are as many as may be,
// one that is idle is closed, else the one that has been sending its request for
// longest: a client that sends half of one must not keep others out. If all are
// being answered, the next client waits: clients that do
// not try again, like the go command, are better served by waiting than by a
// refusal.
type conns struct {
	slots chan struct{}
	once  sync.Once
	done  chan struct{} // closed with the listener

	mu   sync.Mutex // guards what follows
	idle map[net.Conn]bool
	// begun are connections whose request is not there yet, by when they came.
	begun   map[net.Conn]int
	turn    int
	waiting bool // a client has no slot
}

func newConns(most int) *conns {
	return &conns{slots: make(chan struct{}, most), done: make(chan struct{}), idle: map[net.Conn]bool{}, begun: map[net.Conn]int{}}
}

// listener returns ln with the bound.
func (c *conns) listener(ln net.Listener) net.Listener { return &boundListener{ln, c} }

// connKey is the key of a request's connection in its context.
type connKey struct{}

// context is for http.Server.ConnContext.
func (c *conns) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// handler is h that notes whose request is there.
func (c *conns) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			c.mu.Lock()
			delete(c.begun, conn)
			c.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	})
}

// state is for http.Server.ConnState: it notes who is idle, and who has begun a
// request, the first of which it is that opens the connection.
func (c *conns) state(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.idle, conn)
	switch s {
	case http.StateNew, http.StateActive:
		if _, known := c.begun[conn]; !known {
			c.turn++
			c.begun[conn] = c.turn
		}
	case http.StateIdle:
		delete(c.begun, conn)
		c.idle[conn] = true
		if c.waiting {
			c.shed()
		}
	default:
		delete(c.begun, conn)
	}
}

// shed closes a connection that is not being answered. A client of an idle one
// sees it closed before an answer, and takes a new one. Callers hold mu.
func (c *conns) shed() {
	for conn := range c.idle {
		delete(c.idle, conn)
		conn.Close()
		return
	}
	var oldest net.Conn
	for conn, turn := range c.begun {
		if oldest == nil || turn < c.begun[oldest] {
			oldest = conn
		}
	}
	if oldest != nil {
		delete(c.begun, oldest)
		go oldest.Close() // one in a TLS handshake may take a while
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
	c.waiting = true
	c.shed()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.waiting = false
		c.mu.Unlock()
	}()
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
	// The client first: as long as nobody waits, nobody has to make room.
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.c.enter() {
		conn.Close()
		return nil, net.ErrClosed
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
