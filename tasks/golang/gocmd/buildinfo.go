package gocmd

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
)

// ReadsBuildInfo finds a file by which a program asks for its own version: one that
// uses debug.ReadBuildInfo, in a main package or in what it imports of the same
// module. dir is the module's and pkg the package's directory, project-relative.
// Build constraints are not looked at, so that the answer is the same for every
// platform. Empty: there is none.
func ReadsBuildInfo(files fs.FS, dir, pkg string) (file string) {
	text, err := fs.ReadFile(files, path.Join(dir, "go.mod"))
	if err != nil {
		return ""
	}
	modPath := modfile.ModulePath(text)
	seen := map[string]bool{pkg: true}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		entries, err := fs.ReadDir(files, queue[0])
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := e.Name()
			if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
				continue
			}
			at := path.Join(queue[0], name)
			imports, reads := importsOf(files, at)
			if reads {
				return at
			}
			for _, p := range imports {
				rest, inside := strings.CutPrefix(p+"/", modPath+"/")
				if next := path.Join(dir, rest); inside && modPath != "" && !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
	}
	return ""
}

// importsOf returns what a file imports, and whether it uses debug.ReadBuildInfo. Of
// most files it reads the beginning only.
func importsOf(files fs.FS, name string) (imports []string, reads bool) {
	parse := func(src []byte) (*ast.File, error) {
		return parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	}
	f, err := parse(beginning(files, name))
	if err != nil { // cut off within a comment, or further down
		src, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, false
		}
		if f, err = parse(src); err != nil {
			return nil, false
		}
	}
	for _, spec := range f.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			imports = append(imports, p)
		}
	}
	if slices.Contains(imports, "runtime/debug") {
		src, err := fs.ReadFile(files, name)
		return imports, err == nil && bytes.Contains(src, []byte("ReadBuildInfo("))
	}
	return imports, false
}

// beginning is a file up to its first declaration behind the imports; empty if that is
// not near its beginning.
func beginning(files fs.FS, name string) []byte {
	f, err := files.Open(name)
	if err != nil {
		return []byte{}
	}
	defer f.Close()
	head := make([]byte, 4<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return []byte{}
	}
	for head = head[:n]; ; {
		at := bytes.IndexByte(head[len(head)-n:], '\n')
		if at < 0 {
			return []byte{}
		}
		n -= at + 1
		for _, word := range [...]string{"func ", "type ", "var ", "const "} {
			if bytes.HasPrefix(head[len(head)-n:], []byte(word)) {
				return head[:len(head)-n]
			}
		}
	}
}
