package gocmd

import (
	"bytes"
	"go/parser"
	"go/token"
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

// importsOf returns what a file imports, and whether it uses debug.ReadBuildInfo.
func importsOf(files fs.FS, name string) (imports []string, reads bool) {
	src, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, false
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, false
	}
	for _, spec := range f.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			imports = append(imports, p)
		}
	}
	return imports, slices.Contains(imports, "runtime/debug") && bytes.Contains(src, []byte("ReadBuildInfo("))
}
