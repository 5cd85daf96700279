package relay

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/airbuild/airbuild/internal/canonjson"
)

// quick are options whose pauses take no time.
func quick(o FetchOptions) FetchOptions {
	o.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return o
}

// served is a relay with one bundle, through a handler of the test's own that
// may be nil.
func served(t *testing.T, between func(http.Handler) http.Handler, o Options) (url, dir, blob string) {
	t.Helper()
	dir = t.TempDir()
	blob = layout(t, filepath.Join(dir, "site"))
	o.Bundles = dir
	var h http.Handler = handler(t, o)
	if between != nil {
		h = between(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/bundles/site/", filepath.Join(dir, "site"), blob
}

// sameFiles holds two directories against each other.
func sameFiles(t *testing.T, got, want string) {
	t.Helper()
	read := func(dir string) map[string]string {
		files := map[string]string{}
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			rel, _ := filepath.Rel(dir, name)
			files[rel] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	g, w := read(got), read(want)
	for name, text := range w {
		if g[name] != text {
			t.Errorf("%s: %d bytes, want %d", name, len(g[name]), len(text))
		}
		delete(g, name)
	}
	for name := range g {
		t.Errorf("%s is too much", name)
	}
}

func TestFetch(t *testing.T) {
	url, site, _ := served(t, nil, Options{})
	dir := filepath.Join(t.TempDir(), "new", "staging")
	last := Progress{}
	done, err := Fetch(context.Background(), url, dir, FetchOptions{Progress: func(p Progress) {
		if p.Done < last.Done {
			t.Errorf("progress went back: %+v, %+v", last, p)
		}
		last = p
	}})
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, site)
	if done.Received != done.Index.Size || done.Kept != 0 || last.Done != last.Total || last.Total != done.Index.Size {
		t.Errorf("%+v %+v", done, last)
	}
	// Once more, without the slash: nothing comes.
	done, err = Fetch(context.Background(), strings.TrimSuffix(url, "/"), dir, FetchOptions{})
	if err != nil || done.Received != 0 || done.Kept != done.Index.Size {
		t.Errorf("%+v %v", done, err)
	}
	sameFiles(t, dir, site)
	// A file that was damaged on this side comes again.
	name := filepath.Join(dir, "bootstrap.sh")
	if err := os.WriteFile(name, []byte("#!/bin/XX\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if done, err = Fetch(context.Background(), url, dir, FetchOptions{}); err != nil || done.Received != 10 {
		t.Errorf("%+v %v", done, err)
	}
	sameFiles(t, dir, site)
}

// cutting is a server that cuts blobs off after some bytes, as often as it is
// told to.
type cutting struct {
	h     http.Handler
	times atomic.Int32
	after int
}

func (c *cutting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/blobs/") && c.times.Add(-1) >= 0 {
		w = &cutWriter{w, c.after}
	}
	c.h.ServeHTTP(w, r)
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *cutWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b[:min(len(b), w.left)])
	if w.left -= n; w.left == 0 {
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// A connection that is cut again and again goes on where it was; the attempts
// count only those without a byte gained.
func TestFetchResumesAfterCuts(t *testing.T) {
	cut := &cutting{after: 100_000}
	cut.times.Store(12)
	url, site, _ := served(t, func(h http.Handler) http.Handler { cut.h = h; return cut }, Options{})
	dir, retries := t.TempDir(), 0
	done, err := Fetch(context.Background(), url, dir, quick(FetchOptions{Attempts: 2, Retry: func(error, time.Duration) { retries++ }}))
	if err != nil {
		t.Fatal(err)
	}
	if retries != 12 || done.Received != done.Index.Size {
		t.Errorf("%d retries, %+v", retries, done)
	}
	sameFiles(t, dir, site)
}

// A fetch that gave up is gone on with by the next one.
func TestFetchGoesOn(t *testing.T) {
	cut := &cutting{after: 300_000}
	cut.times.Store(1)
	ctx, cancel := context.WithCancel(context.Background())
	url, site, blob := served(t, func(h http.Handler) http.Handler { cut.h = h; return cut }, Options{})
	dir := t.TempDir()
	_, err := Fetch(ctx, url, dir, FetchOptions{Retry: func(error, time.Duration) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	part := filepath.Join(dir, "blobs", "sha256", hexOf(blob)) + partSuffix
	info, err := os.Stat(part)
	if err != nil || info.Size() == 0 {
		t.Fatalf("nothing was kept: %v", err)
	}
	if _, err := os.Stat(strings.TrimSuffix(part, partSuffix)); err == nil {
		t.Error("a part has the name of the whole")
	}
	kept := info.Size()
	done, err := Fetch(context.Background(), url, dir, FetchOptions{})
	if err != nil || done.Kept != kept || done.Received != done.Index.Size-kept {
		t.Errorf("%+v %v, kept %d", done, err, kept)
	}
	sameFiles(t, dir, site)
}

// What a crash of this side damaged in a part is noticed at its end, and the
// file comes again whole.
func TestFetchDamagedPart(t *testing.T) {
	url, site, blob := served(t, nil, Options{})
	dir := t.TempDir()
	write(t, dir, "blobs/sha256/"+hexOf(blob)+partSuffix, strings.Repeat("\x00", 50_000))
	_, err := Fetch(context.Background(), url, dir, quick(FetchOptions{}))
	if err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a part without a state: %v", err)
	}
	_, text := ask(t, "GET", url, "")
	x, err := parseIndex([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := canonjson.Indented(state{stateFormat, url, x})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, stateName, string(b))
	done, err := Fetch(context.Background(), url, dir, quick(FetchOptions{}))
	if err != nil || done.Received != done.Index.Size-50_000+50_000+int64(len(blob))-50_000 {
		t.Errorf("%+v %v", done, err)
	}
	sameFiles(t, dir, site)
}

// The relay restarts in the middle of a file.
func TestFetchOverRestart(t *testing.T) {
	dir := t.TempDir()
	layout(t, filepath.Join(dir, "site"))
	cut := &cutting{h: handler(t, Options{Bundles: dir}), after: 200_000}
	cut.times.Store(1)
	addr, stop := running(t, cut, ServeOptions{})
	staging := t.TempDir()
	restarted := false
	o := quick(FetchOptions{})
	o.pause = func(context.Context, time.Duration) error {
		if !restarted {
			restarted = true
			if err := stop(); err != nil {
				t.Error(err)
			}
			return nil
		}
		s := httptest.NewUnstartedServer(cut)
		s.Listener.Close()
		ln, err := listenAgain(addr)
		if err != nil {
			return nil // the port is not free yet
		}
		s.Listener = ln
		s.Start()
		t.Cleanup(s.Close)
		return nil
	}
	o.Attempts = 100
	if _, err := Fetch(context.Background(), "http://"+addr+"/bundles/site/", staging, o); err != nil {
		t.Fatal(err)
	}
	if !restarted {
		t.Error("nothing was tried again")
	}
	sameFiles(t, staging, filepath.Join(dir, "site"))
}

// Content that changes between two calls, or between index and file, is refused.
func TestFetchChanged(t *testing.T) {
	cut := &cutting{after: 300_000}
	cut.times.Store(1)
	ctx, cancel := context.WithCancel(context.Background())
	url, site, _ := served(t, func(h http.Handler) http.Handler { cut.h = h; return cut }, Options{})
	dir := t.TempDir()
	if _, err := Fetch(ctx, url, dir, FetchOptions{Retry: func(error, time.Duration) { cancel() }}); err == nil {
		t.Fatal("not cut")
	}
	write(t, site, "bootstrap.sh", "#!/bin/false\n")
	_, err := Fetch(context.Background(), url, dir, FetchOptions{})
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "bootstrap.sh has 13 bytes instead of 10") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	_, err = Fetch(context.Background(), url, t.TempDir(), FetchOptions{Progress: func(p Progress) {
		if p.File == "bootstrap.sh" {
			write(t, site, "bootstrap.sh", "#!/bin/other\n")
		}
	}})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
}

// A relay whose disk lies is found out, and its content does not get a name.
func TestFetchDamaged(t *testing.T) {
	url, site, blob := served(t, nil, Options{})
	name := filepath.Join("blobs", "sha256", hexOf(blob))
	if err := os.WriteFile(filepath.Join(site, name), []byte("X"+blob[1:]), 0o666); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err := Fetch(context.Background(), url, dir, quick(FetchOptions{}))
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), hexOf(blob)) {
		t.Errorf("%v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, name) + "*"); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

// liar answers with what a test makes up.
func liar(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL + "/bundles/x/"
}

func sendIndex(w http.ResponseWriter, files string, size int) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"format":%q,"name":"x","kind":"volumes","size":%d,"files":[%s]}`, indexFormat, size, files)
}

func TestFetchHostile(t *testing.T) {
	one := fmt.Sprintf(`{"path":"a","size":1,"sha256":%q}`, hexOf("a"))
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"path": {func(w http.ResponseWriter, _ *http.Request) {
			sendIndex(w, fmt.Sprintf(`{"path":"../a","size":0,"sha256":%q}`, hexOf("")), 0)
		}, "is not allowed"},
		"no json":   {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, "is this the address"},
		"no files":  {func(w http.ResponseWriter, _ *http.Request) { sendIndex(w, "", 0) }, "no files"},
		"not found": {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "nothing \x1b[31mhere", 404) }, `404 Not Found: "nothing \x1b[31mhere"`},
		"no entry":  {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }, "does not let us in"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "it is at http://127.0.0.1:1/"},
		"busy":   {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Retry-After", "9"); w.WriteHeader(503) }, "waited 1m0s"},
		"broken": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, "tried 3 times"},
		"encoded": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			sendIndex(w, one, 1)
		}, "encoding"},
		"too much": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/a") {
				w.Header().Set("Transfer-Encoding", "chunked")
				for range 1000 {
					if _, err := io.WriteString(w, strings.Repeat("a", 10_000)); err != nil {
						return
					}
				}
				return
			}
			sendIndex(w, one, 1)
		}, "more than 1 bytes came"},
		"wrong length": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/a") {
				io.WriteString(w, "aa")
				return
			}
			sendIndex(w, one, 1)
		}, "1 bytes are missing, and 2 would come"},
		"other etag": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/a") {
				w.Header().Set("ETag", `"x"`)
				io.WriteString(w, "a")
				return
			}
			sendIndex(w, one, 1)
		}, "has changed"},
		"large": {func(w http.ResponseWriter, _ *http.Request) {
			sendIndex(w, fmt.Sprintf(`{"path":"a","size":5000000000000,"sha256":%q}`, hexOf("")), 5000000000000)
		}, "at most 4.7 GiB are allowed"},
		"stalled": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "nothing came for too long"},
	} {
		dir := filepath.Join(t.TempDir(), "d")
		_, err := Fetch(context.Background(), liar(t, test.answer), dir, quick(FetchOptions{Attempts: 3, MaxWait: time.Minute, MaxBytes: 5_000_000_000, Stall: 100 * time.Millisecond}))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, _ := d.Info(); info.Size() > 4096 {
					t.Errorf("%s: %s has %d bytes", name, path, info.Size())
				}
			}
			return nil
		})
	}
	for url, want := range map[string]string{"ftp://x/": "want http", "http:///x": "want http://HOST", "http://h/x?y": "want http://HOST", "http://u:SECRET@h\x00/": "invalid"} {
		_, err := Fetch(context.Background(), url, t.TempDir(), FetchOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// A server without ranges is one too: the file comes again from its beginning.
func TestFetchWithoutRanges(t *testing.T) {
	cut := &cutting{after: 100_000}
	cut.times.Store(1)
	url, site, _ := served(t, func(h http.Handler) http.Handler {
		cut.h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { r.Header.Del("Range"); h.ServeHTTP(w, r) })
		return cut
	}, Options{})
	dir := t.TempDir()
	if _, err := Fetch(context.Background(), url, dir, quick(FetchOptions{})); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, dir, site)
}

func TestFetchStrangers(t *testing.T) {
	url, _, _ := served(t, nil, Options{})
	dir := t.TempDir()
	write(t, dir, "mine", "x")
	if _, err := Fetch(context.Background(), url, dir, FetchOptions{}); err == nil || !strings.Contains(err.Error(), "it holds mine") {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "mine")); string(b) != "x" {
		t.Error(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Error(files)
	}
	// Links in the directory lead nowhere.
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "blobs")); err == nil {
		if _, err := Fetch(context.Background(), url, dir, FetchOptions{}); err == nil {
			t.Error("a link was followed")
		}
		if files, _ := os.ReadDir(outside); len(files) > 0 {
			t.Error(files)
		}
	}
}

func TestFetchSpace(t *testing.T) {
	url, _, blob := served(t, nil, Options{})
	o := FetchOptions{Free: func(string) (int64, error) { return int64(len(blob)), nil }}
	if _, err := Fetch(context.Background(), url, t.TempDir(), o); !errors.Is(err, ErrSpace) {
		t.Error(err)
	}
}

func TestFetchTokenAndTLS(t *testing.T) {
	dir := t.TempDir()
	layout(t, filepath.Join(dir, "site"))
	s := httptest.NewTLSServer(handler(t, Options{Bundles: dir, ReadTokens: parse(t, readToken)}))
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	print := Fingerprint(s.Certificate().Raw)
	url := s.URL + "/bundles/site/"
	for name, test := range map[string]struct {
		url  string
		o    FetchOptions
		want string
	}{
		"ca":             {url, FetchOptions{Token: readToken, CA: ca}, ""},
		"fingerprint":    {url, FetchOptions{Token: readToken, Fingerprint: print}, ""},
		"token in url":   {strings.Replace(url, "://", "://any:"+readToken+"@", 1), FetchOptions{CA: ca}, ""},
		"no token":       {url, FetchOptions{CA: ca}, "401"},
		"wrong token":    {strings.Replace(url, "://", "://any:SECRET@", 1), FetchOptions{CA: ca}, "401"},
		"not trusted":    {url, FetchOptions{Token: readToken}, "fingerprint"},
		"another print":  {url, FetchOptions{Token: readToken, Fingerprint: Fingerprint([]byte("x"))}, "another fingerprint, " + print},
		"bad print":      {url, FetchOptions{Fingerprint: "12:34"}, "64 hexadecimal digits"},
		"no certificate": {url, FetchOptions{CA: []byte("x")}, "no certificate in the CA file"},
		"plain":          {strings.Replace(url, "https", "http", 1), FetchOptions{}, "400"},
	} {
		_, err := Fetch(context.Background(), test.url, t.TempDir(), quick(test.o))
		switch {
		case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v", name, err)
		case err != nil && strings.Contains(err.Error(), "SECRET"):
			t.Errorf("%s: the token is told: %v", name, err)
		}
	}
}

// Many at once, some of them into one directory.
func TestFetchConcurrently(t *testing.T) {
	url, site, _ := served(t, nil, Options{Bundles: "x"})
	shared := t.TempDir()
	ended := make(chan error)
	dirs := []string{shared, shared, t.TempDir(), t.TempDir(), shared, t.TempDir()}
	for _, dir := range dirs {
		go func() {
			_, err := Fetch(context.Background(), url, dir, FetchOptions{})
			ended <- err
		}()
	}
	for range dirs {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, dir := range dirs {
		sameFiles(t, dir, site)
	}
}

func TestFetchCommandPieces(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 30: "5.0 GiB", 1 << 52: "4096.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
