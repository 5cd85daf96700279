package closure

import (
	gobuild "go/build"
	"io"
	"path"
	"runtime"
	"strings"
	"sync"
)

// reads makes a test of paths of the project: whether a file there would be
// part of the closure, as far as its name says. What a stage generates into a
// package may not be there yet.
func (c *Closure) reads(r *Record) func(p string) bool {
	dirs := sync.OnceValue(func() map[string]bool {
		out := map[string]bool{}
		for _, in := range r.Inputs {
			if in.F == "" && path.Ext(in.P) == ".go" {
				out[path.Dir(in.P)] = true
			}
		}
		return out
	})
	target := c.target()
	return func(p string) bool {
		dir, name := path.Split(p)
		if dirs()[path.Clean(dir)] && sourceFile(name) && (c.Test || !strings.HasSuffix(name, "_test.go")) {
			if match, err := target.MatchFile(dir, name); err == nil && match {
				return true
			}
		}
		return r.embeds(p)
	}
}

// sourceFile reports whether the go command may compile a file of this name.
func sourceFile(name string) bool {
	switch path.Ext(name) {
	case ".go", ".s", ".S", ".sx", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".swig", ".swigcxx", ".syso":
		return true
	}
	return false
}

// target chooses files by their names: their content, which may not be there
// yet, constrains nothing.
func (c *Closure) target() *gobuild.Context {
	b := &gobuild.Context{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Compiler: "gc", CgoEnabled: true,
		OpenFile: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package p\n")), nil }}
	for _, v := range c.Env {
		switch v.Name {
		case "GOOS":
			b.GOOS = v.Value
		case "GOARCH":
			b.GOARCH = v.Value
		}
	}
	return b
}

// embeds reports whether a //go:embed pattern names a path or a directory that
// it is in.
func (r *Record) embeds(p string) bool {
	for _, pattern := range r.Embeds {
		for at := p; at != "."; at = path.Dir(at) {
			if ok, err := path.Match(pattern, at); err != nil || !ok {
				continue
			}
			return true
		}
	}
	return false
}
