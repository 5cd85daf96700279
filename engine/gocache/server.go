package gocache

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// A Server is the program at the other end of one go command.
type Server struct {
	// Store is nil if it could not be opened: then everything is a miss.
	Store Store
	// Dir is the store's directory.
	Dir string
	// Ambient is the user's own GOCACHE. What the store lacks and it has is
	// taken over. Empty for none.
	Ambient string
	// Salts are those under which entries are kept that hold only for this
	// step: what is put goes under the first. Empty for a step whose ActionIDs
	// say all.
	Salts []Salt
	// Checks is the salt of what go vet found, if its ActionIDs do not say all: such
	// an entry counts only under it.
	Checks Salt
	// Temp is where objects go that the store does not take, for as long as
	// the go command runs. Empty means the system's place.
	Temp string
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex // guards what follows; never held during I/O
	touched map[ActionID]use
	notes   []string
	failed  int    // puts that the store did not take
	temp    string // the directory in Temp, when there is one
	temps   int

	lists map[ActionID]bool // ids under which the go command keeps lists of files

	linked bool // go commands are told objects below placeDir
}

// A use is what came of an ActionID in one go command.
type use struct {
	kind  Kind
	put   bool // made by it, and not found
	apart bool // kept under a salt
}

const (
	// maxBuffered is how large a body is held in memory, in bytes, so that it
	// can be kept elsewhere if the store does not take it. A larger one that
	// fails is lost, and the go command is told.
	maxBuffered = 64 << 20
	// keptBuffer is how much of the memory for bodies is kept for the next.
	keptBuffer = 8 << 20
	// maxGets is how many gets are answered at once.
	maxGets = 16
)

// Serve answers requests until the go command says close or goes away. Then it
// calls end with what was used, and only then answers the close: the go command
// waits for that. The error is end's, or for a stream that is not what it
// should be; the Report holds good for what came before.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer, end func(*Report) error) error {
	if s.Now == nil {
		s.Now = time.Now
	}
	s.touched, s.lists = map[ActionID]use{}, map[ActionID]bool{}
	s.linked = hasPlace(s.Dir)
	c := &conversation{s: s, w: &writer{w: bufio.NewWriter(out)}, slots: make(chan struct{}, maxGets)}
	bye, err := c.run(ctx, newReader(in))
	c.gets.Wait()
	if s.temp != "" {
		os.RemoveAll(s.temp)
	}
	err = errors.Join(err, end(s.report()))
	if bye != nil {
		c.w.send(bye)
	}
	return err
}

// A conversation is one Serve.
type conversation struct {
	s      *Server
	w      *writer
	gets   sync.WaitGroup
	slots  chan struct{}
	buffer bytes.Buffer
}

// run answers all but a close, whose answer it returns.
func (c *conversation) run(ctx context.Context, r *reader) (bye *response, err error) {
	c.w.send(&response{KnownCommands: []string{"get", "put", "close"}})
	for {
		q, err := r.next()
		if err == io.EOF {
			return nil, nil // killed, or an old one that does not say close
		}
		if err != nil {
			return nil, err
		}
		switch q.Command {
		case "get":
			c.slots <- struct{}{}
			c.gets.Go(func() {
				defer func() { <-c.slots }()
				c.w.send(c.s.get(ctx, q))
			})
		case "put":
			c.w.send(c.put(ctx, q, r.body))
		case "close":
			return &response{ID: q.ID}, nil
		default:
			c.w.send(&response{ID: q.ID, Err: "unknown command " + strconv.Quote(q.Command)})
		}
	}
}

// A writer writes responses, each as a line. An error ends nothing: the reader
// will see that the go command is gone.
type writer struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (w *writer) send(r *response) {
	b, err := json.Marshal(r)
	if err != nil {
		b = []byte(`{"ID":` + strconv.FormatInt(r.ID, 10) + `,"Miss":true}`)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.w.Write(append(b, '\n'))
	w.w.Flush()
}

// idOf reads a hash of a request.
func idOf(b []byte) (id [32]byte, err error) {
	if len(b) != len(id) {
		return id, fmt.Errorf("a hash of %d bytes", len(b))
	}
	return [32]byte(b), nil
}

// get answers a get: from the store, from the user's own cache, or not at all.
func (s *Server) get(ctx context.Context, q *request) (r *response) {
	miss := &response{ID: q.ID, Miss: true}
	defer func() {
		if p := recover(); p != nil {
			s.Note(fmt.Sprintf("look up: %v", p))
			r = miss
		}
	}()
	id, err := idOf(q.ActionID)
	if err != nil || s.Store == nil {
		return miss
	}
	s.expect(id)
	e, salt, ok := s.findAny(ctx, id)
	if !ok {
		if e, ok = s.adopt(ctx, id); !ok {
			return miss
		}
	}
	s.touch(e, use{apart: salt != (Salt{})})
	return &response{ID: q.ID, OutputID: e.Object.Hash[:], Size: e.Object.Size, Time: &e.Time, DiskPath: s.file(e.Object)}
}

// file is the path by which the go command is told an object.
func (s *Server) file(object action.Digest) string {
	name := s.Store.BlobFile(object)
	if s.linked {
		return below(s.Dir, name)
	}
	return name
}

// findAny looks for an entry that always holds, and then for one that holds for
// this step.
func (s *Server) findAny(ctx context.Context, id ActionID) (e Entry, salt Salt, ok bool) {
	for _, salt := range append([]Salt{{}}, s.Salts...) {
		if e, ok = s.find(ctx, id, salt); ok && !s.checked(e) {
			return e, salt, true
		}
	}
	if s.Checks != (Salt{}) {
		if e, ok = s.find(ctx, id, s.Checks); ok {
			return e, s.Checks, true
		}
	}
	return e, salt, false
}

// expect notes under which id the go command will keep the list of the files of a
// package that has the ActionID id (Subkey in cmd/go/internal/cache).
func (s *Server) expect(id ActionID) {
	if s.Checks == (Salt{}) {
		return
	}
	list := ActionID(sha256.Sum256(slices.Concat([]byte("subkey:"), id[:], []byte("srcfiles"))))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[list] = true
}

// checked reports whether an entry, whose object is in the store, counts only under
// Checks. What go vet found has no form to know it by, so that is everything but what
// is known: packages, indexes, lists of files, and the sources that cgo makes.
func (s *Server) checked(e Entry) bool {
	if s.Checks == (Salt{}) || e.Kind != Other {
		return false
	}
	s.mu.Lock()
	list := s.lists[e.ID]
	s.mu.Unlock()
	if list {
		return false
	}
	head, err := readHead(s.Store.BlobFile(e.Object))
	return err != nil || !bytes.HasPrefix(head, []byte(cgoHead))
}

// cgoHead is how a file that cgo makes begins, as far as readHead reads.
const cgoHead = "// Code generate"

// find looks an entry up in the store. An entry counts only with its object,
// verified.
func (s *Server) find(ctx context.Context, id ActionID, salt Salt) (e Entry, ok bool) {
	r, err := s.Store.Result(ctx, keyOf(id, salt))
	if r == nil || err != nil {
		s.trouble("look up", err)
		return e, false
	}
	if e, err = entryOf(id, r); err != nil {
		s.Note(fmt.Sprintf("entry %.12s: %v", id, err))
		return e, false
	}
	missing, err := s.Store.Missing(ctx, []action.Digest{e.Object})
	s.trouble("look up", err)
	return e, err == nil && len(missing) == 0
}

// put keeps the body of a put and answers with the file that holds it.
func (c *conversation) put(ctx context.Context, q *request, body *bodyReader) (r *response) {
	s := c.s
	fail := func(err error) *response { return &response{ID: q.ID, Err: "airbuild: " + err.Error()} }
	defer func() {
		if p := recover(); p != nil {
			r = fail(fmt.Errorf("%v", p))
		}
	}()
	id, err := idOf(q.ActionID)
	if err != nil {
		return fail(err)
	}
	output, err := idOf(q.OutputID)
	if err != nil {
		return fail(err)
	}
	e := Entry{ID: id, Object: action.Digest{Hash: output, Size: q.BodySize}, Time: s.Now()}
	src, whole, err := c.open(body, q.BodySize)
	if err != nil {
		return fail(err)
	}
	head := &headReader{r: src}
	err = s.store(ctx, head, &e)
	if err == nil {
		s.touch(e, use{put: true, apart: s.saltFor(e) != (Salt{})})
		return &response{ID: q.ID, DiskPath: s.file(e.Object)}
	}
	if _, ok := errors.AsType[*changedError](err); ok {
		return fail(err)
	}
	s.refused(err)
	if !whole {
		return fail(err)
	}
	name, err := s.keepAside(c.buffer.Bytes())
	if err != nil {
		return fail(err)
	}
	return &response{ID: q.ID, DiskPath: name}
}

// open returns the body of a put: whole in c.buffer if it is not too large.
func (c *conversation) open(body *bodyReader, size int64) (src io.Reader, whole bool, err error) {
	if c.buffer.Cap() > keptBuffer {
		c.buffer = bytes.Buffer{}
	}
	c.buffer.Reset()
	switch {
	case size == 0:
		return &c.buffer, true, nil
	case size > maxBuffered:
		return body, false, nil
	}
	c.buffer.Grow(int(size) + bytes.MinRead)
	if _, err := c.buffer.ReadFrom(body); err != nil {
		return nil, false, fmt.Errorf("read body: %w", err)
	}
	return bytes.NewReader(c.buffer.Bytes()), true, nil
}

// A changedError is a body that is not what its OutputID says.
type changedError struct{ want, got action.Digest }

func (e *changedError) Error() string {
	return fmt.Sprintf("the body of a put has digest %s, and was announced as %s", e.got, e.want)
}

// errNoStore is the reason why nothing is kept without a store.
var errNoStore = errors.New("the store is not open")

// store puts the object, then the entry, into the store. It sets e.Kind.
func (s *Server) store(ctx context.Context, body *headReader, e *Entry) error {
	if s.Store == nil {
		return errNoStore
	}
	got, err := s.Store.Put(ctx, body)
	if err != nil {
		return err
	}
	if got != e.Object {
		return &changedError{e.Object, got}
	}
	e.Kind = kindOf(body.head)
	return s.Store.PutResult(ctx, keyOf(e.ID, s.saltFor(*e)), e.result())
}

// saltFor is the salt under which an object is put.
func (s *Server) saltFor(e Entry) Salt {
	switch {
	case s.checked(e):
		return s.Checks
	case len(s.Salts) == 0 || e.Kind == Index:
		return Salt{}
	}
	return s.Salts[0]
}

// A headReader remembers the beginning of what is read through it.
type headReader struct {
	r    io.Reader
	head []byte
}

func (h *headReader) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	if want := kindHead - len(h.head); want > 0 {
		h.head = append(h.head, b[:min(n, want)]...)
	}
	return n, err
}

// keepAside writes an object that the store did not take to a file that lives
// as long as the go command.
func (s *Server) keepAside(b []byte) (string, error) {
	if s.temp == "" {
		dir, err := os.MkdirTemp(s.Temp, "airbuild-gocache-")
		if err != nil {
			return "", fmt.Errorf("keep object: %w", err)
		}
		if s.temp, err = filepath.Abs(dir); err != nil {
			return "", fmt.Errorf("keep object: %w", err)
		}
	}
	s.temps++
	name := filepath.Join(s.temp, strconv.Itoa(s.temps))
	if err := os.WriteFile(name, b, 0o444); err != nil {
		os.Remove(name)
		return "", fmt.Errorf("keep object: %w", err)
	}
	return name, nil
}

// touch notes that e was used. What was put and is asked for again was made by
// this go command all the same.
func (s *Server) touch(e Entry, u use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.kind, u.put = e.Kind, u.put || s.touched[e.ID].put
	s.touched[e.ID] = u
}

// refused notes that the store did not take an object.
func (s *Server) refused(err error) {
	s.mu.Lock()
	s.failed++
	s.mu.Unlock()
	if !errors.Is(err, errNoStore) {
		s.trouble("store package", err)
	}
}

// trouble notes an error of the store. What is damaged the store tells itself.
func (s *Server) trouble(what string, err error) {
	if _, ok := errors.AsType[*action.Damaged](err); err == nil || ok || errors.Is(err, context.Canceled) {
		return
	}
	s.Note(what + ": " + err.Error())
}

// maxNotes is how many different notes one go command may give.
const maxNotes = 5

// Note has the report tell the user a text, each once.
func (s *Server) Note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.notes, text) && len(s.notes) < maxNotes {
		s.notes = append(s.notes, text)
	}
}
