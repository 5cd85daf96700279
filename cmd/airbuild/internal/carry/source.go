package carry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/paths"
)

// linksFile lists the symbolic links of a source component, which holds files
// only: a JSON object from path to target, both slash-separated.
const linksFile = ".airbuild-links.json"

// historyFile is the git bundle with the history, if it is carried.
const historyFile = ".airbuild-history.bundle"

// A SourceSpec says what of a project is its source.
type SourceSpec struct {
	Root    string // absolute
	Dist    string // relative to Root; never source
	Cache   string // absolute; never source, though it may lie in Root
	Exclude []string
	History bool
	// Identity reads what the source is. Nil: SourceInfo.
	Identity func(context.Context) (*source.Info, error)
}

func (spec SourceSpec) identity(ctx context.Context) (*source.Info, error) {
	if spec.Identity != nil {
		return spec.Identity(ctx)
	}
	return SourceInfo(ctx, spec.Root)
}

// A SourceTree is what SourceFiles found.
type SourceTree struct {
	Component create.Component
	Info      *source.Info
	// Untracked are files that git does not know and that stay behind, at most
	// a few, for the message.
	Untracked []string
	clean     func()
}

// Close removes what was made for the component.
func (t *SourceTree) Close() {
	if t.clean != nil {
		t.clean()
	}
}

// SourceFiles is the component of the source: the files that git tracks, as
// they are in the working tree, or all files where there is no git. A
// source.json takes the place of git.
func SourceFiles(ctx context.Context, spec SourceSpec) (*SourceTree, error) {
	spec, err := spec.resolve()
	if err != nil {
		return nil, err
	}
	info, err := spec.identity(ctx)
	if err != nil {
		return nil, err
	}
	t := &SourceTree{Info: info}
	names, git, err := tracked(ctx, spec.Root)
	if err != nil {
		return nil, err
	}
	if git {
		if t.Untracked, err = untracked(ctx, spec.Root); err != nil {
			return nil, err
		}
		t.Untracked = slices.DeleteFunc(t.Untracked, spec.excluded)
	} else if names, err = everything(spec); err != nil {
		return nil, err
	}
	files, links, err := spec.inputs(names)
	if err != nil {
		return nil, err
	}
	identity, err := identityFiles(ctx, info, files, links)
	if err != nil {
		return nil, err
	}
	files = append(files, identity...)
	if len(links) > 0 {
		b, err := json.Marshal(links) // keys sorted
		if err != nil {
			return nil, fmt.Errorf("list links: %w", err)
		}
		files = append(files, textInput(linksFile, b))
	}
	if spec.History {
		if !git {
			return nil, errors.New("carry the history: the project is not a git repository of its own")
		}
		file, err := t.history(ctx, spec.Root)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	meta := map[string]string{"time": info.Time.UTC().Format("2006-01-02T15:04:05Z")}
	for name, v := range map[string]string{"commit": info.Commit, "describe": info.Describe, "branch": info.Branch, "tag": info.Tag} {
		if v != "" {
			meta[name] = v
		}
	}
	if info.Dirty {
		meta["dirty"] = "true"
	}
	t.Component = create.Component{Name: Source, Metadata: meta, Files: sorted(files)}
	return t, nil
}

// identityFiles are what takes the place of git: source.json and the manifest
// that it names. The files get their digests for it.
func identityFiles(ctx context.Context, info *source.Info, files []create.Input, links map[string]string) ([]create.Input, error) {
	work := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(runtime.GOMAXPROCS(0))
	for i := range files {
		work.Go(func(ctx context.Context) error { return digestInput(ctx, &files[i]) })
	}
	if err := work.Wait(); err != nil {
		return nil, fmt.Errorf("carry source: %w", err)
	}
	m := source.Manifest{Files: map[string]string{}, Links: links}
	for _, f := range files {
		m.Files[f.Path] = f.Digest.Hex()
		if f.Executable {
			m.Executable = append(m.Executable, f.Path)
		}
	}
	slices.Sort(m.Executable)
	list, digest, err := m.Encode()
	if err != nil {
		return nil, err
	}
	info.Files = digest
	var text bytes.Buffer
	if err := source.WriteJSON(&text, info); err != nil {
		return nil, err
	}
	return []create.Input{textInput(source.FileName, text.Bytes()), textInput(source.ManifestName, list)}, nil
}

func digestInput(ctx context.Context, f *create.Input) error {
	r, err := f.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if f.Digest, err = action.OfReader(r); err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	return nil
}

// SourceInfo is the identity of the source at root that no plan asks more of.
func SourceInfo(ctx context.Context, root string) (*source.Info, error) {
	return source.Read(ctx, root, []string{"commit", "short", "branch", "tag", "describe", "dirty", "time"}, source.Options{})
}

// resolve checks the patterns, and takes symbolic links out of the directories:
// the root may be one, and nothing below a link would be found.
func (spec SourceSpec) resolve() (SourceSpec, error) {
	for _, p := range spec.Exclude {
		if err := pattern.Check(p); err != nil {
			return spec, fmt.Errorf("carry source: exclude: pattern %q: %w", p, err)
		}
	}
	root, err := filepath.EvalSymlinks(spec.Root)
	if err != nil {
		return spec, fmt.Errorf("carry source: %w", err)
	}
	spec.Root = root
	if cache, err := filepath.EvalSymlinks(spec.Cache); err == nil {
		spec.Cache = cache
	}
	return spec, nil
}

// inputs sorts names into files and links.
func (spec SourceSpec) inputs(names []string) ([]create.Input, map[string]string, error) {
	var files []create.Input
	links := map[string]string{}
	for _, name := range names {
		if spec.excluded(name) {
			continue
		}
		if err := bundle.CheckPath(name); err != nil {
			return nil, nil, fmt.Errorf("carry source: %w.\nRename the file, or exclude it with --exclude", err)
		}
		abs := filepath.Join(spec.Root, filepath.FromSlash(name))
		fi, err := os.Lstat(abs)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // tracked and deleted: the tree is dirty, and says so
		case err != nil:
			return nil, nil, fmt.Errorf("carry source: %w", err)
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(abs)
			if err != nil {
				return nil, nil, fmt.Errorf("carry source: %w", err)
			}
			target = filepath.ToSlash(target)
			if err := checkLink(name, target); err != nil {
				return nil, nil, fmt.Errorf("carry source: %w.\nMake it relative, or exclude it with --exclude", err)
			}
			links[name] = target
		case fi.Mode().IsRegular():
			files = append(files, create.FileInput(name, abs, fi.Mode()&0o111 != 0))
		case fi.IsDir(): // a submodule that is not there
		default:
			return nil, nil, fmt.Errorf("carry source: %s is neither a file nor a link; exclude it with --exclude", name)
		}
	}
	return files, links, nil
}

func (spec SourceSpec) excluded(name string) bool {
	if name == source.FileName || within(name, spec.Dist) || within(name, ".git") {
		return true
	}
	// Airbuild's own: temporary files, and what an import left beside source.
	if strings.HasPrefix(path.Base(name), atomicfile.TempPrefix) {
		return true
	}
	if rel, err := filepath.Rel(spec.Root, spec.Cache); err == nil && within(name, filepath.ToSlash(rel)) {
		return true
	}
	return slices.ContainsFunc(spec.Exclude, func(p string) bool {
		return pattern.Match(p, name) || within(name, p)
	})
}

// within reports whether a slash-separated path is dir or below it.
func within(name, dir string) bool {
	return dir != "" && dir != "." && (name == dir || strings.HasPrefix(name, dir+"/"))
}

// checkLink refuses links that lead out of the tree. A ".." behind a name is
// refused too: the name may be a link, and where ".." leads then, no look at the
// text can tell.
func checkLink(name, target string) error {
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\\\x00") || filepath.VolumeName(target) != "" {
		return fmt.Errorf("%s is a link to %q, which is not relative: it would lead elsewhere on the other side", name, target)
	}
	down := false
	for elem := range strings.SplitSeq(target, "/") {
		if elem == ".." && down {
			return fmt.Errorf("%s is a link to %q, which goes down and up again", name, target)
		}
		down = down || elem != ".." && elem != "." && elem != ""
	}
	to := path.Join(path.Dir(name), target)
	if to == ".." || strings.HasPrefix(to, "../") || within(to, ".git") {
		return fmt.Errorf("%s is a link to %q, which leads out of the project", name, target)
	}
	return nil
}

// tracked lists what git tracks below root, submodules included. It is not ok
// where there is no git, or nothing here that it knows: a tree with a source.json
// and no .git of its own may lie in a repository of somebody else's.
func tracked(ctx context.Context, root string) (names []string, ok bool, err error) {
	if !exists(filepath.Join(root, ".git")) {
		if exists(filepath.Join(root, source.FileName)) {
			return nil, false, nil
		}
		if _, err := git(ctx, root, "rev-parse", "--is-inside-work-tree"); err != nil {
			return nil, false, ctx.Err()
		}
	}
	out, err := git(ctx, root, "ls-files", "-z", "--cached", "--recurse-submodules")
	if err != nil {
		return nil, false, fmt.Errorf("list source: %w", err)
	}
	names = splitNul(out)
	return names, len(names) > 0, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// untracked lists files that git neither tracks nor ignores.
func untracked(ctx context.Context, root string) ([]string, error) {
	out, err := git(ctx, root, "ls-files", "-z", "--others", "--exclude-standard")
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	return splitNul(out), nil
}

func splitNul(b []byte) []string {
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == 0 })
}

// everything lists all files below the root of a project without git.
func everything(spec SourceSpec) ([]string, error) {
	var names []string
	err := paths.Walk(spec.Root, func(_, name string, e fs.DirEntry) error {
		switch {
		case name == ".":
		case spec.excluded(name) && e.IsDir():
			return fs.SkipDir
		case !e.IsDir():
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	return names, nil
}

// history writes a git bundle of all refs.
func (t *SourceTree) history(ctx context.Context, root string) (create.Input, error) {
	dir, err := os.MkdirTemp("", "airbuild-history-")
	if err != nil {
		return create.Input{}, fmt.Errorf("carry the history: %w", err)
	}
	t.clean = func() { os.RemoveAll(dir) }
	file := filepath.Join(dir, "history.bundle")
	// One thread: with more of them the same history gives other bytes.
	if _, err := git(ctx, root, "-c", "pack.threads=1", "bundle", "create", "--quiet", file, "--all", "HEAD"); err != nil {
		return create.Input{}, fmt.Errorf("carry the history: %w", err)
	}
	return create.FileInput(historyFile, file, false), nil
}

// git runs git and returns what it prints; its error is what git said.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd, err := source.Command(ctx, dir, args...)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		return nil, fmt.Errorf("git %s: %s", args[0], text)
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, nil
}
