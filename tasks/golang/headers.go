package golang

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// headers takes in the C files of the project that go list does not name:
// those that are included from other directories, and libraries beside them
// that are linked. System headers and libraries are not keyed.
func (g *gatherer) headers(land, name string, p *goPackage) error {
	if len(p.CgoFiles)+len(p.SFiles) == 0 {
		return nil
	}
	s := &includes{g: g, land: land, name: name}
	for _, flag := range splitFlags("-I", p.CgoCFLAGS, p.CgoCPPFLAGS, p.CgoCXXFLAGS) {
		s.dirs = append(s.dirs, s.resolve(name, flag))
	}
	for _, flag := range p.CgoLDFLAGS {
		if ext := path.Ext(flag); ext == ".a" || ext == ".o" || ext == ".syso" {
			s.take(s.resolve(name, flag))
		}
	}
	for _, dir := range splitFlags("-L", p.CgoLDFLAGS) {
		s.libraries(s.resolve(name, dir))
	}
	for _, f := range p.sources(false) {
		if !filepath.IsAbs(f) {
			if err := s.scan(path.Join(name, f)); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitFlags returns the values of a one-letter flag in either form.
func splitFlags(flag string, lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for i, f := range list {
			if f == flag && i+1 < len(list) {
				out = append(out, list[i+1])
			} else if v, ok := strings.CutPrefix(f, flag); ok && v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}

// includes follows #include directives through the files of one package.
type includes struct {
	g          *gatherer
	land, name string   // of the package
	dirs       []string // of -I, named as for Files
	seen       map[string]bool
}

// resolve names a file as Files does: project-relative, or absolute.
func (s *includes) resolve(dir, file string) string {
	if filepath.IsAbs(file) {
		if rel, ok := s.g.inside(file); ok {
			return rel
		}
		return filepath.ToSlash(file)
	}
	return path.Join(dir, filepath.ToSlash(file))
}

// take makes a file an input if it is there and part of the project or of the
// package's module. It reports whether it was taken.
func (s *includes) take(file string) bool {
	var land string
	switch {
	case path.IsAbs(s.name) && strings.HasPrefix(file, s.name+"/"):
		land = path.Join(s.land, strings.TrimPrefix(file, s.name))
	case !path.IsAbs(file) && !strings.HasPrefix(file, "../"):
		land = file
	default:
		return false
	}
	if _, err := s.g.files.Digest(file); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !path.IsAbs(file) {
			s.g.depends[file] = true // it may appear
		}
		return false
	}
	from := file
	if land == file {
		from = ""
	}
	s.g.inputs[land] = from
	s.g.depends[file] = true
	return true
}

// libraries takes in what can be linked from a directory.
func (s *includes) libraries(dir string) {
	entries, err := s.g.files.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		switch path.Ext(e.Name()) {
		case ".a", ".so", ".dylib", ".lib", ".dll":
			if e.Type().IsRegular() {
				s.take(path.Join(dir, e.Name()))
			}
		}
	}
}

// includeLine is an #include in C, or in the comment above import "C". Both
// forms can name a file of a -I directory.
var includeLine = regexp.MustCompile(`^[ \t/*]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]`)

// scan reads one file and follows what it includes.
func (s *includes) scan(file string) error {
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	if s.seen[file] {
		return nil
	}
	s.seen[file] = true
	abs := file
	if !path.IsAbs(file) {
		abs = path.Join(filepath.ToSlash(s.g.files.Root()), file)
	}
	text, err := os.ReadFile(filepath.FromSlash(abs))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("follow includes: %w", err)
	}
	for _, included := range includesOf(text) {
		for _, dir := range append([]string{path.Dir(file), s.name}, s.dirs...) {
			if at := s.resolve(dir, included); s.take(at) {
				if err := s.scan(at); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// includesOf returns what a text includes, in order. The expression sees only
// lines with the word in them: searching all of a text with it takes longer
// than reading it.
func includesOf(text []byte) []string {
	const word = "include"
	var out []string
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(word))
		if i < 0 {
			return out
		}
		begin := at + bytes.LastIndexByte(text[at:at+i], '\n') + 1
		end := len(text)
		if n := bytes.IndexByte(text[at+i:], '\n'); n >= 0 {
			end = at + i + n
		}
		if m := includeLine.FindSubmatch(text[begin:end]); m != nil {
			out = append(out, string(m[1]))
		}
		at = end
	}
}
