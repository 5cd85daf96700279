package gocache

import (
	"bytes"
	"context"
	"os"
	"path"
	"slices"

	"github.com/airbuild/airbuild/engine"
)

// A step of the user's own may run the go command too: `go run` in a script, a
// generator. Which packages it compiles is not known, so nothing can be kept apart by
// package. Where the step's inputs have C or assembly, which may include files that the
// go command's ids do not know, it gets an empty GOCACHE, for this execution alone:
// otherwise a changed header, which is in the step's key, gives the object of the old one.
// All other steps use the user's GOCACHE.

// nativeNames are the extensions of files that the go command hands to a C compiler or
// an assembler, and of headers.
var nativeNames = []string{
	".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90",
	".s", ".S", ".sx", ".swig", ".swigcxx", ".syso",
}

// compilesNative reports whether a go command of the step may compile more than Go.
// What cannot be read counts as C.
func (c *Cache) compilesNative(ctx context.Context, p *engine.Prepared) bool {
	if p.Inputs == nil {
		return false
	}
	for _, f := range p.Inputs.Files {
		if slices.Contains(nativeNames, path.Ext(f.Path)) {
			return true
		}
		if path.Ext(f.Path) != ".go" {
			continue
		}
		text, err := f.Source.Inline, error(nil)
		switch {
		case f.Source.Path != "":
			text, err = os.ReadFile(f.Source.Path)
		case f.Source.Blob:
			text, err = engine.ReadBlob(ctx, c.Store, f.Digest)
		}
		if err != nil || bytes.Contains(text, []byte(`"C"`)) || bytes.Contains(text, []byte("`C`")) {
			return true
		}
	}
	return false
}

// HostPaths lets a step that sees little of the host have the GOCACHE that it was given.
func (c *Cache) HostPaths(r engine.HostPaths) engine.HostPaths { return hostPaths{c, r} }

type hostPaths struct {
	c       *Cache
	program engine.HostPaths
}

// HostPaths implements engine.HostPaths.
func (r hostPaths) HostPaths(ctx context.Context, s *engine.Step) (read, write []string, err error) {
	read, write, err = r.program.HostPaths(ctx, s)
	use, _ := ctx.Value(sessionKey{}).(*session)
	if err != nil || use == nil || use.native == nil || !use.native() {
		return read, write, err
	}
	own, err := use.own(r.c)
	return read, append(write, own), err
}
