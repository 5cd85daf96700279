package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A client asks one relay for one bundle.
type client struct {
	base  *url.URL // of the bundle; its path ends in a slash
	http  *http.Client
	token string
	stall time.Duration
}

func newClient(rawURL string, o FetchOptions) (*client, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%s: want http://… or https://…", u.Redacted())
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s: want http://HOST/bundles/NAME/", u.Redacted())
	}
	c := &client{token: o.Token, stall: o.Stall}
	if password, ok := u.User.Password(); ok && c.token == "" {
		c.token = password
	}
	u.User = nil
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	c.base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	conf, err := clientTLS(o)
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second, TLSClientConfig: conf,
			ResponseHeaderTimeout:  o.Stall + patience,
			MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute,
			DisableCompression: true, // ranges are of the file itself
		},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it is at %s: use that address", r.URL.Redacted())
		},
	}
	return c, nil
}

func clientTLS(o FetchOptions) (*tls.Config, error) {
	if o.Fingerprint != "" {
		return pinned(o.Fingerprint)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.CA) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("there is no certificate in the CA file")
		}
	}
	return conf, nil
}

// get asks for a file of the bundle ("" for its index). The error of an answer
// that is none of want's is an againError if it may pass. cancel ends the
// reading of the answer.
func (c *client) get(ctx context.Context, name string, header http.Header, want ...int) (*http.Response, context.CancelCauseFunc, error) {
	reading, cancel := context.WithCancelCause(ctx)
	at := c.base
	if name != "" {
		at = at.JoinPath(name)
	}
	r, err := http.NewRequestWithContext(reading, http.MethodGet, at.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, nil, err
	}
	maps.Copy(r.Header, header)
	r.Header.Set("User-Agent", "airbuild")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		cancel(nil)
		return nil, nil, failedRequest(ctx, err)
	}
	if coding := answer.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		err = fmt.Errorf("the answer is in the encoding %.40q, which was not asked for", coding)
	} else {
		err = checkStatus(answer, want)
	}
	if err != nil {
		answer.Body.Close()
		cancel(nil)
		return nil, nil, err
	}
	return answer, cancel, nil
}

// failedRequest tells what may pass, a relay that is not there now, from what
// does not: a certificate that is not trusted, an answer that is no HTTP.
func failedRequest(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which is said once
	}
	var cert *tls.CertificateVerificationError
	var other *fingerprintError
	var record tls.RecordHeaderError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &cert):
		return fmt.Errorf("%w; give the relay's CA file, or its fingerprint", err)
	case errors.As(err, &other), errors.As(err, &record):
		return err
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"), strings.HasPrefix(err.Error(), "it is at "):
		return err
	}
	return &againError{err: err}
}

func checkStatus(answer *http.Response, want []int) error {
	for _, s := range want {
		if answer.StatusCode == s {
			return nil
		}
	}
	text := saidBy(answer)
	switch s := answer.StatusCode; {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fmt.Errorf("the relay does not let us in: %s", text)
	case s == http.StatusPreconditionFailed || s == http.StatusRequestedRangeNotSatisfiable:
		return ErrChanged
	case passes(s):
		return &againError{fmt.Errorf("the relay says %s", text), retryAfter(answer)}
	default:
		return fmt.Errorf("the relay says %s", text)
	}
}

// saidBy is the status and the first line of an error's text, quoted where it is
// not plain.
func saidBy(answer *http.Response) string {
	b, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // what came of it
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	status := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if line == "" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		return status
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD || r >= 0x80 && r < 0xA0 }) {
		line = strconv.Quote(line)
	}
	return status + ": " + line
}

func retryAfter(answer *http.Response) time.Duration {
	n, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || n < 1 {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}

func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}

// index returns the bytes of the bundle's index.
func (c *client) index(ctx context.Context) ([]byte, error) {
	answer, cancel, err := c.get(ctx, "", http.Header{"Accept": {"application/json"}}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer cancel(nil)
	defer answer.Body.Close()
	if kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";"); kind != "application/json" {
		return nil, fmt.Errorf("the answer is %.60q and no index: is this the address of a bundle on an airbuild relay?", kind)
	}
	b, err := io.ReadAll(io.LimitReader(c.watch(answer.Body, cancel), maxIndex+1))
	if err != nil {
		return nil, cutOff(ctx, err)
	}
	return b, nil
}

// into adds to p what is missing of a file, and calls gained after each read.
func (c *client) into(ctx context.Context, file File, p *part, gained func()) error {
	if p.n == file.Size {
		return nil
	}
	etag := `"sha256:` + file.SHA256 + `"`
	header := http.Header{"If-Match": {etag}}
	if p.n > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(p.n, 10)+"-")
	}
	answer, cancel, err := c.get(ctx, file.Path, header, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return err
	}
	defer cancel(nil)
	defer answer.Body.Close()
	if got := answer.Header.Get("ETag"); got != "" && got != etag {
		return ErrChanged
	}
	if answer.StatusCode == http.StatusOK {
		if err := p.reset(); err != nil { // a server without ranges
			return err
		}
	} else if want := fmt.Sprintf("bytes %d-%d/%d", p.n, file.Size-1, file.Size); answer.Header.Get("Content-Range") != want {
		return fmt.Errorf("%w: asked for %s, and got %.80q", ErrChanged, want, answer.Header.Get("Content-Range"))
	}
	if answer.ContentLength >= 0 && answer.ContentLength != file.Size-p.n {
		return fmt.Errorf("%w: %d bytes are missing, and %d would come", ErrChanged, file.Size-p.n, answer.ContentLength)
	}
	return c.copy(ctx, file, p, c.watch(answer.Body, cancel), gained)
}

// copy writes no more than the file's size, whatever comes.
func (c *client) copy(ctx context.Context, file File, p *part, body io.Reader, gained func()) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if int64(n) > file.Size-p.n {
			return fmt.Errorf("%w: more than %d bytes came", ErrChanged, file.Size)
		}
		if n > 0 {
			if err := p.write(buf[:n]); err != nil {
				return err
			}
			gained()
		}
		switch {
		case err == io.EOF && p.n == file.Size:
			return nil
		case err == io.EOF:
			return cutOff(ctx, io.ErrUnexpectedEOF)
		case err != nil:
			return cutOff(ctx, err)
		}
	}
}

// cutOff says that a connection ended too soon.
func cutOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &againError{err: fmt.Errorf("the connection was cut: %w", err)}
}

var errStalled = errors.New("nothing came for too long")

// watch gives up on a relay that sends nothing for too long.
func (c *client) watch(r io.Reader, cancel context.CancelCauseFunc) io.Reader {
	return &watched{r: r, stall: c.stall, cancel: cancel}
}

type watched struct {
	r      io.Reader
	stall  time.Duration
	cancel context.CancelCauseFunc
}

func (w *watched) Read(b []byte) (int, error) {
	t := time.AfterFunc(w.stall, func() { w.cancel(errStalled) })
	n, err := w.r.Read(b)
	if !t.Stop() && err != nil {
		err = errStalled
	}
	return n, err
}
