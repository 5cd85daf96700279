package relay

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/airbuild/airbuild/internal/canonjson"
)

// A page is what a person with a browser sees.
type page struct {
	Title string
	Notes []string // commands to copy
	Heads []string
	Rows  []row
	Total string
}

type row struct {
	Link  string // percent-encoded, absolute in the relay
	Name  string
	Cells []string
}

const pageText = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<style>
body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }
td, th { text-align: left; padding: .2em 1em .2em 0; vertical-align: top }
td:nth-child(2) { text-align: right; white-space: nowrap }
code, pre, td:nth-child(3) { font: 13px/1.6 monospace; word-break: break-all }
pre { background: #eee; padding: .6em 1em; white-space: pre-wrap }
</style>
<h1>{{.Title}}</h1>
{{range .Notes}}<pre>{{.}}</pre>
{{end}}<table>
<tr>{{range .Heads}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr><td><a href="{{.Link}}">{{.Name}}</a></td>{{range .Cells}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table>
{{with .Total}}<p>{{.}}</p>
{{end}}</html>
`

func sendPage(w *pacedWriter, r *http.Request, p page) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	return sendBytes(w, r, "text/html; charset=utf-8", b.Bytes())
}

func sendJSON(w *pacedWriter, r *http.Request, v any) error {
	b, err := canonjson.Indented(v)
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	return sendBytes(w, r, "application/json", b)
}

// redirect sends who left out the last slash to a path of ours.
func redirect(w *pacedWriter, to string) error {
	w.Header().Set("Location", escape(to))
	w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

func escape(p string) string { return (&url.URL{Path: p}).EscapedPath() }

// baseURL is how the client calls the relay, for commands on a page.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := r.Host
	if host == "" || strings.ContainsFunc(host, func(c rune) bool { return !hostRune(c) }) {
		host = "RELAY"
	}
	return scheme + "://" + host
}

// hostRune: what can stand in a host's name, an address or a port.
func hostRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-:[]_", c)
}

// areas are what there is, in the order of the front page.
type areas struct {
	Format    string `json:"format"`
	Bundles   string `json:"bundles,omitempty"`
	Artifacts string `json:"artifacts,omitempty"`
	GoProxy   string `json:"goproxy,omitempty"`
	Cache     string `json:"cache,omitempty"`
	Writable  bool   `json:"writable"`
}

// frontFormat is the format of what the front page is to a program.
const frontFormat = "airbuild-relay 1"

func (h *Handler) front(w *pacedWriter, r *http.Request) error {
	if _, err := plainQuery(r, ""); err != nil {
		return err
	}
	a := areas{Format: frontFormat, Writable: h.o.Writable}
	p := page{Title: "airbuild relay", Heads: []string{"what", "", "how"}}
	base := baseURL(r)
	add := func(served bool, field *string, link, name, how string) {
		if served {
			*field = link
			p.Rows = append(p.Rows, row{link, name, []string{"", how}})
		}
	}
	add(h.o.Bundles != "", &a.Bundles, "/bundles/", "bundles", "airbuild bundle import "+base+"/bundles/NAME/")
	add(h.o.Artifacts != "", &a.Artifacts, "/artifacts/", "artifacts", "curl -fO "+base+"/artifacts/NAME")
	if h.o.GoProxy != "" {
		a.GoProxy = "/goproxy"
		p.Notes = append(p.Notes, "export GOPROXY="+base+"/goproxy")
	}
	if h.store != nil {
		a.Cache = "/"
		p.Notes = append(p.Notes, "bazel build --remote_cache="+base+" …")
	}
	if wantsJSON(r) {
		return sendJSON(w, r, a)
	}
	return sendPage(w, r, p)
}

func bundlesPage(all []Summary, base string) page {
	p := page{Title: "Bundles", Heads: []string{"bundle", "size", "import"}}
	for _, s := range all {
		link := "/bundles/" + s.Name + "/"
		p.Rows = append(p.Rows, row{escape(link), s.Name, []string{size(s.Size), "airbuild bundle import " + base + escape(link)}})
	}
	return p
}

func filesPage(x *Index, above string) page {
	p := page{Title: x.Name, Heads: []string{"file", "size", "SHA-256"}, Total: fmt.Sprintf("%d files, %s", len(x.Files), size(x.Size))}
	for _, f := range x.Files {
		p.Rows = append(p.Rows, row{escape(above + x.Name + "/" + f.Path), f.Path, []string{size(f.Size), f.SHA256}})
	}
	return p
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1<<10 && unit < 3 {
		f /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[unit])
}
