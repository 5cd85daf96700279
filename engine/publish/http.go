package publish

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// HTTP is a server that takes files by PUT and gives them by GET: a generic
// registry, WebDAV, object storage with signed addresses of one's own.
type HTTP struct {
	// URL is the address of the folder, or holds {name} where a file's name
	// belongs.
	URL string
	// Header is sent with each request, for example Authorization. Its values
	// are secret: they are in no message, and go to no other host.
	Header http.Header
	// Roots are further certificate authorities, as PEM; empty for none.
	Roots []byte
	// Blind: what was put is not read back and compared.
	Blind bool
	// Known reports whether a digest was published at an address before, and
	// Note remembers it. Both may be nil: then content is compared.
	Known func(address, sha256 string) bool
	Note  func(Item, string) error
	// Tries of a request that fails for a passing reason; zero means 3.
	Tries int
	// Pause is that before the second try; it doubles. Zero means a second.
	Pause time.Duration
	Options

	client *http.Client
}

// headerTime bounds the wait for an answer after a request was sent.
const headerTime = 2 * time.Minute

// Publish implements Target.
func (h *HTTP) Publish(ctx context.Context, item Item) (Result, error) {
	if err := h.open(); err != nil {
		return Result{}, err
	}
	if err := checkName(item.Name); err != nil {
		return Result{}, err
	}
	r := Result{Place: h.address(item.Name), Status: Unchanged}
	there, err := h.there(ctx, r.Place, item)
	switch {
	case err != nil:
		return r, fmt.Errorf("publish %s: %w", r.Place, err)
	case there == item.SHA256:
		return r, h.note(item, r.Place)
	case there != "" && !h.Overwrite:
		return r, differs(r.Place, there, item.SHA256)
	}
	if r.Status = Would; h.DryRun {
		return r, nil
	}
	if err := h.put(ctx, r.Place, item); err != nil {
		return r, fmt.Errorf("publish %s: %w", r.Place, err)
	}
	r.Status = Published
	if !h.Blind {
		got, err := h.content(ctx, r.Place)
		if err != nil {
			return r, fmt.Errorf("publish %s: read it back: %w", r.Place, err)
		}
		if got != item.SHA256 {
			return r, fmt.Errorf("publish %s: the server gives other bytes than it got: sha256 %.12s…, want %.12s…", r.Place, got, item.SHA256)
		}
	}
	return r, h.note(item, r.Place)
}

func (h *HTTP) note(item Item, address string) error {
	if h.Note == nil || h.DryRun {
		return nil
	}
	return h.Note(item, address)
}

func (h *HTTP) open() error {
	if h.client != nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerTime
	if len(h.Roots) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(h.Roots) {
			return errors.New("read certificates: there is none in PEM form")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	h.client = &http.Client{Transport: transport, CheckRedirect: h.redirect}
	return nil
}

// redirect follows what is read, without the secrets if it leads to another
// host, and nothing that is written: the file would have to be sent twice, to
// somewhere that nobody named.
func (h *HTTP) redirect(req *http.Request, via []*http.Request) error {
	switch {
	case via[0].Method == http.MethodPut:
		return fmt.Errorf("the server redirects to %s; name that address", req.URL.Redacted())
	case len(via) > 10:
		return errors.New("too many redirections")
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("the server redirects to an address without TLS")
	}
	if req.URL.Host != via[0].URL.Host {
		for name := range h.Header {
			req.Header.Del(name)
		}
	}
	return nil
}

func (h *HTTP) address(name string) string {
	var escaped []string
	for part := range strings.SplitSeq(name, "/") {
		escaped = append(escaped, url.PathEscape(part))
	}
	full := strings.Join(escaped, "/")
	if strings.Contains(h.URL, "{name}") {
		return strings.ReplaceAll(h.URL, "{name}", full)
	}
	return strings.TrimSuffix(h.URL, "/") + "/" + full
}

// there is the digest of what is published at an address, "" if nothing is.
func (h *HTTP) there(ctx context.Context, address string, item Item) (string, error) {
	if h.Known != nil && h.Known(address, item.SHA256) {
		resp, err := h.do(ctx, http.MethodHead, address, nil)
		if err != nil {
			return "", err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK && (resp.ContentLength < 0 || resp.ContentLength == item.Size) {
			return item.SHA256, nil
		}
	}
	return h.content(ctx, address)
}

// content is the digest of what GET gives, "" if there is nothing.
func (h *HTTP) content(ctx context.Context, address string) (string, error) {
	resp, err := h.do(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return sumOf(ctx, resp.Body)
	case http.StatusNotFound, http.StatusGone:
		return "", nil
	}
	return "", statusError(resp)
}

func (h *HTTP) put(ctx context.Context, address string, item Item) error {
	resp, err := h.do(ctx, http.MethodPut, address, &item)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 || resp.StatusCode == http.StatusAccepted {
		return statusError(resp)
	}
	return nil
}

// do sends a request, more than once if it fails for a reason that may pass.
func (h *HTTP) do(ctx context.Context, method, address string, item *Item) (*http.Response, error) {
	tries, pause := max(h.Tries, 1), h.Pause
	if h.Tries == 0 {
		tries = 3
	}
	pause = cmp.Or(pause, time.Second)
	for try := 1; ; try++ {
		resp, err := h.once(ctx, method, address, item)
		passing := err != nil || resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented || resp.StatusCode == http.StatusTooManyRequests
		if !passing || try >= tries || ctx.Err() != nil {
			return resp, err
		}
		if resp != nil {
			resp.Body.Close()
		}
		if err := ctxio.Wait(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

func (h *HTTP) once(ctx context.Context, method, address string, item *Item) (*http.Response, error) {
	var body io.Reader
	if item != nil {
		f, err := item.Open()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		body = f
		if item.Size == 0 {
			body = http.NoBody
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, h.Header)
	if item != nil {
		req.ContentLength = item.Size
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Header.Set("X-Checksum-Sha256", item.SHA256)
	} else {
		req.Header.Set("Accept-Encoding", "identity") // the bytes as they are
	}
	return h.client.Do(req)
}

// statusError quotes the beginning of the server's answer.
func statusError(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	text := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(b), "?"), func(r rune) bool { return r < ' ' }), " ")
	if text != "" && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		text = ": " + text
	} else {
		text = ""
	}
	if to, err := resp.Location(); err == nil {
		return fmt.Errorf("the server answers %s: it redirects to %s; name that address", resp.Status, to.Host)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the server answers %s: it requires other credentials%s", resp.Status, text)
	}
	return fmt.Errorf("the server answers %s%s", resp.Status, text)
}
