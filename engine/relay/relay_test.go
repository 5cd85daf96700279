package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/canonjson"
)

const (
	writeToken = "write-token-0123456789"
	readToken  = "read-token-0123456789"
)

// write makes files below dir: name, content, name, content, …
func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// layout makes a bundle in dir and returns its one large blob.
func layout(t *testing.T, dir string) (blob string) {
	t.Helper()
	blob = strings.Repeat("0123456789abcdef", 100_000)
	write(t, dir, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`, "index.json", `{"schemaVersion":2}`,
		"bootstrap.sh", "#!/bin/sh\n", "blobs/sha256/"+hexOf(blob), blob, "empty", "")
	return blob
}

func parse(t *testing.T, text string) Tokens {
	t.Helper()
	tokens, err := ParseTokens(text)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// handler returns a handler that is closed after the test.
func handler(t *testing.T, o Options) *Handler {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// serve returns the address of a relay.
func serve(t *testing.T, o Options) string {
	t.Helper()
	h := handler(t, o) // closed after the server
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// ask sends one request; headers are name, value, …
func ask(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(b)
}

func TestBundles(t *testing.T) {
	dir := t.TempDir()
	blob := layout(t, filepath.Join(dir, "site"))
	write(t, dir, "discs/v1.tar", "volume one", "discs/v2.tar", "volume two", "other/readme", "no bundle",
		"half/oci-layout", "{}", ".hidden/oci-layout", "{}", ".hidden/index.json", "{}", "site/.secret", "x")
	base := serve(t, Options{Bundles: dir})

	answer, body := ask(t, "GET", base+"/bundles/", "")
	want := fmt.Sprintf(`{
  "format": "airbuild-relay-bundles 1",
  "bundles": [
    {
      "name": "discs",
      "kind": "volumes",
      "files": 2,
      "size": 20
    },
    {
      "name": "site",
      "kind": "layout",
      "files": 5,
      "size": %d
    }
  ]
}
`, len(blob)+30+19+10)
	if answer.Header.Get("Content-Type") != "application/json" || body != want {
		t.Errorf("got %s", body)
	}

	_, body = ask(t, "GET", base+"/bundles/site/", "")
	x, err := parseIndex([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if x.Kind != "layout" || len(x.Files) != 5 || x.Files[0].Path != "blobs/sha256/"+hexOf(blob) || x.Files[0].SHA256 != hexOf(blob) || x.Files[1].SHA256 != hexOf("#!/bin/sh\n") {
		t.Errorf("index %+v", x)
	}

	url := base + "/bundles/site/" + x.Files[0].Path
	etag := `"sha256:` + hexOf(blob) + `"`
	answer, body = ask(t, "GET", url, "")
	if body != blob || answer.Header.Get("ETag") != etag {
		t.Errorf("%s, %d bytes", answer.Header.Get("ETag"), len(body))
	}
	answer, body = ask(t, "GET", url, "", "Range", "bytes=1599990-", "If-Match", etag)
	if answer.StatusCode != http.StatusPartialContent || body != blob[1599990:] {
		t.Errorf("range: %s, %q", answer.Status, body)
	}
	answer, body = ask(t, "GET", url, "", "Range", "bytes=0-1,5-6")
	if answer.StatusCode != http.StatusOK || body != blob {
		t.Errorf("several ranges: %s", answer.Status)
	}
	answer, _ = ask(t, "GET", url, "", "If-None-Match", etag)
	if answer.StatusCode != http.StatusNotModified {
		t.Errorf("If-None-Match: %s", answer.Status)
	}
	answer, _ = ask(t, "GET", url, "", "If-Match", `"sha256:00"`)
	if answer.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("If-Match: %s", answer.Status)
	}
	answer, body = ask(t, "HEAD", url, "")
	if answer.StatusCode != http.StatusOK || answer.ContentLength != int64(len(blob)) || body != "" {
		t.Errorf("HEAD: %s, %d", answer.Status, answer.ContentLength)
	}
	// A volume's ETag is the digest of its content, and changes with it.
	answer, _ = ask(t, "GET", base+"/bundles/discs/v1.tar", "")
	if got := answer.Header.Get("ETag"); got != `"sha256:`+hexOf("volume one")+`"` {
		t.Errorf("volume: ETag %s", got)
	}
	write(t, dir, "discs/v1.tar", "another one")
	answer, _ = ask(t, "GET", base+"/bundles/discs/v1.tar", "")
	if got := answer.Header.Get("ETag"); got != `"sha256:`+hexOf("another one")+`"` {
		t.Errorf("changed volume: ETag %s", got)
	}
	for path, status := range map[string]int{
		"/bundles": 301, "/bundles/site": 301, "/bundles/other/": 404, "/bundles/half/": 404,
		"/bundles/none/x": 404, "/bundles/site/blobs": 404, "/bundles/site/blobs/": 404, "/bundles/site/none": 404,
		"/bundles/?x=y": 400, "/bundles/other/readme": 404,
	} {
		if answer, _ := ask(t, "GET", base+path, ""); answer.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, answer.Status, status)
		}
	}
}

// The directory may be the bundle: a stick has it at its root.
func TestBundleAtRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "usb")
	layout(t, dir)
	base := serve(t, Options{Bundles: dir})
	if _, body := ask(t, "GET", base+"/bundles/", ""); !strings.Contains(body, `"name": "usb"`) {
		t.Error(body)
	}
	if _, body := ask(t, "GET", base+"/bundles/usb/bootstrap.sh", ""); body != "#!/bin/sh\n" {
		t.Error(body)
	}
}

func TestPages(t *testing.T) {
	dir := t.TempDir()
	layout(t, filepath.Join(dir, "a<b>&'c"))
	write(t, dir, "art/<script>alert(1)</script>", "x")
	base := serve(t, Options{Bundles: dir, Artifacts: filepath.Join(dir, "art"), GoProxy: dir, Store: dir})
	for _, path := range []string{"/", "/bundles/", "/bundles/a%3Cb%3E&'c/", "/artifacts/"} {
		answer, body := ask(t, "GET", base+path, "", "Accept", "text/html,*/*", "Host", "x")
		if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, "</html>") {
			t.Errorf("%s: %s %s", path, answer.Status, body)
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, "<b>") {
			t.Errorf("%s: names are not escaped:\n%s", path, body)
		}
		if !strings.Contains(answer.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, answer.Header)
		}
	}
	if _, body := ask(t, "GET", base+"/", ""); !json.Valid([]byte(body)) || !strings.Contains(body, frontFormat) {
		t.Error(body)
	}
}

func TestArtifacts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b/tool", "tool", "a.txt", "text")
	base := serve(t, Options{Artifacts: dir})
	sums := hexOf("text") + "  a.txt\n" + hexOf("tool") + "  b/tool\n"
	for path, want := range map[string]string{
		"/artifacts/checksums.txt":          sums,
		"/artifacts/b/tool":                 "tool",
		"/artifacts/b/tool?checksum":        hexOf("tool") + "  b/tool\n",
		"/artifacts/b/tool?checksum=sha256": hexOf("tool") + "  b/tool\n",
	} {
		if _, body := ask(t, "GET", base+path, ""); body != want {
			t.Errorf("%s: %q", path, body)
		}
	}
	for path, status := range map[string]int{"/artifacts/b": 404, "/artifacts/none?checksum": 404, "/artifacts/b/tool?checksum=md5": 400, "/artifacts/?checksum": 400} {
		if answer, _ := ask(t, "GET", base+path, ""); answer.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, answer.Status, status)
		}
	}
	// The list that a pipeline made is served as it is: it may be signed.
	write(t, dir, "checksums.txt", "made by the pipeline\n")
	if _, body := ask(t, "GET", base+"/artifacts/checksums.txt", ""); body != "made by the pipeline\n" {
		t.Error(body)
	}
	if answer, body := ask(t, "GET", serve(t, Options{Artifacts: filepath.Join(dir, "none")})+"/artifacts/", ""); answer.StatusCode != 200 || !strings.Contains(body, `"files": []`) {
		t.Errorf("not there yet: %s %s", answer.Status, body)
	}
}

// attacks are paths that must give nothing, as they stand in a request.
var attacks = []string{
	"/bundles/../secret", "/bundles/site/../../secret", "/bundles/site/%2e%2e/%2e%2e/secret",
	"/bundles/site/%2E%2E/../secret", "/bundles/site/..%2f..%2fsecret", "/bundles/site/..%5c..%5csecret",
	"/bundles/site/..\\..\\secret", "/bundles/%2e%2e/secret", "//secret", "/bundles//site/index.json",
	"/bundles/site//index.json", "/bundles/site/./index.json", "/bundles/site/.secret", "/bundles/site/index.json%00",
	"/bundles/site/index.json%00.zip", "/bundles/site/%00", "/bundles/site/index%0a.json", "/bundles/site/%ff",
	"/bundles/site%2findex.json", "/bundles/site/link-out", "/bundles/site/dir-out/secret", "/bundles/link-out/secret",
	"/bundles/site/absolute", "/bundles/site/pipe", "/bundles/site/null", "/bundles/site/index.json/", "/bundles/site/index.json/x",
	"/bundles/site/....//secret", "/bundles/site/..;/secret", "/artifacts/../secret", "/artifacts/link-out", "/artifacts/.git/config",
	"/goproxy/../secret", "/goproxy/example.com/m/@v/../../../../secret", "/goproxy/example.com/m/@v/v1.0.0.lock",
	"/goproxy/example.com/m/@v/list/", "/goproxy/secret", "/goproxy/sumdb/../../secret", "/goproxy/sumdb/a/lookup/../../../secret",
	"/goproxy/sumdb/a/tile/../../../../secret", "/goproxy/link-out/@v/v1.0.0.zip", "/cas/../VERSION", "/cas/", "/cas", "/cas/VERSION",
	"/cas/" + strings.Repeat("A", 64), "/cas/" + strings.Repeat("0", 63), "/ac/" + strings.Repeat("0", 65), "/cas/ab/" + strings.Repeat("0", 64),
	"/VERSION", "/etc/passwd", "/favicon.ico", "/metrics", "/relay.pem", "/healthz/", "/bundles/" + strings.Repeat("a/", 5000),
}

// outside lies a directory with a secret that must not come out.
func hostile(t *testing.T) Options {
	t.Helper()
	outside := t.TempDir()
	write(t, outside, "secret", "SECRET", "bundles/site/oci-layout", "{}", "bundles/site/index.json", "{}", "bundles/site/.secret", "SECRET",
		"artifacts/a", "a", "artifacts/.git/config", "SECRET", "goproxy/example.com/m/@v/v1.0.0.zip", "zip", "goproxy/example.com/m/@v/v1.0.0.lock", "SECRET",
		"goproxy/sumdb/a/supported", "", "goproxy/secret", "SECRET", "at/@v/v1.0.0.zip", "SECRET")
	for link, target := range map[string]string{
		"bundles/site/link-out": "../../secret", "bundles/site/dir-out": "../..", "bundles/link-out": "..",
		"bundles/site/absolute": filepath.Join(outside, "secret"), "artifacts/link-out": "../secret", "goproxy/link-out": "../at",
		"bundles/site/null": "/dev/null",
	} {
		if err := os.Symlink(target, filepath.Join(outside, link)); err != nil && runtime.GOOS != "windows" {
			t.Fatal(err)
		}
	}
	makePipe(t, filepath.Join(outside, "bundles/site/pipe"))
	s := filepath.Join(outside, "store")
	disk, err := store.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	return Options{
		Bundles: filepath.Join(outside, "bundles"), Artifacts: filepath.Join(outside, "artifacts"),
		GoProxy: filepath.Join(outside, "goproxy"), Store: s,
	}
}

func TestPathAttacks(t *testing.T) {
	h := handler(t, hostile(t))
	s := httptest.NewServer(h)
	defer s.Close()
	for _, path := range attacks {
		// Written by hand: clients clean paths up.
		answer := raw(t, s, "GET "+path+" HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
		status, _, _ := strings.Cut(strings.TrimPrefix(answer, "HTTP/1.1 "), " ")
		if status != "400" && status != "404" && status != "410" {
			t.Errorf("%.100s: %.200s", path, answer)
		}
		if strings.Contains(answer, "SECRET") {
			t.Errorf("%s gave the secret", path)
		}
	}
	_, body := ask(t, "GET", s.URL+"/bundles/site/", "")
	if x, err := parseIndex([]byte(body)); err != nil || len(x.Files) != 2 {
		t.Errorf("index: %v %s", err, body)
	}
}

func FuzzPath(f *testing.F) {
	for _, p := range attacks {
		f.Add(p)
	}
	f.Add("/bundles/site/index.json")
	f.Add("/artifacts/a?checksum")
	outside := f.TempDir()
	for name, text := range map[string]string{"secret": "SECRET", "b/site/oci-layout": "{}", "b/site/index.json": "{}", "b/site/.hidden": "SECRET", "p/example.com/m/@v/v1.0.0.zip": "zip", "p/sumdb/a/latest": "x"} {
		name = filepath.Join(outside, name)
		os.MkdirAll(filepath.Dir(name), 0o777)
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink("../../secret", filepath.Join(outside, "b/site/link")); err != nil && runtime.GOOS != "windows" {
		f.Fatal(err)
	}
	h, err := New(Options{Bundles: filepath.Join(outside, "b"), Artifacts: filepath.Join(outside, "b"), GoProxy: filepath.Join(outside, "p"), Store: filepath.Join(outside, "none")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	f.Fuzz(func(t *testing.T, path string) {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := r.URL.Parse(path)
		if err != nil {
			return
		}
		r.URL = u
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%q gave the secret", path)
		}
		if w.Code >= 500 {
			t.Errorf("%q: %d %s", path, w.Code, w.Body)
		}
		if name, ok := cleanPath(u); ok && name != "" && !cleanName(strings.TrimSuffix(name, "/")) {
			t.Errorf("%q is not clean", name)
		}
	})
}

func TestMethods(t *testing.T) {
	dir := t.TempDir()
	for _, writable := range []bool{false, true} {
		base := serve(t, Options{Bundles: dir, Artifacts: dir, GoProxy: dir, Store: filepath.Join(dir, "s"), Writable: writable, WriteTokens: parse(t, writeToken)})
		for _, method := range []string{"POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PUT"} {
			for _, path := range []string{"/", "/bundles/", "/artifacts/x", "/goproxy/x", "/healthz", "/cas/" + hexOf(""), "/ac/" + hexOf("")} {
				cache := strings.HasPrefix(path, "/cas/") || strings.HasPrefix(path, "/ac/")
				allow, status := "GET, HEAD", 405
				if writable && cache {
					allow = "GET, HEAD, PUT"
					if method == "PUT" {
						allow, status = "", 401
					}
				}
				answer, _ := ask(t, method, base+path, "")
				if answer.StatusCode != status || answer.Header.Get("Allow") != allow {
					t.Errorf("writable %v: %s %s: %s, Allow %q", writable, method, path, answer.Status, answer.Header.Get("Allow"))
				}
			}
		}
		if answer, _ := ask(t, "GET", base+"/healthz", "a body"); answer.StatusCode != 400 || !answer.Close {
			t.Errorf("GET with a body: %s, close %v", answer.Status, answer.Close)
		}
	}
}

func TestTokens(t *testing.T) {
	base := serve(t, Options{
		Store: t.TempDir(), Writable: true, WriteTokens: parse(t, "# two hold\n"+writeToken+"\nanother-token-0123456789\n"),
		ReadTokens: parse(t, readToken), Certificate: []byte("PEM"), Metrics: true,
	})
	bearer := func(s string) []string { return []string{"Authorization", "Bearer " + s} }
	basic := func(s string) []string {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth("any", s)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	blob := "/cas/" + hexOf("x")
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
	}{
		{"GET", "/healthz", nil, 200},
		{"GET", "/relay.pem", nil, 200},
		{"GET", "/", nil, 401},
		{"GET", "/metrics", nil, 401},
		{"GET", "/nothing", nil, 401},
		{"GET", "/", bearer("wrong"), 401},
		{"GET", "/", bearer(readToken + "x"), 401},
		{"GET", "/", []string{"Authorization", readToken}, 401},
		{"GET", "/", []string{"Authorization", "Basic !!!"}, 401},
		{"GET", "/", bearer(readToken), 200},
		{"GET", "/", basic(readToken), 200},
		{"GET", "/", bearer(writeToken), 200},
		{"GET", "/metrics", bearer(readToken), 200},
		{"PUT", blob, nil, 401},
		{"PUT", blob, bearer(readToken), 403},
		{"PUT", blob, bearer(""), 401},
		{"PUT", blob, bearer(writeToken), 201},
		{"PUT", blob, basic("another-token-0123456789"), 201},
		{"GET", blob, bearer(readToken), 200},
	} {
		body := ""
		if test.method == "PUT" {
			body = "x"
		}
		answer, _ := ask(t, test.method, base+test.path, body, test.header...)
		if answer.StatusCode != test.status {
			t.Errorf("%s %s %q: %s, want %d", test.method, test.path, test.header, answer.Status, test.status)
		}
	}
	for _, text := range []string{"", "\n# only\n", "short", "with a blank inside it", "with\x01control-character"} {
		if _, err := ParseTokens(text); err == nil {
			t.Errorf("tokens %q are taken", text)
		}
	}
	if (Tokens{}).match("") || !(Tokens{}).Empty() {
		t.Error("no tokens open")
	}
	if _, err := New(Options{Writable: true, Store: "x"}); err == nil {
		t.Error("writable without a token")
	}
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	base := serve(t, Options{Store: dir, Writable: true, WriteTokens: parse(t, writeToken), MaxUpload: 1 << 20})
	put := func(path, body string) int {
		answer, _ := ask(t, "PUT", base+path, body, "Authorization", "Bearer "+writeToken)
		return answer.StatusCode
	}
	large := strings.Repeat("blob", 50_000)
	d := action.Of([]byte(large))
	result := string((&action.Result{OutputFiles: []action.OutputFile{{Path: "out", Digest: d}, {Path: "empty", Digest: action.Of(nil)}}}).Marshal())
	failed := string((&action.Result{ExitCode: 1}).Marshal())
	key := "/ac/" + hexOf("key")

	if got := put(key, result); got != 422 {
		t.Errorf("result without its blobs: %d", got)
	}
	if got := put("/cas/"+d.Hex(), large[1:]); got != 422 {
		t.Errorf("other content: %d", got)
	}
	if got := put("/cas/"+d.Hex(), strings.Repeat("x", 2<<20)); got != 413 {
		t.Errorf("too large: %d", got)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "cas", "*", "*")); len(files) > 1 {
		t.Errorf("refused bodies are stored: %v", files)
	}
	if got := put("/cas/"+d.Hex(), large); got != 201 {
		t.Errorf("blob: %d", got)
	}
	for _, bad := range []string{"no protobuf \xff\xff", failed} {
		if got := put(key, bad); got != 422 {
			t.Errorf("%q: %d", bad, got)
		}
	}
	if answer, _ := ask(t, "GET", base+key, ""); answer.StatusCode != 404 {
		t.Errorf("a refused result is served: %s", answer.Status)
	}
	if got := put(key, result); got != 201 {
		t.Errorf("result: %d", got)
	}
	if answer, body := ask(t, "GET", base+key, ""); answer.StatusCode != 200 || body != result {
		t.Errorf("result: %s %q", answer.Status, body)
	}
	if answer, body := ask(t, "HEAD", base+"/cas/"+d.Hex(), ""); answer.StatusCode != 200 || answer.ContentLength != d.Size || body != "" {
		t.Errorf("HEAD: %s", answer.Status)
	}
	if _, body := ask(t, "GET", base+"/cas/"+d.Hex(), ""); body != large {
		t.Errorf("blob: %d bytes", len(body))
	}
	if answer, body := ask(t, "GET", base+"/cas/"+d.Hex(), "", "Range", "bytes=199000-199003"); answer.StatusCode != 206 || body != large[199000:199004] {
		t.Errorf("range: %s %q", answer.Status, body)
	}
	if answer, body := ask(t, "GET", base+"/cas/"+hexOf(""), ""); answer.StatusCode != 200 || body != "" {
		t.Errorf("empty blob: %s", answer.Status)
	}
	if answer, _ := ask(t, "GET", base+"/cas/"+hexOf("none"), ""); answer.StatusCode != 404 {
		t.Errorf("no blob: %s", answer.Status)
	}

	// Damage that the mark does not notice is never served whole, and then gone.
	name := filepath.Join(dir, "cas", d.Hex()[:2], d.Hex())
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(name, 0o666)
	if err := os.WriteFile(name, append([]byte("X"), large[1:]...), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(base + "/cas/" + d.Hex())
	if err == nil {
		b, readErr := io.ReadAll(answer.Body)
		answer.Body.Close()
		if readErr == nil && answer.StatusCode == 200 {
			t.Errorf("a damaged blob was served whole: %d bytes", len(b))
		}
	}
	for _, path := range []string{"/cas/" + d.Hex(), key} {
		if answer, _ := ask(t, "GET", base+path, ""); answer.StatusCode != 404 {
			t.Errorf("after the damage: %s: %s", path, answer.Status)
		}
	}
}

// Reading does not make a store.
func TestCacheNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	base := serve(t, Options{Store: dir})
	if answer, _ := ask(t, "GET", base+"/cas/"+hexOf(""), ""); answer.StatusCode != 404 {
		t.Error(answer.Status)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a store was made")
	}
}

// A relay that is not asked lets others prune the store.
func TestStoreIsNotHeld(t *testing.T) {
	l := newLease(t.TempDir(), true)
	if err := l.use(func(*store.Disk) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if l.s == nil {
		t.Error("closed at once")
	}
	l.closeIdle()
	if l.s != nil {
		t.Error("still open")
	}
	err := l.use(func(*store.Disk) error {
		l.closeIdle()
		if l.s == nil {
			t.Error("closed while in use")
		}
		if l.close() == nil {
			t.Error("closed for good while in use")
		}
		return nil
	})
	if err := firstOf(err, l.close()); err != nil {
		t.Fatal(err)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAccessLog(t *testing.T) {
	var log strings.Builder
	h := handler(t, Options{Access: AccessLog(&log), Metrics: true})
	for _, target := range []string{"/healthz?token=SECRET", "/a%0Ab%22c", "/metrics"} {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Authorization", "Bearer SECRET")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if target == "/metrics" && !strings.Contains(w.Body.String(), `airbuild_relay_requests_total{area="healthz",status="200"} 1`) {
			t.Error(w.Body)
		}
	}
	text := log.String()
	if strings.Contains(text, "SECRET") || strings.Count(text, "\n") != 3 || !strings.Contains(text, `"GET" "/a\nb\"c" 400 `) {
		t.Error(text)
	}
}

func TestIndexRefused(t *testing.T) {
	sum := hexOf("")
	index := func(size int, files ...string) string {
		return fmt.Sprintf(`{"format":%q,"name":"n","kind":"layout","size":%d,"files":[%s]}`, indexFormat, size, strings.Join(files, ","))
	}
	file := func(path string, size int) string {
		return fmt.Sprintf(`{"path":%q,"size":%d,"sha256":%q}`, path, size, sum)
	}
	if _, err := parseIndex([]byte(index(3, file("a", 1), file("b/c", 2)))); err != nil {
		t.Error(err)
	}
	for _, text := range []string{
		"", "[]", "{}", `{"format":"airbuild-relay-index 2"}`, index(0) + "x",
		index(0, file("../a", 0)), index(0, file("/a", 0)), index(0, file("a/../b", 0)), index(0, file(".a", 0)), index(0, file("a/.b", 0)),
		index(0, file(`a\b`, 0)), index(0, file("a:b", 0)), index(0, file("CON", 0)), index(0, file("a/nul.txt", 0)), index(0, file("com1", 0)),
		index(0, file("lpt³.x", 0)), index(0, file("a.", 0)), index(0, file("a ", 0)), index(0, file("", 0)), index(0, file("a//b", 0)),
		index(0, file("a"+partSuffix, 0)), index(0, file("b", 0), file("a", 0)), index(0, file("a", 0), file("a", 0)),
		index(0, file("A", 0), file("a", 0)), index(0, file("a", 0), file("a/b", 0)), index(0, file("A", 0), file("a/b", 0)),
		index(1, file("a", 0)), index(0, file("a", -1)), index(0, `{"path":"a","size":0,"sha256":"00"}`),
		index(0, `{"path":"a","size":9223372036854775807,"sha256":"`+sum+`"}`, `{"path":"b","size":9223372036854775807,"sha256":"`+sum+`"}`),
	} {
		if _, err := parseIndex([]byte(text)); err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}

// The formats of the indexes and of the state of a download are frozen.
func TestFormats(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "formats")
	x := &Index{Format: indexFormat, Name: "site", Kind: "layout", Size: 3, Files: []File{{"blobs/sha256/" + hexOf("abc"), 3, hexOf("abc")}, {"index.json", 0, hexOf("")}}}
	for name, v := range map[string]any{
		"relay-index-1.json":   x,
		"relay-bundles-1.json": summaries{listFormat, []Summary{{"site", "layout", 2, 3}}},
		"relay-fetch-1.json":   state{stateFormat, "http://relay:8099/bundles/site/", x},
	} {
		got, err := canonjson.Indented(v)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "relay-fetch-1.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := parseState(b); err != nil || difference(s.Index, x) != "" {
		t.Errorf("%v %v", s, err)
	}
	if _, err := parseState(bytes.Replace(b, []byte("fetch 1"), []byte("fetch 2"), 1)); err == nil {
		t.Error("another version is taken")
	}
}

func FuzzIndex(f *testing.F) {
	for _, name := range []string{"relay-index-1.json", "relay-fetch-1.json"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseIndex(b)
		if err != nil {
			return
		}
		for _, file := range x.Files {
			if !filepath.IsLocal(filepath.FromSlash(file.Path)) || strings.Contains(file.Path, "..") && strings.Contains("/"+file.Path+"/", "/../") {
				t.Errorf("%q", file.Path)
			}
		}
		text, err := canonjson.Indented(x)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseIndex(text); err != nil || difference(x, again) != "" {
			t.Errorf("%v: %s", err, text)
		}
	})
}

func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "discs/v1.tar", "one")
	h := handler(t, Options{Bundles: dir})
	if err := h.Prepare(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.sums.wg.Wait()
	if len(h.sums.known) != 1 {
		t.Error(h.sums.known)
	}
}
