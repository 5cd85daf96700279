package relay

import (
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An Access is a request that was answered. It has no headers and no query
// that is not ours, so that no token gets into a log.
type Access struct {
	Time     time.Time // when it came
	Remote   string
	Method   string
	Path     string
	Status   int   // zero: cut off before an answer
	Bytes    int64 // of the answer's body
	Duration time.Duration
}

// String is a line of an access log, without its end. What the client chose is
// quoted, so that it cannot make lines.
func (a Access) String() string {
	return fmt.Sprintf("%s %s %q %q %d %d %.3f",
		a.Time.UTC().Format(time.RFC3339), a.Remote, a.Method, a.Path, a.Status, a.Bytes, a.Duration.Seconds())
}

// AccessLog returns a function for Options.Access that writes a line to w for each
// request. An error of writing is ignored: a full disk stops no request.
func AccessLog(w io.Writer) func(Access) {
	var mu sync.Mutex
	return func(a Access) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(w, a)
	}
}

func accessOf(r *http.Request, w *pacedWriter, start time.Time) Access {
	return Access{
		Time: start, Remote: r.RemoteAddr, Method: clip(r.Method), Path: clip(r.URL.Path),
		Status: w.status, Bytes: w.bytes, Duration: time.Since(start),
	}
}

func clip(s string) string { return s[:min(len(s), maxPath)] }

// areaOf is the part of a relay that a path belongs to; a fixed set, so that no
// client can make the metrics grow.
func areaOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "bundles", "artifacts", "goproxy", "cas", "ac", "healthz", "metrics":
		return first
	case "":
		return "front"
	}
	return "other"
}

// counts are what /metrics shows.
type counts struct {
	active atomic.Int64
	mu     sync.Mutex // guards the maps
	seen   map[string]int64
	bytes  map[string]int64
}

func (c *counts) add(area string, status int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen, c.bytes = map[string]int64{}, map[string]int64{}
	}
	c.seen[fmt.Sprintf("area=%q,status=%q", area, fmt.Sprint(status))]++
	c.bytes[fmt.Sprintf("area=%q", area)] += bytes
}

// text is the Prometheus text form.
func (c *counts) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "# HELP airbuild_relay_active_requests Requests being answered.\n# TYPE airbuild_relay_active_requests gauge\nairbuild_relay_active_requests %d\n", c.active.Load())
	writeCounter(&b, "airbuild_relay_requests_total", "Requests answered.", c.seen)
	writeCounter(&b, "airbuild_relay_sent_bytes_total", "Bytes of answers' bodies.", c.bytes)
	return b.String()
}

func writeCounter(b *strings.Builder, name, help string, values map[string]int64) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s counter\n", name, help, name)
	labels := make([]string, 0, len(values))
	for l := range values {
		labels = append(labels, l)
	}
	sort.Strings(labels)
	for _, l := range labels {
		fmt.Fprintf(b, "%s{%s} %d\n", name, l, values[l])
	}
}
