package local

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/tree"
)

// fixedProject is where Sealed and FixedPath steps find the project. What programs write
// down of paths (compilers into objects, tests into logs) is then the same on
// every host, so that results which depend on it can be used everywhere.
const fixedProject = sandbox.Own + "/project"

// fixedPrefix is what the names of the project's files begin with in there.
var fixedPrefix = []byte(fixedProject + "/")

// canSeal reports whether Sealed steps run apart from the project, and FixedPath
// steps at its fixed path. A Tracer names files by where they are in the project
// itself.
func (e *Executor) canSeal(ctx context.Context) bool {
	return e.Tracer == nil && e.Sandbox.FixedPaths(ctx)
}

// showFixed adds to s what a Sealed or FixedPath step sees at fixed paths.
func (j *job) showFixed(s *sandbox.Spec) {
	s.Dir = filepath.Join(j.dir, "box")
	project := j.e.Workspace.Root()
	if j.sealed {
		project = j.out
	}
	s.Places = []sandbox.Place{{Dir: project, At: fixedProject}}
	for _, v := range dedupe(append(j.extra, j.commandEnv()...)) {
		name, dir, _ := strings.Cut(v, "=")
		at, ok := j.e.Fixed[name]
		if !ok || at == "" || !filepath.IsAbs(dir) || os.MkdirAll(dir, 0o777) != nil {
			continue
		}
		if j.seen == nil {
			j.seen = map[string]string{}
		}
		j.seen[dir] = path.Join(sandbox.Own, at)
		s.Places = append(s.Places, sandbox.Place{Dir: dir, At: j.seen[dir]})
	}
}

// fixed gives the variables of Executor.Fixed the values that hold in a
// placed step.
func (j *job) fixed(env []string) []string {
	for i, v := range env {
		name, dir, _ := strings.Cut(v, "=")
		if at := j.seen[dir]; at != "" && j.e.Fixed[name] != "" {
			env[i] = name + "=" + at
		}
	}
	return env
}

// stageSealed lays the inputs of a Sealed step out in scratch as they are in
// the project, links included: the tree may name what is behind a link by the
// path through it.
func (j *job) stageSealed(ctx context.Context) error {
	t := *j.p.Inputs
	links := map[string]string{}
	for _, l := range t.Links {
		links[l.Path] = l.Target
	}
	dirs := map[string]string{}
	real := func(p string) string {
		dir := path.Dir(p)
		at, ok := dirs[dir]
		if !ok {
			y := j.e.Workspace.Way(dir)
			at = y.End
			if y.Nowhere {
				at = dir // another step's output that is not restored
			}
			for _, l := range y.Links {
				links[l.Path] = l.Target
			}
			dirs[dir] = at
		}
		return path.Join(at, path.Base(p))
	}
	files := map[string]bool{}
	t.Files = nil
	for _, f := range j.p.Inputs.Files {
		if f.Source.Inline != nil {
			continue // a text for the key: in the project there is none either
		}
		if f.Path = real(f.Path); !files[f.Path] {
			files[f.Path] = true
			t.Files = append(t.Files, f)
		}
	}
	t.Links = nil
	for p, target := range links {
		t.Links = append(t.Links, tree.Link{Path: p, Target: target})
	}
	var mu sync.Mutex
	return j.lay(ctx, &t, func(ctx context.Context, dst string, f tree.File) error {
		err := j.stageFile(ctx, dst, f)
		var changed *tree.ChangedError
		if !errors.As(err, &changed) || f.Source.Path == "" {
			return err
		}
		// As in the project itself, the step goes on with what is there now.
		mu.Lock()
		defer mu.Unlock()
		j.p.Altered = f.Path
		if err := os.Remove(dst); err != nil {
			return err
		}
		return copyFile(dst, f.Source.Path, 0o644)
	})
}
