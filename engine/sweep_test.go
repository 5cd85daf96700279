package engine_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// A directory that was moved out of the project and linked to is not tidied
// there, even if all that the step made is in it.
func TestNothingIsRemovedOutsideTheProject(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "release"
	b.dirStep("a", "dist/site/d")
	b.tree("a", map[string]string{"f": "1"})
	b.run()
	outside := filepath.Join(t.TempDir(), "site")
	if err := errors.Join(os.Rename(filepath.Join(b.root, "dist/site"), outside), os.Symlink(outside, filepath.Join(b.root, "dist/site")),
		os.WriteFile(filepath.Join(outside, "d", "mine"), []byte("mine"), 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{"", "two"} {
		if change != "" {
			b.graph = engine.Graph{}
			b.step("other")
		}
		b.run()
		for _, name := range []string{"f", "mine"} {
			if _, err := os.Stat(filepath.Join(outside, "d", name)); err != nil {
				t.Errorf("a file outside the project was removed: %v", err)
			}
		}
	}
}

// What a pipeline no longer makes goes, also if a single target made it too.
func TestStaleOutputOfSingleTargetGoes(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "release"
	old := b.step("old")
	b.run()
	b.opts.Pipeline = ""
	b.run(old)
	b.graph = engine.Graph{}
	b.step("new")
	b.opts.Pipeline = "release"
	b.run()
	if got := b.read("dist/old"); !strings.HasPrefix(got, "<") {
		t.Errorf("dist/old is still there: %q", got)
	}
}

// A stale output directory goes with the empty directories in it.
func TestStaleEmptyDirectoryGoes(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "release"
	b.step("a")
	b.write("dist/mine/x", "the user's")
	b.dirStep("old", "dist/old")
	b.exec.do["old"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		tr, err := tree.Build(nil, nil, []string{"sub/empty"})
		if err != nil {
			return nil, err
		}
		msg, err := tr.Message()
		if err != nil {
			return nil, err
		}
		d, err := b.store.Put(ctx, bytes.NewReader(msg.Marshal()))
		return &action.Result{OutputDirectories: []action.OutputDirectory{{Path: "dist/old", Tree: d, Root: tr.Root}}}, err
	}
	b.run()
	if _, err := os.Stat(filepath.Join(b.root, "dist/old/sub/empty")); err != nil {
		t.Fatal(err)
	}
	b.graph = engine.Graph{}
	b.step("a")
	b.run()
	if list, _ := os.ReadDir(filepath.Join(b.root, "dist")); len(list) != 2 {
		t.Errorf("dist holds %v", list)
	}
}
