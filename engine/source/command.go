package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A repository's own configuration may name programs: filters of contents, a
// file system monitor, hooks, transports. git starts them for commands that
// only look, and whoever made the repository chose them. So every git of
// airbuild's is started in such a way that none of them runs:
//
//   - settings of a fixed name are overridden on the command line (harmless);
//   - transports, which a promised object that is missing would start, are
//     refused by the environment (environ);
//   - drivers of filters have names of the repository's choice. They are found
//     by asking git for its configuration, and each gets the value that the
//     user's or the system's configuration gives it, or none (guard).
//
// What the user's and the system's configuration names runs: git-lfs, as
// "git lfs install" sets it up, is the user's own.

// harmless override settings of a repository that name programs, and keep a
// bare repository that is committed as a folder from being taken for the one
// at hand.
var harmless = [...]string{
	"-c", "core.fsmonitor=false",
	"-c", "core.hooksPath=" + os.DevNull,
	"-c", "log.showSignature=false",
	"-c", "safe.bareRepository=explicit",
	"--no-pager",
}

// Command returns git, to be run in dir, so that it starts no program that the
// repository's own configuration names, reaches no network and takes no locks
// that it can do without.
func Command(ctx context.Context, dir string, argv ...string) (*exec.Cmd, error) {
	g := git{dir: dir}
	if err := g.guard(ctx); err != nil {
		return nil, fmt.Errorf("git %s: %w", argv[0], err)
	}
	return g.command(ctx, argv...), nil
}

// command is git, to be run in the directory. Before a command that looks at
// contents of the work tree, guard must have been called.
func (g *git) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", slices.Concat(harmless[:], g.overrides, argv)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, environ(os.Environ()), time.Second
	return cmd
}

// run runs git and returns what it printed, without the line's end.
func (g *git) run(ctx context.Context, argv ...string) (string, error) {
	return g.ask(ctx, "", argv...)
}

// ask is run with an input.
func (g *git) ask(ctx context.Context, input string, argv ...string) (string, error) {
	cmd := g.command(ctx, argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return strings.TrimSuffix(stdout.String(), "\n"), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("there is a git repository here, and no git program on PATH: install git")
	}
	return "", explain(g.dir, argv[0], stderr.String(), err)
}

// explain puts git's message on one line and says what to do where that is
// known.
func explain(dir, command, stderr string, err error) error {
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	switch {
	case strings.Contains(stderr, "dubious ownership"):
		return &OwnerError{ownedDir(stderr, dir)}
	case strings.Contains(stderr, "bad revision 'HEAD'"), strings.Contains(stderr, "Not a valid object name HEAD"):
		return fmt.Errorf("the repository at %s has no commit yet: make the first one", dir)
	case strings.Contains(stderr, "unknown option `show-scope'"):
		return errors.New("this git cannot say which settings are the repository's own: install git 2.26 or newer")
	case line != "":
		return fmt.Errorf("git %s: %s: %w", command, line, err)
	}
	return fmt.Errorf("git %s: %w", command, err)
}

// An OwnerError says that git refuses a repository that belongs to another user.
type OwnerError struct{ Dir string }

func (e *OwnerError) Error() string {
	return "the repository belongs to another user; if you trust it: " + e.Fix()
}

// Fix is the command by which a user trusts it.
func (e *OwnerError) Fix() string { return "git config --global --add safe.directory " + e.Dir }

// ownedDir is the directory that git's advice names, or the given one.
func ownedDir(stderr, dir string) string {
	if _, rest, ok := strings.Cut(stderr, "--add safe.directory "); ok {
		named, _, _ := strings.Cut(rest, "\n")
		return strings.TrimSpace(named)
	}
	return dir
}

// places are variables that point git at another repository. A hook of git
// that runs airbuild sets some of them.
var places = [...]string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE",
	"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
}

// environ is the environment for git: English, no locks, no network, no
// replaced commits, no repository but the one at hand. A list of protocols
// without a name in it goes before what a repository allows itself.
func environ(env []string) []string {
	out := []string{
		"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=:",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_TERMINAL_PROMPT=0",
	}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		fixed := slices.ContainsFunc(out, func(o string) bool { return strings.HasPrefix(o, name+"=") })
		if !fixed && !slices.Contains(places[:], name) {
			out = append(out, v)
		}
	}
	return out
}

// guard finds the filters that the repository's own configuration defines, and
// that of each submodule in its work tree, which git enters too. From then on
// command overrides them.
func (g *git) guard(ctx context.Context) error {
	dir, err := filepath.EvalSymlinks(g.dir)
	if err != nil {
		return err
	}
	all := filters{}
	if err := all.find(ctx, dir, map[string]bool{}); err != nil {
		return err
	}
	g.overrides, g.shut = all.overrides()
	return nil
}

// filters are the filters that a repository defines, by name.
type filters map[string]*filter

// A filter is what the user's and the system's configuration says of one.
type filter struct {
	values [len(filterKeys)]string
	own    [len(filterKeys)]bool // the repository gives a value too
}

const (
	clean = iota
	smudge
	process
	required
)

// filterKeys are the settings of a filter, with the value of one that does
// nothing.
var filterKeys = [...]struct{ name, none string }{clean: {"clean", ""}, smudge: {"smudge", ""}, process: {"process", ""}, required: {"required", "false"}}

func (f filters) find(ctx context.Context, dir string, seen map[string]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	g := git{dir: dir}
	if err := f.configured(ctx, &g); err != nil {
		return err
	}
	out, err := g.run(ctx, "ls-files", "-z", "--stage", "--", ":/")
	if err != nil {
		return err
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		mode, name, ok := strings.Cut(entry, "\t")
		if !ok || !strings.HasPrefix(mode, "160000 ") {
			continue
		}
		if sub := filepath.Join(dir, filepath.FromSlash(name)); exists(filepath.Join(sub, ".git")) {
			if err := f.find(ctx, sub, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// configured reads one repository's configuration.
func (f filters) configured(ctx context.Context, g *git) error {
	out, err := g.run(ctx, "config", "--list", "--show-scope", "-z")
	if err != nil {
		return err
	}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		key, value, valued := strings.Cut(fields[i+1], "\n")
		name, ok := strings.CutPrefix(key, "filter.")
		last := strings.LastIndexByte(name, '.')
		if !ok || last < 0 {
			continue
		}
		at := slices.IndexFunc(filterKeys[:], func(k struct{ name, none string }) bool { return k.name == name[last+1:] })
		if at < 0 {
			continue
		}
		if name = name[:last]; strings.ContainsRune(name, '=') {
			return fmt.Errorf("the configuration has a filter with the name %q; rename it without the =", name)
		}
		if f[name] == nil {
			f[name] = &filter{}
			for i, k := range filterKeys {
				f[name].values[i] = k.none
			}
		}
		switch scope := fields[i]; scope {
		case "system", "global", "command":
			if !valued {
				value = "true"
			}
			f[name].values[at] = value
		default: // local, worktree, and what later versions may call the repository's own
			f[name].own[at] = true
		}
	}
	return nil
}

// overrides are arguments that undo what the repository says of filters, and
// the names of those that do nothing then. No argument takes a setting back:
// where the repository alone has a process, it is overridden by an empty one,
// with which git starts neither clean nor smudge.
func (f filters) overrides() (argv []string, shut map[string]bool) {
	shut = map[string]bool{}
	for name, f := range f {
		if !slices.Contains(f.own[:], true) {
			continue
		}
		nothing := f.values[process] == "" && (f.own[process] || f.values[clean] == "")
		shut[name] = nothing
		for i, k := range filterKeys {
			switch {
			case nothing:
				argv = append(argv, "-c", "filter."+name+"."+k.name+"="+k.none)
			case f.own[i]:
				argv = append(argv, "-c", "filter."+name+"."+k.name+"="+f.values[i])
			}
		}
	}
	return argv, shut
}
