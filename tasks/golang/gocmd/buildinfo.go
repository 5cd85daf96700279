package gocmd

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
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
			imports, reads := importsOf(files, at, modPath)
			if reads {
				return at
			}
			for _, p := range imports {
				rest, inside := strings.CutPrefix(p+"/", modPath+"/")
				if next := path.Join(dir, rest); inside && !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
	}
	return ""
}

// importsOf returns what a file imports of a module, and whether it uses
// debug.ReadBuildInfo. Of most files it reads the beginning only, and it does not
// parse: a path in a comment is followed too, which does no harm, and a plan of a
// large program takes a fifth of the time.
func importsOf(files fs.FS, name, modPath string) (imports []string, reads bool) {
	src := beginning(files, name)
	if len(src) == 0 || bytes.Contains(src, []byte("/*")) { // further down, or cut off within a comment
		var err error
		if src, err = fs.ReadFile(files, name); err != nil {
			return nil, false
		}
	}
	for _, quote := range []byte("\"`") {
		for rest := src; modPath != ""; {
			_, after, found := bytes.Cut(rest, append([]byte{quote}, modPath...))
			if !found {
				break
			}
			end := bytes.IndexByte(after, quote)
			if end < 0 {
				break
			}
			imports = append(imports, modPath+string(after[:end]))
			rest = after[end:]
		}
	}
	if bytes.Contains(src, []byte("runtime/debug")) {
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
