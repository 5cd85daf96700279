package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes and returns all that comes back.
func raw(t *testing.T, s *httptest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(conn) // a reset counts as an end
	return string(b)
}

// running serves h until stop is called, which returns what Serve did.
func running(t *testing.T, h http.Handler, o ServeOptions) (addr string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, h, o) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return ln.Addr().String(), stop
}

// A client that takes nothing is cut off, and its connection is free again.
func TestSlowReader(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 64<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	done := make(chan Access, 1)
	addr, _ := running(t, handler(t, Options{Artifacts: dir, Stall: 50 * time.Millisecond, Access: func(a Access) { done <- a }}), ServeOptions{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /artifacts/large HTTP/1.1\r\nHost: x\r\n\r\n")
	if a := <-done; a.Bytes >= 64<<20 || a.Status != 200 {
		t.Errorf("%+v", a)
	}
}

// One that sends its body a byte at a time is too.
func TestSlowWriter(t *testing.T) {
	addr, _ := running(t, handler(t, Options{Store: t.TempDir(), Writable: true, WriteTokens: parse(t, writeToken), Stall: 50 * time.Millisecond}), ServeOptions{})
	for _, request := range []string{
		"PUT /cas/" + hexOf("x") + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + writeToken + "\r\nContent-Length: 100\r\n\r\nab",
		"PUT /cas/" + hexOf("x") + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab",
		"POST /bundles/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request)
		b, _ := io.ReadAll(conn) // ends: that is the test
		if text := string(b); !strings.HasPrefix(text, "HTTP/1.1 4") || !strings.Contains(text, "Connection: close") {
			t.Errorf("%q", text)
		}
		conn.Close()
	}
}

func TestLargeHeader(t *testing.T) {
	addr, _ := running(t, handler(t, Options{}), ServeOptions{})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/1.1 431") {
		t.Errorf("%q", line)
	}
}

func get(conn net.Conn) (string, error) {
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

// With one connection allowed, an idle one makes room, and a busy one is waited
// for.
func TestTooManyConnections(t *testing.T) {
	busy, entered := make(chan struct{}), make(chan struct{}, 1)
	h := handler(t, Options{})
	addr, _ := running(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			entered <- struct{}{}
			<-busy
		}
		h.ServeHTTP(w, r)
	}), ServeOptions{MaxConnections: 1})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := dial()
	if line, err := get(first); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	second := dial() // first is idle
	if line, err := get(second); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	third := dial() // second is idle
	io.WriteString(third, "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	fourth, answered := dial(), make(chan string, 1)
	go func() {
		line, _ := get(fourth)
		answered <- line
	}()
	select {
	case line := <-answered:
		t.Errorf("answered beside a busy one: %s", line)
	case <-time.After(50 * time.Millisecond):
	}
	close(busy)
	if line := <-answered; !strings.Contains(line, "200") {
		t.Error(line)
	}
}

// Serve ends when told to; what is under way ends first, or is cut off.
func TestShutdown(t *testing.T) {
	for _, drained := range []bool{true, false} {
		release, entered := make(chan struct{}), make(chan struct{})
		o := ServeOptions{Drain: time.Hour}
		if !drained {
			o.Drain = time.Millisecond
		}
		addr, stop := running(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-release
			io.WriteString(w, "whole")
		}), o)
		got := make(chan string, 1)
		go func() {
			answer, err := http.Get("http://" + addr + "/")
			if err != nil {
				got <- "cut"
				return
			}
			defer answer.Body.Close()
			b, _ := io.ReadAll(answer.Body)
			got <- string(b)
		}()
		<-entered
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		if drained {
			close(release)
			if s := <-got; s != "whole" {
				t.Errorf("got %q", s)
			}
		} else {
			if s := <-got; s != "cut" {
				t.Errorf("got %q", s)
			}
			close(release)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestSelfSigned(t *testing.T) {
	cert, text, err := SelfSigned([]string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := running(t, handler(t, Options{Certificate: text}), ServeOptions{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("no PEM")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	answer, err := client.Get("https://" + addr + "/relay.pem")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, _ := io.ReadAll(answer.Body); string(b) != string(text) || answer.ProtoMajor != 1 {
		t.Errorf("%s %s", answer.Proto, b)
	}
	if _, err := http.Get("https://" + addr); err == nil {
		t.Error("trusted by all")
	}
	print := Fingerprint(cert.Certificate[0])
	if sum, err := parseFingerprint(strings.ToLower(print)); err != nil || len(print) != 95 || sum == [32]byte{} {
		t.Errorf("%s: %v", print, err)
	}
	for _, bad := range []string{"", "00", print + ":00", strings.Replace(print, ":", "x", 1)} {
		if _, err := parseFingerprint(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Large files go from the file to the connection without our reading them: no
// wrapper may hide either from the other.
func TestSentByTheSystem(t *testing.T) {
	f, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	spy := &spyWriter{ResponseRecorder: httptest.NewRecorder()}
	w := handler(t, Options{}).paced(spy, httptest.NewRequest("GET", "/", nil))
	n, err := io.CopyN(w, f, stride+1)
	if err != nil || n != stride+1 || w.bytes != n || spy.calls != 2 || spy.other {
		t.Errorf("%d %v, %d calls, other %v", n, err, spy.calls, spy.other)
	}
	var c net.Conn = newConns(1).count(&net.TCPConn{})
	if _, ok := c.(io.ReaderFrom); !ok {
		t.Error("connections hide ReadFrom")
	}
}

type spyWriter struct {
	*httptest.ResponseRecorder
	calls int
	other bool
}

func (s *spyWriter) ReadFrom(r io.Reader) (int64, error) {
	s.calls++
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	s.other = s.other || !ok
	return io.Copy(io.Discard, r)
}

func TestListenerCloses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newConns(1)
	c.slots <- struct{}{}
	bound := c.listener(ln)
	ended := make(chan error, 1)
	go func() {
		_, err := bound.Accept()
		ended <- err
	}()
	bound.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// Clients that send half a request do not keep one out that sends a whole one.
func TestHalfOpenRequests(t *testing.T) {
	const most = 8
	addr, _ := running(t, handler(t, Options{}), ServeOptions{MaxConnections: most})
	for _, half := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\nX: "} {
		for range 3 * most {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			if _, err := io.WriteString(conn, half); err != nil {
				t.Log(err) // closed already
			}
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(headerTimeout * 8 / 10)) // the others' time is not over
		if line, err := get(conn); err != nil || !strings.Contains(line, "200") {
			t.Errorf("%q: %s, %v", half, line, err)
		}
	}
}

func TestURL(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ip        string
		encrypted bool
		want      string
	}{
		{"127.0.0.1", false, "http://127.0.0.1:8099"},
		{"192.0.2.7", true, "https://192.0.2.7:8099"},
		{"2001:db8::1", true, "https://[2001:db8::1]:8099"},
		{"0.0.0.0", false, "http://" + name + ":8099"},
		{"::", true, "https://" + name + ":8099"},
	} {
		if got := URL(&net.TCPAddr{IP: net.ParseIP(test.ip), Port: 8099}, test.encrypted); got != test.want {
			t.Errorf("URL(%s, %v) = %s, want %s", test.ip, test.encrypted, got, test.want)
		}
	}
}

func TestCertificateHosts(t *testing.T) {
	for _, test := range []struct {
		listen, has string
	}{
		{"relay.test:8099", "relay.test"},
		{"192.0.2.7:8099", "192.0.2.7"},
		{"0.0.0.0:8099", "localhost"},
		{"[::1]:8099", "::1"},
	} {
		hosts := CertificateHosts(test.listen)
		if !slices.Contains(hosts, test.has) || !slices.Contains(hosts, "127.0.0.1") {
			t.Errorf("%s: %q lacks %s or 127.0.0.1", test.listen, hosts, test.has)
		}
		if slices.Contains(hosts, "0.0.0.0") || slices.Contains(hosts, "") {
			t.Errorf("%s: %q has what is no host", test.listen, hosts)
		}
		slices.Sort(hosts)
		if len(slices.Compact(slices.Clone(hosts))) != len(hosts) {
			t.Errorf("%s: %q has one twice", test.listen, hosts)
		}
	}
}
