package golang

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// notesName is the in-process tool that says what limits the linker's
// elimination of dead code. It runs in the workspace, like the build that it
// is about.
const (
	notesName    = "go_notes"
	notesVersion = "1"
)

// notesSpec is what the tool gets: the arguments of go build, with outMark in
// the place of the output.
type notesSpec struct {
	Args []string `json:"args"`
}

// notesStep plans the notes on a planned build. It makes no output: what it
// found is its log.
func notesStep(build *engine.Step) (engine.Step, error) {
	s := *build
	s.Name += ".notes"
	s.Inner = true
	s.Command.Env = slices.Clone(build.Command.Env)
	tasks.SetOutputs(&s, nil, nil)
	var args []string
	dumped := false
	for i, a := range build.Command.Arguments[1:] {
		switch {
		case strings.HasPrefix(a, "-ldflags="):
			a, dumped = a+" -dumpdep", true
		case i > 0 && build.Command.Arguments[i] == "-o":
			mark := outMark
			if strings.HasSuffix(a, "/") {
				mark += "/"
			}
			a = mark
		}
		args = append(args, a)
	}
	if !dumped {
		args = slices.Insert(args, 1, "-ldflags=-dumpdep")
	}
	return s, tasks.SetTool(&s, notesName, notesVersion, notesSpec{args})
}

func runNotes(ctx context.Context, call *engine.ToolCall, spec *notesSpec) error {
	scratch := filepath.Join(call.Dir, ".airbuild-notes")
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		return fmt.Errorf("make scratch directory: %w", err)
	}
	args := placeOut(spec.Args, filepath.Join(scratch, "out"))
	d := &dependencies{rest: call.Log}
	err := call.Run(ctx, &engine.Process{Path: "go", Args: args, Stdout: d, Stderr: d})
	if err := cmp.Or(err, d.flush()); err != nil {
		return err
	}
	return d.report(call.Log)
}

// dependencies reads what the linker's -dumpdep prints, one edge a line:
// "from <attributes> -> to <attributes>". Functions marked ReflectMethod call
// reflect's Method or MethodByName with a name that is not known when linking,
// so that every exported method of every reachable type must be kept.
type dependencies struct {
	mu      sync.Mutex
	buf     []byte
	reflect map[string]bool
	edges   int
	rest    io.Writer // for lines that are no edges
}

// Write implements io.Writer.
func (d *dependencies) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buf = append(d.buf, p...)
	for {
		i := bytes.IndexByte(d.buf, '\n')
		if i < 0 {
			return len(p), nil
		}
		if err := d.line(string(d.buf[:i])); err != nil {
			return 0, err
		}
		d.buf = d.buf[i+1:]
	}
}

func (d *dependencies) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.buf) == 0 {
		return nil
	}
	return d.line(string(d.buf))
}

func (d *dependencies) line(s string) error {
	from, to, ok := strings.Cut(s, " -> ")
	if !ok {
		if strings.HasPrefix(s, "# ") {
			return nil // the package that the linker's output is of
		}
		_, err := fmt.Fprintln(d.rest, s)
		return err
	}
	d.edges++
	for _, end := range []string{from, to} {
		fn, attrs, ok := strings.Cut(end, " <")
		if ok && strings.Contains(attrs, "ReflectMethod") {
			if d.reflect == nil {
				d.reflect = map[string]bool{}
			}
			d.reflect[fn] = true
		}
	}
	return nil
}

// report writes the notes.
func (d *dependencies) report(w io.Writer) error {
	var b strings.Builder
	if len(d.reflect) == 0 {
		b.WriteString("dead code: nothing keeps unused methods; the linker drops them all\n")
	} else {
		b.WriteString("dead code: these functions look methods up by names unknown at link time,\nso every exported method of every type in use is kept:\n")
		names := make([]string, 0, len(d.reflect))
		for fn := range d.reflect {
			names = append(names, fn)
		}
		slices.Sort(names)
		for _, fn := range names {
			fmt.Fprintf(&b, "  %s\n", fn)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
