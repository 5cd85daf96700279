package relay

import (
	"cmp"
	"io"
	"net/http"
	"time"
)

// stride is how much of an answer a client must take within Options.Stall, in
// bytes: a slow one is cut off, a large file is not.
const stride = 512 << 10

// slowest is the rate below which a body is not taken on the whole, in bytes a
// second.
const slowest = 4 << 10

// A pacedWriter is the answer to one request: it counts, and gives the client a
// deadline for each stride. The memory it takes does not grow with the answer.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	status  int   // zero until the answer has begun
	bytes   int64 // of the answer's body
}

func (h *Handler) paced(w http.ResponseWriter, r *http.Request) *pacedWriter {
	p := &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), stall: h.o.Stall}
	p.extend()
	if r.ContentLength != 0 {
		// Until somebody wants the body: what is left of it is read at the end.
		// A writer without deadlines is one of a test.
		_ = p.control.SetReadDeadline(time.Now().Add(min(p.stall, 5*time.Second)))
	}
	return p
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *pacedWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.stall)) }

func (w *pacedWriter) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(b []byte) (n int, err error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	for {
		part := b[n:min(n+stride, len(b))]
		w.extend()
		m, err := w.ResponseWriter.Write(part)
		n += m
		w.bytes += int64(m)
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// ReadFrom hands a file on to the connection a stride at a time, in the form
// that the standard library knows to send without copying.
func (w *pacedWriter) ReadFrom(r io.Reader) (n int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	limited, bounded := r.(*io.LimitedReader)
	if !ok || !bounded {
		return io.Copy(justWriter{w}, r)
	}
	w.status = cmp.Or(w.status, http.StatusOK)
	for limited.N > 0 {
		part := &io.LimitedReader{R: limited.R, N: min(stride, limited.N)}
		want := part.N
		w.extend()
		m, err := to.ReadFrom(part)
		n += m
		limited.N -= m
		w.bytes += m
		if err != nil || m < want {
			return n, err
		}
	}
	return n, nil
}

// justWriter hides ReadFrom from io.Copy.
type justWriter struct{ io.Writer }

// body is what the client sends: at most limit bytes, none of which may take
// longer than Options.Stall, and all of which may take no longer than they
// would at the slowest rate.
func (w *pacedWriter) body(r *http.Request, limit int64) io.Reader {
	return &pacedReader{w: w, r: http.MaxBytesReader(w, r.Body, limit), start: time.Now()}
}

type pacedReader struct {
	w     *pacedWriter
	r     io.Reader
	start time.Time
	n     int64
}

func (p *pacedReader) Read(b []byte) (int, error) {
	soon := time.Now().Add(p.w.stall)
	last := p.start.Add(p.w.stall + time.Duration(p.n/slowest+1)*time.Second)
	if last.Before(soon) {
		soon = last
	}
	_ = p.w.control.SetReadDeadline(soon)
	n, err := p.r.Read(b)
	p.n += int64(n)
	return n, err
}
