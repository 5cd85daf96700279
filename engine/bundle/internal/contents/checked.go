package contents

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// CopyVerified copies r to w and fails unless r gave what d says. It reads at
// most one byte more.
func CopyVerified(w io.Writer, r io.Reader, d action.Digest) error {
	_, err := io.Copy(w, VerifyReader(r, d))
	return err
}

type verifyReader struct {
	r    io.Reader
	want action.Digest
	left int64
	hash hash.Hash
	end  error
}

// VerifyReader returns a reader of r that ends in an error instead of io.EOF if
// r does not give what d says.
func VerifyReader(r io.Reader, d action.Digest) io.Reader {
	return &verifyReader{r: r, want: d, left: d.Size, hash: sha256.New()}
}

func (c *verifyReader) Read(b []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	if int64(len(b)) > c.left+1 {
		b = b[:c.left+1] // one more, to notice what is too long
	}
	n, err := c.r.Read(b)
	if int64(n) > c.left {
		c.end = c.wrong("it has more bytes")
		return 0, c.end
	}
	c.left -= int64(n)
	c.hash.Write(b[:n])
	if err == io.EOF {
		err = c.finish()
	}
	if err != nil {
		c.end = err
	}
	return n, err
}

func (c *verifyReader) finish() error {
	switch {
	case c.left > 0:
		return c.wrong(fmt.Sprintf("%d bytes are missing", c.left))
	case [32]byte(c.hash.Sum(nil)) != c.want.Hash:
		return c.wrong("its bytes are others")
	}
	return io.EOF
}

func (c *verifyReader) wrong(why string) error {
	return format.Refusef("content is not what its digest sha256:%s says: %s", c.want.Hex(), why)
}
