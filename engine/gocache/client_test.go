package gocache

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/store"
)

// fixedTime is the clock of the tests.
var fixedTime = time.Unix(1_700_000_000, 123456789)

// A client is the go command's side of the protocol, written as cmd/go does:
// each request a line and an empty line, a body as a quoted string.
type client struct {
	t      *testing.T
	mu     sync.Mutex // guards in and id
	in     io.WriteCloser
	id     int64
	asked  sync.Map // id to chan *response
	known  []string
	ended  chan error
	report *Report
}

func serve(t *testing.T, s *Server) *client {
	t.Helper()
	if s.Now == nil {
		s.Now = func() time.Time { return fixedTime }
	}
	reqR, reqW := io.Pipe()
	resR, resW := io.Pipe()
	c := &client{t: t, in: reqW, ended: make(chan error, 1)}
	hello := make(chan *response, 1)
	c.asked.Store(int64(0), hello)
	go func() {
		err := s.Serve(context.Background(), reqR, resW, func(r *Report) error {
			c.report = r
			return nil
		})
		resW.Close()
		reqR.Close()
		c.ended <- err
	}()
	go func() {
		dec := json.NewDecoder(bufio.NewReader(resR))
		for {
			r := &response{}
			if dec.Decode(r) != nil {
				return
			}
			ch, ok := c.asked.LoadAndDelete(r.ID)
			if !ok {
				t.Errorf("response to unknown request %d", r.ID)
				continue
			}
			ch.(chan *response) <- r
		}
	}()
	c.known = (<-hello).KnownCommands
	return c
}

func (c *client) ask(q *request, body []byte) *response {
	c.t.Helper()
	ch := make(chan *response, 1)
	c.mu.Lock()
	c.id++
	q.ID = c.id
	c.asked.Store(q.ID, ch)
	b, err := json.Marshal(q)
	if err != nil {
		c.t.Fatal(err)
	}
	b = append(b, "\n\n"...)
	if len(body) > 0 {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, body)
		b = append(b, "\"\n"...)
	}
	_, err = c.in.Write(b)
	c.mu.Unlock()
	if err != nil {
		c.t.Error(err)
		return &response{}
	}
	return <-ch
}

func (c *client) put(id ActionID, body string) *response {
	c.t.Helper()
	sum := sha256.Sum256([]byte(body))
	return c.ask(&request{Command: "put", ActionID: id[:], OutputID: sum[:], BodySize: int64(len(body))}, []byte(body))
}

func (c *client) get(id ActionID) *response {
	c.t.Helper()
	return c.ask(&request{Command: "get", ActionID: id[:]}, nil)
}

// close says close and returns what was used.
func (c *client) close() *Report {
	c.t.Helper()
	if r := c.ask(&request{Command: "close"}, nil); r.Err != "" {
		c.t.Errorf("close: %s", r.Err)
	}
	c.in.Close()
	if err := <-c.ended; err != nil {
		c.t.Errorf("serve: %v", err)
	}
	return c.report
}

func testID(n int) ActionID { return sha256.Sum256(fmt.Append(nil, n)) }

func openStore(t *testing.T, dir string) *store.Disk {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// large is a body that no pipe holds at once and that is not a multiple of three.
var large = string(packageMagic) + string(bytes.Repeat([]byte("0123456789abcdef"), 20_000)) + "."
