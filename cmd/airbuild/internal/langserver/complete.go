package langserver

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// Kinds of completion items, as the protocol numbers them.
const (
	kindFunction = 3
	kindVariable = 6
	kindClass    = 7
	kindProperty = 10
	kindValue    = 12
)

// An item is something that may stand where the cursor is.
type item struct {
	Label  string `json:"label"`
	Kind   int    `json:"kind"`
	Detail string `json:"detail,omitempty"`
	Doc    string `json:"documentation,omitempty"`
	Insert string `json:"insertText,omitempty"`
}

// patterns are how the line up to the cursor may look. They are compiled when a
// server starts, and not whenever airbuild does.
type patterns struct {
	name  *regexp.Regexp // the beginning of a line
	typ   *regexp.Regexp // a stage's type
	use   *regexp.Regexp // a ready-made pipeline
	value *regexp.Regexp // a text, as the value of an attribute
	dot   *regexp.Regexp // an object's attribute
}

func newPatterns() patterns {
	return patterns{
		name:  regexp.MustCompile(`^\s*[\w-]*$`),
		typ:   regexp.MustCompile(`^\s*stage\s+"[\w-]*$`),
		use:   regexp.MustCompile(`^\s*use\s*=\s*"[\w-]*$`),
		value: regexp.MustCompile(`^\s*([\w-]+)\s*=.*"[^"]*$`),
		dot:   regexp.MustCompile(`\b(\w+)\.[\w-]*$`),
	}
}

// objects are those whose attributes do not hang on the file.
func objects() map[string][]string {
	return map[string][]string{
		"git":    {"branch", "commit", "describe", "dirty", "short", "tag", "time"},
		"source": {"epoch", "time"},
		"host":   {"arch", "os"},
		"each":   {"key", "path", "paths", "value"},
		"matrix": {"arch", "exe", "os", "platform", "variant"},
	}
}

// complete lists what may stand at a byte.
func (s *server) complete(name, text string, offset int) []item {
	line := text[strings.LastIndexByte(text[:offset], '\n')+1 : offset]
	// The line that is being written is left out of what is read: it is seldom right.
	blocks := blocksAt(parse(text[:offset-len(line)]+strings.Repeat(" ", len(line))+rest(text[offset:])), offset)
	switch {
	case s.at.typ.MatchString(line):
		return s.types()
	case s.at.use.MatchString(line):
		return values(s.Pipelines)
	case s.at.name.MatchString(line):
		return s.bodyItems(blocks)
	case s.at.dot.MatchString(line):
		return s.attributesOf(s.at.dot.FindStringSubmatch(line)[1], name, text)
	case s.at.value.MatchString(line) && strings.Count(line, `"`)%2 == 1:
		return values(s.enumOf(blocks, s.at.value.FindStringSubmatch(line)[1]))
	}
	items := []item{}
	for _, f := range dsl.Functions() {
		items = append(items, item{Label: f.Name, Kind: kindFunction, Detail: f.Signature, Doc: f.Doc, Insert: f.Name})
	}
	for _, o := range append(sortedNames(objects()), "local", "pipeline", "stage", "var") {
		items = append(items, item{Label: o, Kind: kindVariable})
	}
	return items
}

// rest is a text from the next line on.
func rest(text string) string {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return text[i:]
	}
	return ""
}

func values(names []string) []item {
	items := []item{}
	for _, n := range names {
		items = append(items, item{Label: n, Kind: kindValue})
	}
	return items
}

func (s *server) types() []item {
	items := []item{}
	for _, t := range sortedNames(s.Stages) {
		items = append(items, item{Label: t, Kind: kindClass, Doc: s.Stages[t].Doc})
	}
	return items
}

func (s *server) attributesOf(object, name, text string) []item {
	if known, ok := objects()[object]; ok {
		return values(known)
	}
	items := []item{}
	for _, full := range sortedNames(s.names(name, text)) {
		if of, attr, _ := strings.Cut(full, "."); of == object {
			items = append(items, item{Label: attr, Kind: kindVariable})
		}
	}
	return items
}

// An entry is an attribute or a block that may stand in a body.
type entry struct {
	name, kind, doc string
	block           bool
	labels          int
	enum            []string
}

// bodyItems are the attributes and blocks of the innermost block that are not there
// yet, or the blocks of a file.
func (s *server) bodyItems(blocks []*hclsyntax.Block) []item {
	items := []item{}
	var there hclsyntax.Attributes
	if len(blocks) > 0 {
		there = blocks[len(blocks)-1].Body.Attributes
	}
	for _, e := range s.entries(blocks) {
		if _, ok := there[e.name]; ok && !e.block {
			continue
		}
		i := item{Label: e.name, Kind: kindProperty, Detail: e.kind, Doc: e.doc, Insert: e.name + " = "}
		if e.block {
			i.Kind, i.Insert = kindClass, e.name+strings.Repeat(` ""`, e.labels)+" {"
		}
		items = append(items, i)
	}
	return items
}

// entries are all that may stand in the innermost of the blocks.
func (s *server) entries(blocks []*hclsyntax.Block) []entry {
	if len(blocks) == 0 {
		return ofBlocks(dsl.TopLevelSchema())
	}
	if outer := blocks[0]; outer.Type == "stage" {
		return s.stageEntries(blocks)
	}
	docs := dsl.TopLevelSchema()
	var doc dsl.BlockDoc
	for _, b := range blocks {
		i := slices.IndexFunc(docs, func(d dsl.BlockDoc) bool { return d.Type == b.Type })
		if i < 0 {
			return nil
		}
		doc = docs[i]
		docs = doc.Blocks
	}
	out := ofBlocks(doc.Blocks)
	for _, a := range doc.Attrs {
		out = append(out, entry{name: a.Name, kind: a.Type, doc: a.Doc})
	}
	return out
}

func (s *server) stageEntries(blocks []*hclsyntax.Block) []entry {
	schemas := []*tasks.Schema{s.Meta}
	if labels := blocks[0].Labels; len(labels) > 0 && s.Stages[labels[0]] != nil {
		schemas = []*tasks.Schema{s.Stages[labels[0]], s.Meta}
	}
	var out []entry
	for _, schema := range schemas {
		if len(blocks) == 1 {
			out = append(out, ofAttrs(schema.Attrs)...)
			for _, n := range schema.Blocks {
				out = append(out, entry{name: n.Type, doc: n.Doc, block: true})
			}
			continue
		}
		for _, n := range schema.Blocks {
			if n.Type == blocks[1].Type {
				out = append(out, ofAttrs(n.Attrs)...)
			}
		}
	}
	return out
}

func ofBlocks(docs []dsl.BlockDoc) []entry {
	return lists.Map(docs, func(d dsl.BlockDoc) entry { return entry{name: d.Type, doc: d.Doc, block: true, labels: len(d.Labels)} })
}

func ofAttrs(attrs []tasks.Attr) []entry {
	var out []entry
	for _, a := range attrs {
		kind := strings.Join(a.Enum, " | ")
		if kind == "" && a.Default != "" {
			kind = "default: " + a.Default
		}
		out = append(out, entry{name: a.Name, kind: kind, doc: a.Doc, enum: a.Enum})
	}
	return out
}

func (s *server) enumOf(blocks []*hclsyntax.Block, attr string) []string {
	for _, e := range s.entries(blocks) {
		if e.name == attr {
			return e.enum
		}
	}
	return nil
}

// hover explains the word at a byte: an attribute, a block, a stage type or a
// function.
func (s *server) hover(text string, offset int) any {
	word := wordAt(text, offset)
	doc := ""
	for _, f := range dsl.Functions() {
		if f.Name == word {
			doc = "`" + f.Signature + "`\n\n" + f.Doc
		}
	}
	if t := s.Stages[word]; t != nil {
		doc = "stage `" + word + "`\n\n" + t.Doc
	}
	line := text[strings.LastIndexByte(text[:offset], '\n')+1:]
	if strings.HasPrefix(strings.TrimSpace(line), word) {
		blocks := blocksAt(parse(text), offset)
		for _, e := range s.entries(blocks) {
			if e.name == word {
				doc = strings.TrimSpace("`" + e.name + "` " + e.kind + "\n\n" + e.doc)
			}
		}
	}
	if word == "" || doc == "" {
		return nil
	}
	return map[string]any{"contents": map[string]string{"kind": "markdown", "value": doc}}
}
