package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

func anItem(t *testing.T, name, content string) Item {
	t.Helper()
	item, err := NewItem(t.Context(), name, text([]byte(content)))
	if err != nil {
		t.Fatal(err)
	}
	return item
}

// A registry is a server that keeps what is put.
type registry struct {
	mu     sync.Mutex
	files  map[string]string
	log    []string
	fail   int // so many requests are answered 503
	spoils bool
	want   string // Authorization
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, req.Method+" "+req.URL.Path)
	if r.want != "" && req.Header.Get("Authorization") != r.want {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.fail > 0 {
		r.fail--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch req.Method {
	case http.MethodPut:
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		if r.spoils {
			b = append(b, '!')
		}
		r.files[req.URL.Path] = string(b)
		w.WriteHeader(http.StatusCreated)
	default:
		body, ok := r.files[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if req.Method == http.MethodGet {
			io.WriteString(w, body)
		}
	}
}

func (r *registry) take() (log string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	log, r.log = strings.Join(r.log, ", "), nil
	return log
}

func newRegistry(t *testing.T) (*registry, *HTTP) {
	r := &registry{files: map[string]string{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, &HTTP{URL: s.URL + "/generic", Pause: time.Millisecond}
}

func TestTargets(t *testing.T) {
	for name, open := range map[string]func(*testing.T, Options) Target{
		"directory": func() func(*testing.T, Options) Target {
			var dir string
			return func(t *testing.T, o Options) Target {
				if dir == "" {
					dir = filepath.Join(t.TempDir(), "deep", "mirror")
				}
				return &Directory{Path: dir, Options: o}
			}
		}(),
		"http": func() func(*testing.T, Options) Target {
			var h *HTTP
			return func(t *testing.T, o Options) Target {
				if h == nil {
					_, h = newRegistry(t)
				}
				h.Options = o
				return h
			}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			publish := func(o Options, content, want string) error {
				t.Helper()
				r, err := open(t, o).Publish(t.Context(), anItem(t, "a b/c+d.txt", content))
				if err == nil && r.Status != want {
					t.Errorf("status %q, want %q", r.Status, want)
				}
				return err
			}
			for _, step := range []struct {
				o             Options
				content, want string
			}{
				{Options{DryRun: true}, "one", Would}, {Options{}, "one", Published}, {Options{}, "one", Unchanged},
				{Options{Overwrite: true, DryRun: true}, "two", Would}, {Options{}, "one", Unchanged},
				{Options{Overwrite: true}, "two", Published}, {Options{}, "two", Unchanged},
			} {
				if err := publish(step.o, step.content, step.want); err != nil {
					t.Fatal(err)
				}
			}
			if err := publish(Options{}, "one", ""); !errors.Is(err, ErrDiffers) {
				t.Errorf("other content: err = %v", err)
			}
			if err := publish(Options{Overwrite: true}, "", Published); err != nil {
				t.Errorf("an empty file: %v", err)
			}
			for _, bad := range []string{"../evil", "/evil", "a/../../evil", "", `a\b`} {
				if _, err := open(t, Options{}).Publish(t.Context(), anItem(t, bad, "")); err == nil {
					t.Errorf("%q was published", bad)
				}
			}
		})
	}
}

// What a killed run left does no harm, and a file that changes under way is
// not published.
func TestDirectoryInterrupted(t *testing.T) {
	d := &Directory{Path: t.TempDir()}
	if err := os.WriteFile(filepath.Join(d.Path, "a.txt"+partSuffix), []byte("a longer half of something"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(t.Context(), anItem(t, "a.txt", "one")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(d.Path, "a.txt")); string(b) != "one" {
		t.Errorf("a.txt = %q", b)
	}
	item := anItem(t, "b.txt", "one")
	item.Open = text([]byte("two"))
	if _, err := d.Publish(t.Context(), item); err == nil {
		t.Error("a file that changed was published")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Publish(ctx, anItem(t, "c.txt", "one")); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	entries, _ := os.ReadDir(d.Path)
	if len(entries) != 1 {
		t.Errorf("left %v", entries)
	}
}

func TestHTTPRetriesAndLedger(t *testing.T) {
	r, h := newRegistry(t)
	ledger, err := OpenLedger(filepath.Join(t.TempDir(), "state", "published.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	h.Known, h.Note = ledger.Known, ledger.Note
	r.fail = 2
	item := anItem(t, "app 1.0.tar.gz", "app")
	if got, err := h.Publish(t.Context(), item); err != nil || got.Status != Published || !strings.HasSuffix(got.Place, "/generic/app%201.0.tar.gz") {
		t.Fatalf("%+v, %v", got, err)
	}
	r.take()
	// A ledger that is read again knows it, so that nothing is fetched.
	again, err := OpenLedger(ledger.name)
	if err != nil {
		t.Fatal(err)
	}
	h.Known = again.Known
	if got, err := h.Publish(t.Context(), item); err != nil || got.Status != Unchanged {
		t.Fatalf("%+v, %v", got, err)
	}
	if log := r.take(); log != "HEAD /generic/app 1.0.tar.gz" {
		t.Errorf("asked %s", log)
	}
	// What was taken away is published again.
	r.files = map[string]string{}
	if got, err := h.Publish(t.Context(), item); err != nil || got.Status != Published {
		t.Fatalf("%+v, %v", got, err)
	}
	r.fail = 6 // HEAD and GET, three times each
	if _, err := h.Publish(t.Context(), item); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("err = %v", err)
	}
	b, err := os.ReadFile(ledger.name)
	if err != nil || !bytes.Contains(b, []byte(`"format":1,"place":"http://`)) {
		t.Errorf("ledger = %s, %v", b, err)
	}
}

func TestHTTPDamage(t *testing.T) {
	r, h := newRegistry(t)
	r.spoils = true
	if _, err := h.Publish(t.Context(), anItem(t, "a", "one")); err == nil || !strings.Contains(err.Error(), "other bytes than it got") {
		t.Errorf("err = %v", err)
	}
}

// Credentials are sent, are in no error, and go to no other host.
func TestHTTPCredentials(t *testing.T) {
	r, h := newRegistry(t)
	r.want = "Bearer hunter2"
	if _, err := h.Publish(t.Context(), anItem(t, "a", "one")); err == nil || !strings.Contains(err.Error(), "requires other credentials") {
		t.Errorf("err = %v", err)
	}
	h.Header = http.Header{"Authorization": {"Bearer hunter2"}, "Private-Token": {"hunter2"}}
	if _, err := h.Publish(t.Context(), anItem(t, "a", "one")); err != nil {
		t.Error(err)
	}
	var got http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got = req.Header.Clone()
		http.NotFound(w, req)
	}))
	defer other.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+req.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	h2 := &HTTP{URL: front.URL, Header: h.Header, Tries: 1}
	_, err := h2.Publish(t.Context(), anItem(t, "a", "one"))
	if err == nil || !strings.Contains(err.Error(), "redirects to") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("err = %v", err)
	}
	if got == nil || got.Get("Authorization") != "" || got.Get("Private-Token") != "" {
		t.Errorf("the other host got %v", got)
	}
}

func aModule(version string) Module {
	return Module{
		Path: "example.org/Big/app", Version: version, Time: time.Unix(1_700_000_000, 0), Dir: ".",
		FS: fstest.MapFS{
			"go.mod": {Data: []byte("module example.org/Big/app\n\ngo 1.21\n")}, "app.go": {Data: []byte("package app\n\nconst V = 1\n")},
			"LICENSE": {Data: []byte("free\n")}, "nested/go.mod": {Data: []byte("module x\n")}, "nested/x.go": {Data: []byte("package x\n")},
		},
		Files: []string{"go.mod", "app.go", "LICENSE", "nested/go.mod", "nested/x.go"},
	}
}

// The go command builds with a module from the tree, and its list says what is
// there.
func TestGoProxy(t *testing.T) {
	d := Directory{Path: filepath.Join(t.TempDir(), "proxy")}
	for _, v := range []string{"v1.10.0", "v1.2.0", "v1.2.0"} {
		if _, err := PublishModule(t.Context(), d, aModule(v)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := os.ReadFile(filepath.Join(d.Path, "example.org", "!big", "app", "@v", "list"))
	if err != nil || string(list) != "v1.2.0\nv1.10.0\n" {
		t.Fatalf("list = %q, %v", list, err)
	}
	changed := aModule("v1.2.0")
	changed.FS.(fstest.MapFS)["app.go"].Data = []byte("package app\n")
	if _, err := PublishModule(t.Context(), d, changed); !errors.Is(err, ErrDiffers) {
		t.Errorf("a version that changed: err = %v", err)
	}
	for _, bad := range []string{"1.0.0", "v1.0", "v2.0.0", "latest"} {
		if _, err := PublishModule(t.Context(), d, aModule(bad)); err == nil {
			t.Errorf("%s was published", bad)
		}
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("this host has no go to fetch with")
	}
	user := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module user\n\ngo 1.21\n\nrequire example.org/Big/app v1.10.0\n",
		"main.go": "package main\n\nimport \"example.org/Big/app\"\n\nfunc main() { println(app.V) }\n",
	} {
		if err := os.WriteFile(filepath.Join(user, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(goTool, "list", "-mod=mod", "-m", "-json", "example.org/Big/app")
	c.Dir = user
	c.Env = append(os.Environ(), "GOPROXY=file://"+filepath.ToSlash(d.Path), "GONOSUMDB=*", "GONOSUMCHECK=1", "GOFLAGS=-modcacherw", "GOMODCACHE="+filepath.Join(user, "cache"), "GOTOOLCHAIN=local", "GOWORK=off", "GONOPROXY=none", "GOPRIVATE=")
	if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`"Version": "v1.10.0"`)) {
		t.Errorf("go list: %v\n%s", err, out)
	}
	c2 := exec.Command(goTool, "mod", "download", "example.org/Big/app@v1.10.0")
	c2.Dir, c2.Env = user, append(c.Env, "GONOSUMDB=example.org", "GOFLAGS=-modcacherw")
	if out, err := c2.CombinedOutput(); err != nil {
		t.Errorf("go mod download: %v\n%s", err, out)
	}
}
