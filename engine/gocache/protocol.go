package gocache

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A request is one line of JSON from the go command. A put with a body is
// followed by an empty line and the body: base64 as a JSON string, on a line
// of its own.
type request struct {
	ID       int64
	Command  string
	ActionID []byte
	OutputID []byte
	BodySize int64
}

// A response answers the request with its ID. The first one, with ID 0, says
// which commands there are.
type response struct {
	ID            int64
	Err           string     `json:",omitempty"`
	KnownCommands []string   `json:",omitempty"`
	Miss          bool       `json:",omitempty"`
	OutputID      []byte     `json:",omitempty"`
	Size          int64      `json:",omitempty"`
	Time          *time.Time `json:",omitempty"`
	DiskPath      string     `json:",omitempty"`
}

// maxRequest bounds a line of JSON, in bytes; a real one has about 200.
const maxRequest = 64 << 10

// A reader reads requests. The body of a put must be read or skipped before
// the next one.
type reader struct {
	r    *bufio.Reader
	body *bodyReader
}

func newReader(r io.Reader) *reader { return &reader{r: bufio.NewReaderSize(r, maxRequest)} }

// next returns the next request. The error is io.EOF if there is none.
func (r *reader) next() (*request, error) {
	if err := r.skip(); err != nil {
		return nil, err
	}
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	q := &request{}
	if err := json.Unmarshal(line, q); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	if q.BodySize < 0 {
		return nil, fmt.Errorf("read request: body of %d bytes", q.BodySize)
	}
	if q.Command == "put" && q.BodySize > 0 {
		if r.body, err = r.openBody(q.BodySize); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// line returns the next line that is not blank. It is valid until the next read.
func (r *reader) line() ([]byte, error) {
	for {
		line, err := r.r.ReadSlice('\n')
		line = bytes.TrimSpace(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read request: a line of more than %d bytes", maxRequest)
		case len(line) > 0 && (err == nil || err == io.EOF):
			return line, nil
		case err != nil:
			return nil, err
		}
	}
}

// openBody finds the start of the string that follows a put.
func (r *reader) openBody(size int64) (*bodyReader, error) {
	for {
		c, err := r.r.ReadByte()
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case c == '"':
			text := &io.LimitedReader{R: r.r, N: int64(base64.StdEncoding.EncodedLen(3)) * ((size + 2) / 3)}
			return &bodyReader{text: text, data: io.LimitReader(base64.NewDecoder(base64.StdEncoding, text), size), left: size}, nil
		case c != '\n' && c != '\r' && c != ' ':
			return nil, fmt.Errorf("read body: it begins with %q", c)
		}
	}
}

// skip reads to the end of the last put's body and its closing quote.
func (r *reader) skip() error {
	b := r.body
	if b == nil {
		return nil
	}
	r.body = nil
	if _, err := io.Copy(io.Discard, b.text); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if b.text.N > 0 {
		return io.ErrUnexpectedEOF
	}
	switch c, err := r.r.ReadByte(); {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case c != '"':
		return fmt.Errorf("read body: %q where its end should be", c)
	}
	return nil
}

// A bodyReader reads the body of a put. It ends with io.ErrUnexpectedEOF if the
// go command went away before it had sent all.
type bodyReader struct {
	text *io.LimitedReader // the base64
	data io.Reader
	left int64
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.data.Read(p)
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
