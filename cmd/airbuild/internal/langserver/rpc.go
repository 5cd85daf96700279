package langserver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
)

// maxMessage bounds what a client may send at once: a file, and what goes with it.
const maxMessage = 16 << 20

// Error codes of JSON-RPC.
const (
	codeParse         = -32700
	codeNoMethod      = -32601
	codeInvalidParams = -32602
)

// A message is a request, a notification (without an ID) or a response.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return e.Message }

// A conn reads and writes messages in the framing of the Language Server Protocol:
// a header with Content-Length, an empty line, that many bytes of JSON.
type conn struct {
	in  *bufio.Reader
	out io.Writer
}

// read returns the next message; io.EOF after the last.
func (c *conn) read() (*message, error) {
	header, err := textproto.NewReader(c.in).ReadMIMEHeader()
	if err != nil {
		if errors.Is(err, io.EOF) && len(header) == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("read header of message: %w", err)
	}
	size, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || size < 0 || size > maxMessage {
		return nil, fmt.Errorf("read header of message: Content-Length %q: want a number up to %d", header.Get("Content-Length"), maxMessage)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	m := &message{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, &rpcError{codeParse, err.Error()}
	}
	return m, nil
}

func (c *conn) write(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	if _, err := fmt.Fprintf(c.out, "Content-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

func (c *conn) notify(method string, params any) error {
	return c.write(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
}

// answer writes the response to a request.
func (c *conn) answer(id json.RawMessage, result any, err error) error {
	if err == nil {
		return c.write(map[string]any{"jsonrpc": "2.0", "id": id, "result": result})
	}
	var e *rpcError
	if !errors.As(err, &e) {
		e = &rpcError{codeInvalidParams, err.Error()}
	}
	if id == nil {
		id = json.RawMessage("null")
	}
	return c.write(map[string]any{"jsonrpc": "2.0", "id": id, "error": e})
}
