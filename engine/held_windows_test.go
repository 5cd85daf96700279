package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/inuse"
)

// hold opens a file of the bench's project so that it can be read, and not replaced.
func (b *bench) hold(name string) (release func()) {
	b.t.Helper()
	p, err := windows.UTF16PtrFromString(filepath.Join(b.root, filepath.FromSlash(name)))
	if err != nil {
		b.t.Fatal(err)
	}
	h, err := windows.CreateFile(p, windows.GENERIC_READ, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return func() { windows.CloseHandle(h) }
}

// An output that another program has open fails its step, which says so once; it is
// not removed as stale, and the next run writes it.
func TestHeldOutput(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "release"
	b.step("a", engine.FileInput("in.txt"))
	b.run()
	old := b.read("dist/a")
	release := b.hold("dist/a")
	b.write("in.txt", "two")
	o, end := b.options()
	sum, err := engine.Run(t.Context(), &b.graph, []engine.StepID{0}, o)
	end()
	if err != nil || sum.OK() || len(sum.Failures) != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if err := sum.Failures[0].Err; !errors.Is(err, inuse.ErrInUse) || !strings.Contains(err.Error(), "dist/a: another program has it open") {
		t.Errorf("failure %v", err)
	}
	if got := b.read("dist/a"); got != old {
		t.Errorf("dist/a is %q, was %q", got, old)
	}
	release()
	b.run()
	if got := b.read("dist/a"); got == old || strings.HasPrefix(got, "<") {
		t.Errorf("dist/a is %q", got)
	}
	left, err := filepath.Glob(filepath.Join(b.root, "dist", ".airbuild-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

// A stale output that another program has open is an error that says so, and the
// next run removes it.
func TestHeldStaleOutput(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "release"
	b.step("old")
	b.run()
	release := b.hold("dist/old")
	b.graph = engine.Graph{}
	b.step("new")
	o, end := b.options()
	_, err := engine.Run(t.Context(), &b.graph, []engine.StepID{0}, o)
	end()
	if !errors.Is(err, inuse.ErrInUse) || !strings.Contains(err.Error(), "dist/old") {
		t.Errorf("error %v", err)
	}
	release()
	b.run()
	if _, err := os.Stat(filepath.Join(b.root, "dist", "old")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dist/old is still there: %v", err)
	}
}
