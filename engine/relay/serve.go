package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// ServeOptions say how Serve treats connections. The zero value is plain HTTP
// with the defaults.
type ServeOptions struct {
	TLS            *tls.Config // nil: plain HTTP
	MaxConnections int         // zero: DefaultMaxConnections
	Drain          time.Duration
	Log            *slog.Logger // nil: nothing is logged
}

// The defaults of ServeOptions, and what every connection is bound by.
const (
	DefaultMaxConnections = 256
	DefaultDrain          = 30 * time.Second // for requests under way at the end
	headerTimeout         = 10 * time.Second
	idleTimeout           = 2 * time.Minute
	maxHeader             = 16 << 10 // bytes
)

// Serve answers on ln until ctx ends; then it takes no more, lets what is under
// way end for Drain, cuts off the rest, and returns nil. It closes ln. HTTP/1.1
// only: one connection is then one request at a time, and the bounds hold.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, o ServeOptions) error {
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.Drain = cmp.Or(o.Drain, DefaultDrain)
	c := newConns(o.MaxConnections)
	s := &http.Server{
		Handler: c.handler(h), ConnState: c.state, ConnContext: c.context,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	s.Protocols.SetHTTP1(true)
	if o.Log != nil {
		// Clients that go away or do not speak TLS: of interest when looking.
		s.ErrorLog = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	}
	ln = c.listener(ln)
	if o.TLS != nil {
		conf := o.TLS.Clone()
		conf.NextProtos = []string{"http/1.1"}
		ln = tls.NewListener(ln, conf)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return drain(s, ended, o)
}

// drain ends a server. That requests had to be cut off is logged, and no error:
// who ended the relay wanted it to end.
func drain(s *http.Server, ended <-chan error, o ServeOptions) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.Drain)
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		if o.Log != nil {
			o.Log.Warn("cut off what was still under way", "after", o.Drain)
		}
		err = s.Close()
	}
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) && err == nil {
		err = end
	}
	if err != nil {
		return fmt.Errorf("end serving: %w", err)
	}
	return nil
}

// URL is how others call a relay that listens on addr: the name of this host stands
// for all of its addresses.
func URL(addr net.Addr, encrypted bool) string {
	scheme := "http"
	if encrypted {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
