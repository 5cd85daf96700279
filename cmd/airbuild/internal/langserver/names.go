package langserver

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// parse reads what can be read of a text: someone is writing it.
func parse(text string) *hclsyntax.Body {
	f, _ := hclsyntax.ParseConfig([]byte(text), "", hcl.InitialPos)
	if f == nil {
		return &hclsyntax.Body{}
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		return &hclsyntax.Body{}
	}
	return body
}

// A declared is where a name is declared.
type declared struct {
	file string // absolute
	text string
	at   hcl.Range
}

// names are what a project declares, as references write it: "stage.bin",
// "var.version", "local.platforms", "pipeline.release".
func (s *server) names(name, text string) map[string]declared {
	out := map[string]declared{}
	root := filepath.Dir(airbuildfileOf(name))
	seen := map[string]bool{}
	var read func(file, text string)
	read = func(file, text string) {
		if seen[file] {
			return
		}
		seen[file] = true
		for _, b := range parse(text).Blocks {
			label := func(i int) string {
				if i < len(b.Labels) {
					return b.Labels[i]
				}
				return ""
			}
			switch b.Type {
			case "stage":
				out["stage."+label(1)] = declared{file, text, b.DefRange()}
			case "variable":
				out["var."+label(0)] = declared{file, text, b.DefRange()}
			case "pipeline":
				out["pipeline."+label(0)] = declared{file, text, b.DefRange()}
			case "locals":
				for key, attr := range b.Body.Attributes {
					out["local."+key] = declared{file, text, attr.NameRange}
				}
			case "include":
				at := filepath.Join(filepath.Dir(file), filepath.FromSlash(label(0)))
				if rel, err := filepath.Rel(root, at); err == nil && filepath.IsLocal(rel) {
					if text, ok := s.textOf(at); ok {
						read(at, text)
					}
				}
			}
		}
	}
	read(name, text)
	if top := airbuildfileOf(name); top != name {
		if text, ok := s.textOf(top); ok {
			read(top, text)
		}
	}
	for key := range out {
		if strings.HasSuffix(key, ".") {
			delete(out, key) // a block without its label yet
		}
	}
	return out
}

// textOf is the text of a file as the editor has it or, if it is not open, the disk.
func (s *server) textOf(name string) (string, bool) {
	if text, ok := s.docs[name]; ok {
		return text, true
	}
	b, err := os.ReadFile(name)
	return string(b), err == nil
}

// definition is where the name at a byte is declared; nothing for other words.
func (s *server) definition(name, text string, offset int) any {
	parts := strings.Split(wordAt(text, offset), ".")
	if len(parts) < 2 {
		return nil
	}
	d, ok := s.names(name, text)[parts[0]+"."+parts[1]]
	if !ok {
		return nil
	}
	return map[string]any{"uri": uriOf(d.file), "range": spanOf(d.text, d.at)}
}

// blocksAt are the blocks that a byte is in the body of, the outermost first.
func blocksAt(body *hclsyntax.Body, offset int) []*hclsyntax.Block {
	for _, b := range body.Blocks {
		end := b.CloseBraceRange.Start.Byte
		if b.CloseBraceRange.Empty() {
			end = b.Body.SrcRange.End.Byte // it is not closed yet
		}
		if b.OpenBraceRange.End.Byte <= offset && offset <= end {
			return append([]*hclsyntax.Block{b}, blocksAt(b.Body, offset)...)
		}
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
