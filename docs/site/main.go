// Command site writes the documentation as a static site, which needs no server
// and no network: open index.html.
//
//	site VERSION DIR
package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/airbuild/airbuild/docs"
	"github.com/airbuild/airbuild/docs/internal/anchor"
	"github.com/airbuild/airbuild/docs/internal/markdown"
)

//go:embed page.html style.css search.js
var assets embed.FS

// repository is where links lead that leave the documentation.
const repository = "https://github.com/airbuild/airbuild/blob/main/"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: site VERSION DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// An entry is a page in the navigation and in the index of the search.
type entry struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	Text  string `json:"text"`
}

// A section is a part of the navigation.
type section struct {
	Title string
	Pages []entry
}

// write writes the site to dir.
func write(version, dir string) error {
	tmpl, err := template.ParseFS(assets, "page.html")
	if err != nil {
		return err
	}
	pages := docs.Pages()
	sections := []section{{Title: "Documentation"}, {Title: "How-to guides"}, {Title: "Reference"}}
	index := []entry{}
	for _, p := range pages {
		e := entry{p.Title, htmlName(p), p.Plain()}
		index = append(index, e)
		i := map[string]int{"how-to": 1, "reference": 2}[strings.Split(p.Topic, "/")[0]]
		sections[i].Pages = append(sections[i].Pages, e)
	}
	for _, p := range pages {
		body, err := render(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Topic, err)
		}
		var out bytes.Buffer
		err = tmpl.Execute(&out, map[string]any{
			"Title": p.Title, "Body": template.HTML(body), "Sections": sections, "Version": version,
			"Root": strings.Repeat("../", strings.Count(htmlName(p), "/")), "Here": htmlName(p),
		})
		if err != nil {
			return err
		}
		if err := writeFile(dir, htmlName(p), out.Bytes()); err != nil {
			return err
		}
		if p.Topic == "getting-started" { // the first page
			if err := writeFile(dir, "index.html", out.Bytes()); err != nil {
				return err
			}
		}
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	// A script and not a file of JSON: browsers do not fetch those from a disk.
	if err := writeFile(dir, "index.js", fmt.Appendf(nil, "const pages = %s;\n", data)); err != nil {
		return err
	}
	for _, name := range []string{"style.css", "search.js"} {
		b, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		if err := writeFile(dir, name, b); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(dir, name string, b []byte) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o666)
}

// source is the page's path below docs, without .md.
func source(p docs.Page) string {
	if p.Topic == "how-to" || p.Topic == "reference" {
		return p.Topic + "/README"
	}
	return p.Topic
}

func htmlName(p docs.Page) string { return source(p) + ".html" }

// render returns a page's HTML, with its links made to fit the site.
func render(p docs.Page) ([]byte, error) {
	md := goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(
			parser.WithAutoHeadingID(),
			parser.WithASTTransformers(util.Prioritized(links{path.Dir(source(p))}, 100)),
		),
	)
	var out bytes.Buffer
	ids := parser.WithContext(parser.NewContext(parser.WithIDs(anchors{})))
	err := md.Convert([]byte(markdown.WithoutComments(p.Text)), &out, ids)
	return out.Bytes(), err
}

// links rewrites the links of a page in a folder of docs.
type links struct{ folder string }

func (l links) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			link.Destination = []byte(l.target(string(link.Destination)))
		}
		return ast.WalkContinue, nil
	})
}

func (l links) target(to string) string {
	name, fragment, found := strings.Cut(to, "#")
	if found {
		fragment = "#" + fragment
	}
	switch inDocs := path.Join(l.folder, name); {
	case name == "" || strings.Contains(name, "://"):
		return to
	case strings.HasPrefix(inDocs, "../"):
		return repository + strings.TrimPrefix(inDocs, "../") + fragment
	default:
		return strings.TrimSuffix(name, ".md") + ".html" + fragment
	}
}

// anchors are the ids of headings as GitHub makes them: the links count on it.
type anchors map[string]bool

func (a anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	id := anchor.Of(string(value))
	for n := 1; a[id]; n++ {
		id = fmt.Sprintf("%s-%d", anchor.Of(string(value)), n)
	}
	a[id] = true
	return []byte(id)
}

func (a anchors) Put(value []byte) { a[string(value)] = true }
