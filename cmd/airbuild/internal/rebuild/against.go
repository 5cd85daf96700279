package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// A expectedFile is a file of --against.
type expectedFile struct {
	digest     action.Digest
	executable bool
	mode       bool // whether it can be run is known
	used       bool
	read       func(context.Context) ([]byte, error)
}

// artifacts is the component of a bundle that holds outputs.
const artifacts = "artifacts"

// openAgainst reads what --against names: a bundle, or a directory of files.
func (v *Rebuild) openAgainst(ctx context.Context) error {
	if v.o.Against == "" {
		return nil
	}
	info, err := os.Stat(v.o.Against)
	if err != nil {
		return exit.UsageError("--against: %w", err)
	}
	v.expected = map[string]expectedFile{}
	if !info.IsDir() || project.Exists(filepath.Join(v.o.Against, "oci-layout")) || looksLikeMedia(v.o.Against) {
		return v.openBundleFiles(ctx)
	}
	return filepath.WalkDir(v.o.Against, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		return v.addExpected(name)
	})
}

// looksLikeMedia reports whether a directory holds bundles.
func looksLikeMedia(dir string) bool {
	for _, pattern := range []string{"*/oci-layout", "*-[0-9]*-of-[0-9]*.tar"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

func (v *Rebuild) addExpected(name string) error {
	rel, err := filepath.Rel(v.o.Against, name)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read what was carried: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	d, err := action.OfReader(f)
	if err != nil {
		return fmt.Errorf("read what was carried: %w", err)
	}
	c := expectedFile{digest: d, executable: info.Mode()&0o111 != 0,
		read: func(context.Context) ([]byte, error) { return os.ReadFile(name) }}
	v.expected[filepath.ToSlash(rel)] = c
	return nil
}

func (v *Rebuild) openBundleFiles(ctx context.Context) error {
	b, err := v.o.OpenBundle(ctx, v.o.Against)
	if err != nil {
		return err
	}
	if b.Root().Component(artifacts) == nil {
		return errors.Join(exit.UsageError("--against %s: the bundle carries no artifacts to compare with", v.o.Against), b.Close())
	}
	for f := range b.Files(artifacts) {
		v.expected[f.Path] = expectedFile{digest: f.Digest, executable: f.Executable, mode: true, read: func(ctx context.Context) ([]byte, error) {
			r, err := b.OpenFile(ctx, f)
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return io.ReadAll(r)
		}}
	}
	v.bundle, v.against = b, "bundle "+b.Digest()
	return nil
}

// compareExpected holds a step's outputs against the files that were carried. An
// output that was not carried is not compared.
func (v *Rebuild) compareExpected(ctx context.Context, step *engine.Step, is map[string]outputFile, follows string) (StepReport, error) {
	out := StepReport{Status: Absent, Reason: "none of its outputs was carried"}
	for _, p := range slices.Sorted(maps.Keys(is)) {
		name, c, ok := v.findExpected(p, is[p])
		if !ok {
			continue
		}
		c.used = true
		v.expected[name] = c
		file := outputFile{digest: c.digest, executable: c.executable, link: is[p].link}
		if !c.mode {
			file.executable = is[p].executable // media without modes are common
		}
		o, err := v.compareOutput(ctx, step, p, original{file, true, c.read}, is)
		if err != nil {
			return out, err
		}
		out.Outputs = append(out.Outputs, o)
		if out.Status == Absent {
			out.Status, out.Reason = Same, ""
		}
		if !o.Same {
			out.Status, out.Reason = Differs, "its files are not those that were carried"
			if follows != "" {
				out.Status, out.Reason = Follows, "it was given what "+follows+" made"
			}
		}
	}
	return out, nil
}

// passOver marks what was carried of a step that is left out: it is not compared,
// but neither is it unknown.
func (v *Rebuild) passOver(ctx context.Context, id engine.StepID) error {
	key, ok := v.Keys[id]
	if v.expected == nil || !ok {
		return nil
	}
	was, err := outputsOf(ctx, v.Store, key)
	if err != nil {
		return err
	}
	for p, f := range was {
		if name, c, ok := v.findExpected(p, f); ok {
			c.used = true
			v.expected[name] = c
		}
	}
	return nil
}

// findExpected finds the file that an output was carried as: by its path in the
// project, or below the output directory.
func (v *Rebuild) findExpected(p string, is outputFile) (string, expectedFile, bool) {
	if is.link != "" {
		return "", expectedFile{}, false
	}
	for _, name := range []string{p, strings.TrimPrefix(p, v.Plan.Dist+"/"), path.Join(path.Base(v.Plan.Dist), strings.TrimPrefix(p, v.Plan.Dist+"/"))} {
		if c, ok := v.expected[name]; ok {
			return name, c, true
		}
	}
	return "", expectedFile{}, false
}
