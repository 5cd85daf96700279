// Package relay serves what was carried across the gap on an internal network,
// and fetches it: bundles, a GOPROXY with its checksum database, artifacts, and
// the store by the HTTP cache protocol that Bazel speaks. docs/relay.md says how
// it is run; docs/formats.md has the bytes of its indexes.
//
//	/                        what there is, as HTML or JSON
//	/bundles/                the bundles
//	/bundles/NAME/           the files of one, with sizes and SHA-256
//	/bundles/NAME/FILE       one file, with ranges
//	/artifacts/              the artifacts
//	/artifacts/checksums.txt their SHA-256, as sha256sum writes them
//	/artifacts/FILE          one, with ranges; with ?checksum its SHA-256
//	/goproxy/…               the GOPROXY protocol
//	/goproxy/sumdb/…         the checksum database's, as a proxy passes it on
//	/cas/SHA256, /ac/SHA256  blobs and results
//	/relay.pem               the certificate, if the relay made it itself
//	/healthz, /metrics
//
// All else is refused. Requests are not trusted: paths are taken as they stand
// or not at all (cleanPath), files are opened below their directory only (tree),
// and bodies, headers and times are bounded.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// Options say what a Handler serves. The zero value serves nothing.
type Options struct {
	Bundles   string // directory of bundles, or a bundle itself
	Artifacts string // directory of artifacts
	GoProxy   string // GOPROXY tree
	Store     string // directory of the store; opened while it is used only

	// Writable lets who has one of WriteTokens put blobs and results.
	Writable    bool
	WriteTokens Tokens
	// ReadTokens, if there are any, are asked of everybody, for all but
	// /healthz and /relay.pem. A write token opens too.
	ReadTokens Tokens
	MaxUpload  int64 // bytes of a blob that is put; zero: 4 GiB

	Certificate []byte // PEM, shown at /relay.pem
	Metrics     bool   // show /metrics
	// Access, which may be nil, is told of every request that was answered. It
	// is called from many goroutines.
	Access func(Access)
	// Log, which may be nil, gets what a request failed of that is the host's
	// fault: the client is told no more than that.
	Log *slog.Logger
	// Stall is how long a client may take for 512 KiB of an answer, and for any
	// byte of a body. Zero: a minute.
	Stall time.Duration
}

// The defaults of Options.
const (
	DefaultMaxUpload = 4 << 30
	defaultStall     = time.Minute
)

// patience is how long a request waits for a checksum before it is told to come
// again.
const patience = 20 * time.Second

// A Handler answers a relay's requests. Callers must Close it.
type Handler struct {
	o         Options
	bundles   tree
	artifacts tree
	modules   tree
	store     *lease
	sums      *sums
	counts    counts
	latest    latestNotes
	stop      context.CancelFunc
}

// New returns a handler. What it serves need not be there yet.
func New(o Options) (*Handler, error) {
	if o.Writable && o.WriteTokens.Empty() {
		return nil, errors.New("serve a writable cache: there is no token for writing")
	}
	if o.Writable && o.Store == "" {
		return nil, errors.New("serve a writable cache: there is no cache")
	}
	o.MaxUpload = cmp.Or(o.MaxUpload, DefaultMaxUpload)
	o.Stall = cmp.Or(o.Stall, defaultStall)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &Handler{
		o: o, bundles: tree{o.Bundles}, artifacts: tree{o.Artifacts}, modules: tree{o.GoProxy},
		sums: newSums(ctx), stop: stop,
	}
	if o.Store != "" {
		h.store = newLease(o.Store, o.Writable)
	}
	return h, nil
}

// Close ends what the handler does in the background and closes the store. No
// request may be under way.
func (h *Handler) Close() error {
	h.stop()
	h.sums.wg.Wait()
	if h.store == nil {
		return nil
	}
	return h.store.close()
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := h.paced(w, r)
	h.counts.active.Add(1)
	start := time.Now()
	defer func() {
		h.counts.active.Add(-1)
		h.counts.add(areaOf(r.URL.Path), p.status, p.bytes)
		if h.o.Access != nil {
			h.o.Access(accessOf(r, p, start))
		}
	}()
	h.answer(p, r)
}

// A refusal is an error that the client is told, with its status.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

func (h *Handler) answer(w *pacedWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	head.Set("Referrer-Policy", "no-referrer")
	if err := h.route(w, r); err != nil {
		h.fail(w, r, err)
	}
}

// route finds who answers. An error that comes back was not answered yet, or
// came too late for an answer: fail tells them apart.
func (h *Handler) route(w *pacedWriter, r *http.Request) error {
	name, ok := cleanPath(r.URL)
	if !ok {
		return refuse(http.StatusBadRequest, "the relay does not serve this path")
	}
	first, rest, _ := strings.Cut(name, "/")
	writes := h.o.Writable && (first == "cas" || first == "ac")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if r.ContentLength != 0 {
			return refuse(http.StatusBadRequest, "a %s request has no body here", r.Method)
		}
	case http.MethodPut:
		if !writes {
			return h.notAllowed(w, false)
		}
	default:
		return h.notAllowed(w, writes)
	}
	if err := h.admit(w, r, name); err != nil {
		return err
	}
	switch first {
	case "":
		return h.front(w, r)
	case "bundles":
		return h.serveBundles(w, r, rest)
	case "artifacts":
		return h.serveArtifacts(w, r, rest)
	case "goproxy":
		return h.serveGoProxy(w, r, rest)
	case "cas":
		return h.serveBlob(w, r, rest)
	case "ac":
		return h.serveResult(w, r, rest)
	}
	return h.serveOwn(w, r, name)
}

func (h *Handler) notAllowed(w *pacedWriter, writes bool) error {
	allow := "GET, HEAD"
	if writes {
		allow += ", PUT"
	}
	w.Header().Set("Allow", allow)
	return refuse(http.StatusMethodNotAllowed, "only %s", allow)
}

// admit asks for a token where one is needed.
func (h *Handler) admit(w *pacedWriter, r *http.Request, name string) error {
	switch {
	case name == "healthz" || name == "relay.pem":
		return nil
	case r.Method == http.MethodPut && h.o.WriteTokens.allows(r):
		return nil
	case r.Method != http.MethodPut && (h.o.ReadTokens.Empty() || h.o.ReadTokens.allows(r) || h.o.WriteTokens.allows(r)):
		return nil
	case r.Method == http.MethodPut && h.o.ReadTokens.allows(r):
		return refuse(http.StatusForbidden, "this token is for reading only")
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="airbuild relay", charset="UTF-8"`)
	return refuse(http.StatusUnauthorized, "a token is needed")
}

// serveOwn answers for the relay itself.
func (h *Handler) serveOwn(w *pacedWriter, r *http.Request, name string) error {
	switch {
	case name == "healthz":
		return sendText(w, r, "ok\n")
	case name == "metrics" && h.o.Metrics:
		return sendText(w, r, h.counts.text())
	case name == "relay.pem" && len(h.o.Certificate) > 0:
		return sendText(w, r, string(h.o.Certificate))
	}
	return refuse(http.StatusNotFound, "not found")
}

// fail tells the client what it may know. An answer that has begun is cut off,
// so that nobody takes a part for the whole.
func (h *Handler) fail(w *pacedWriter, r *http.Request, err error) {
	var told *refusal
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &told):
	case errors.As(err, &tooLarge):
		told = &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d bytes are not taken", tooLarge.Limit)}
	case errors.Is(err, fs.ErrNotExist):
		told = &refusal{http.StatusNotFound, "not found"}
	case errors.Is(err, errHashing):
		w.Header().Set("Retry-After", "5")
		told = &refusal{http.StatusServiceUnavailable, err.Error() + "; ask again"}
	default:
		if r.Context().Err() == nil {
			h.o.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		told = &refusal{http.StatusInternalServerError, "the relay could not do that; its log says why"}
		if isFull(err) {
			told = &refusal{http.StatusInsufficientStorage, "the relay's disk is full"}
		}
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	head := w.Header()
	if r.ContentLength != 0 {
		// The body is not read: neither is what would follow it.
		head.Set("Connection", "close")
	}
	for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Disposition", "ETag", "Last-Modified", "Accept-Ranges"} {
		head.Del(name)
	}
	head.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(told.status)
	if r.Method != http.MethodHead {
		io.WriteString(w, told.text+"\n") // the client may be gone
	}
}

func sendText(w *pacedWriter, r *http.Request, text string) error {
	return sendBytes(w, r, "text/plain; charset=utf-8", []byte(text))
}

func sendBytes(w *pacedWriter, r *http.Request, kind string, b []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(b) // the client may be gone
	}
	return nil
}

// sendFile answers with a file of a tree, or the range of it that was asked
// for. etag is the hexadecimal SHA-256, or "" if it is not known.
func (h *Handler) sendFile(w *pacedWriter, r *http.Request, t tree, name, etag string) error {
	f, info, err := t.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := w.Header()
	head.Set("Content-Type", contentType(name))
	if etag != "" {
		head.Set("ETag", `"sha256:`+etag+`"`)
	}
	oneRange(r)
	// *os.File itself, so that the system sends it without our reading.
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// oneRange takes an asking for several ranges as one for the whole, which the
// protocol allows: no client of ours does it, and each range is work.
func oneRange(r *http.Request) {
	if strings.Contains(r.Header.Get("Range"), ",") || len(r.Header.Values("Range")) > 1 {
		r.Header.Del("Range")
	}
}

// contentType goes by the name alone, and not by what the host's tables say. No
// file is HTML to a browser: a report among the artifacts is saved, not run.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".txt", ".sh", ".mod", ".pub", ".minisig":
		return "text/plain; charset=utf-8"
	case ".zip":
		return "application/zip"
	case ".tar":
		return "application/x-tar"
	}
	return "application/octet-stream"
}

// wantsJSON reports whether a client that asks for a listing is a program: a
// browser says that it takes HTML.
func wantsJSON(r *http.Request) bool {
	return !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// plainQuery refuses queries: none of ours has one, but for what is allowed.
func plainQuery(r *http.Request, allowed string) (has bool, err error) {
	if r.URL.RawQuery == "" {
		return false, nil
	}
	if allowed != "" && (r.URL.RawQuery == allowed || r.URL.RawQuery == allowed+"=sha256") {
		return true, nil
	}
	return false, refuse(http.StatusBadRequest, "unknown query")
}
