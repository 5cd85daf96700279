package engine_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// tree has a step's executor make an output directory of the given files; a
// value that begins with "-> " is a link.
func (b *bench) tree(step string, files map[string]string) {
	b.exec.do[step] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		var in tree.Inputs
		for name, content := range files {
			if target, ok := strings.CutPrefix(content, "-> "); ok {
				in.Links = append(in.Links, tree.Link{Path: name, Target: target})
				continue
			}
			d, err := b.store.Put(ctx, strings.NewReader(content))
			if err != nil {
				return nil, err
			}
			in.Files = append(in.Files, tree.File{Path: name, Digest: d})
		}
		t, err := tree.Build(in.Files, in.Links, in.Empty)
		if err != nil {
			return nil, err
		}
		msg, err := t.Message()
		if err != nil {
			return nil, err
		}
		d, err := b.store.Put(ctx, bytes.NewReader(msg.Marshal()))
		if err != nil {
			return nil, err
		}
		res := &action.Result{}
		for _, out := range p.Command.OutputDirectories {
			res.OutputDirectories = append(res.OutputDirectories, action.OutputDirectory{Path: out, Tree: d, Root: t.Root})
		}
		return res, nil
	}
}

// dirStep adds a step that makes the directory at path.
func (b *bench) dirStep(name, path string) engine.StepID {
	return b.add(engine.Step{Name: name, Command: action.Command{
		Arguments: []string{name}, OutputPaths: []string{path}, OutputDirectories: []string{path},
	}, Inputs: []engine.Input{engine.FileInput("in.txt")}})
}

// A directory that a step owns becomes what the step made, whatever kinds of
// things stood there before.
func TestOwnedDirectoryChangesShape(t *testing.T) {
	for name, c := range map[string]struct {
		before, after map[string]string
		file, content string
	}{
		"link to directory": {map[string]string{"v1/f": "1", "cur": "-> v1"}, map[string]string{"cur/f": "2"}, "cur/f", "2"},
		"file to directory": {map[string]string{"x": "1"}, map[string]string{"x/f": "2"}, "x/f", "2"},
		"directory to file": {map[string]string{"x/f": "1"}, map[string]string{"x": "2"}, "x", "2"},
		"directory to link": {map[string]string{"x/f": "1", "v": "2"}, map[string]string{"v": "2", "x": "-> v"}, "x", "2"},
		"link to file":      {map[string]string{"v": "1", "x": "-> v"}, map[string]string{"v": "1", "x": "2"}, "x", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.dirStep("a", "dist/d")
			b.tree("a", c.before)
			b.run()
			b.write("in.txt", "two")
			b.tree("a", c.after)
			if sum := b.run(); !sum.OK() {
				t.Fatalf("failures %v", sum.Failures[0].Err)
			}
			if got := b.read("dist/d/" + c.file); got != c.content {
				t.Errorf("%s holds %q, want %q", c.file, got, c.content)
			}
			b.run()
			b.want("hit a")
			if got := b.read("dist/d/" + c.file); got != c.content {
				t.Errorf("after a hit %s holds %q, want %q", c.file, got, c.content)
			}
		})
	}
}

// Not even a directory is made outside the project.
func TestNoDirectoryThroughLinkOutOfProject(t *testing.T) {
	b := newBench(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(b.root, "gen")); err != nil {
		t.Fatal(err)
	}
	b.add(engine.Step{Name: "a", Command: action.Command{Arguments: []string{"x"}, OutputPaths: []string{"gen/sub/a"}, OutputFiles: []string{"gen/sub/a"}}})
	sum := b.run()
	if sum.Failed != 1 || !strings.Contains(sum.Failures[0].Err.Error(), "is a symbolic link") {
		t.Errorf("failures %+v", sum.Failures)
	}
	if list, _ := os.ReadDir(outside); len(list) != 0 {
		t.Errorf("written outside: %v", list)
	}
}

// Another process that restores into the same directory has temporary files
// there.
func TestTidyingLeavesOthersTemporaryFiles(t *testing.T) {
	b := newBench(t)
	b.dirStep("a", "dist/d")
	b.tree("a", map[string]string{"f": "1"})
	b.write("dist/d/.airbuild-other", "half a file")
	_, done := b.options() // the other process
	b.run()
	if got := b.read("dist/d/.airbuild-other"); got != "half a file" {
		t.Errorf("the other process's file: %s", got)
	}
	done()
	b.run()
	if got := b.read("dist/d/.airbuild-other"); !strings.HasPrefix(got, "<") {
		t.Errorf("a temporary file that nobody writes stays: %q", got)
	}
}

// What an import leaves beside the source is there after a run that writes to the
// same folder.
func TestCarriedFilesStay(t *testing.T) {
	b := newBench(t)
	b.add(engine.Step{Name: "a", Command: action.Command{Arguments: []string{"x"}, OutputPaths: []string{"out"}, OutputFiles: []string{"out"}}})
	for _, name := range []string{".airbuild-carried.json", ".airbuild-source.json", ".airbuild-history.bundle", ".airbuild-RANDOM"} {
		b.write(name, name)
	}
	b.run()
	for _, name := range []string{".airbuild-carried.json", ".airbuild-source.json", ".airbuild-history.bundle"} {
		if got := b.read(name); got != name {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := b.read(".airbuild-RANDOM"); !strings.HasPrefix(got, "<") {
		t.Errorf("a temporary file stays: %q", got)
	}
}
