package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A benchCase is one table of the report.
type benchCase struct {
	name, title, text string
	share             time.Duration // of the whole time; rounds end when it is used up
	times             int           // rounds for each that was asked for; for what takes milliseconds
	most              int           // rounds at most
	cold              bool          // nothing is warmed before
	contenders        func() ([]contender, error)
	after             func() // undoes what the contenders did to a project
	targets           []goal
	results           []result
	err               error
}

// A goal is one promise of the specification.
type goal struct {
	text string
	// figure tells how near it is, and whether it is kept; ok is false where
	// something it needs was not measured.
	figure func(*benchCase) (text string, kept, ok bool)
}

var sixPlatforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

func (b *bench) projects() (map[string]*project, error) {
	commit, err := exec.Command("git", "-C", b.repo, "rev-parse", "HEAD").Output()
	if err != nil {
		return nil, fmt.Errorf("git rev-parse in %s: %w", b.repo, err)
	}
	version, err := os.ReadFile(filepath.Join(b.goroot, "VERSION"))
	if err != nil {
		return nil, err
	}
	cmdRoot := filepath.Join(b.scratch, "cmd")
	cmdEnv := []string{"PATH=" + filepath.Join(cmdRoot, "bin") + ":" + os.Getenv("PATH")}
	cmdDir := filepath.Join(cmdRoot, "src", "cmd")
	list := []*project{
		{
			name: "cmd", root: cmdRoot, dir: cmdDir, env: cmdEnv, make: makeCmd, stamp: "1 " + string(version),
			title: "the Go distribution's cmd module, cmd/go, nm and objdump × 6 platforms",
			mains: [][2]string{{"go", "./go"}, {"nm", "./nm"}, {"objdump", "./objdump"}}, platforms: sixPlatforms,
			edit: "internal/objfile",
		},
		{
			name: "self", make: makeSelf, stamp: "1 " + string(commit), release: true,
			title: "airbuild itself with vendored dependencies × 6 platforms, archives and checksums",
			mains: [][2]string{{"airbuild", "./cmd/airbuild"}}, platforms: sixPlatforms,
			edit: "engine",
		},
		{
			name: "20k", make: synthetic(20000 / b.shrink), stamp: "1",
			title: "a generated module of 20,000 files, 3 programs × 4 platforms",
			mains: [][2]string{{"a", "./cmd/a"}, {"b", "./cmd/b"}, {"c", "./cmd/c"}}, platforms: sixPlatforms[:4],
			edit: "internal/p000",
		},
		{
			name: "10k", make: synthetic(10000 / b.shrink), stamp: "1",
			title: "a generated module of 10,000 files, 3 programs × 4 platforms",
			mains: [][2]string{{"a", "./cmd/a"}, {"b", "./cmd/b"}, {"c", "./cmd/c"}}, platforms: sixPlatforms[:4],
			edit: "internal/p000",
		},
	}
	projects := map[string]*project{}
	for _, p := range list {
		if b.shrink > 1 {
			p.platforms, p.mains = p.platforms[:1], p.mains[len(p.mains)-1:]
		}
		if p.root == "" {
			p.root = filepath.Join(b.scratch, p.name)
			p.dir = p.root
		}
		projects[p.name] = p
	}
	return projects, nil
}

func (b *bench) cases(p map[string]*project) []benchCase {
	noop := func(name string, share time.Duration, goals ...goal) benchCase {
		return benchCase{
			name: "noop-" + name, title: "No-op release: " + p[name].title, share: share,
			text:       "Nothing changed since the last run.",
			contenders: func() ([]contender, error) { return b.noop(p[name]) },
			targets:    goals,
		}
	}
	goals := []goal{atMost("ninja", 3), atLeast("task", 20), atLeast("goreleaser", 200)}
	return []benchCase{
		noop("cmd", 2*time.Minute, goals...),
		noop("self", 2*time.Minute, goals...),
		noop("20k", 2*time.Minute, goals...),
		{
			name: "growth", title: "Growth of the no-op with the number of files", share: time.Minute, times: 2,
			text:       "The same programs and platforms, from 10,000 and from 20,000 files.",
			contenders: func() ([]contender, error) { return b.growth(p["20k"], p["10k"]) },
			targets:    []goal{growthGoal},
		},
		{
			name: "start", title: "Start: print the version", share: 30 * time.Second, times: 4,
			contenders: b.start,
			targets:    []goal{within("airbuild", 10*time.Millisecond)},
		},
		{
			name: "restore", title: "Restore on a fresh host: " + p["self"].title, share: 90 * time.Second,
			text:       "dist and all that airbuild remembers of the workspace are removed; the store is kept. Every input is new to the host, so it is read and hashed once: that is a physical limit too.",
			contenders: func() ([]contender, error) { return b.restore(p["self"]) },
			targets:    []goal{restoreGoal},
		},
		{
			name: "edit", title: "One-line edit, one program for linux/amd64: airbuild itself", share: 3 * time.Minute,
			text:       "A string in package engine changes, so that the package, all that import it and the binary are made again. Each round and contender makes an edit of its own. airbuild uses the host's GOCACHE here; a compile cache carried to the isolated host has a row when airbuild serves one.",
			contenders: func() ([]contender, error) { return b.edit(p["self"]) },
			after: func() {
				if err := p["self"].writeEdit(0); err != nil {
					b.say("  error: %v", err)
				}
			},
			targets: []goal{atMost("go build, warm", 1.2), atLeast("go build, empty GOCACHE", 5)},
		},
		{
			name: "cold", title: "Cold matrix: nm, objdump and addr2line of the cmd module × 4 platforms", share: 4 * time.Minute, most: 3, cold: true,
			text:       "Caches of compiled packages and the store are empty.",
			contenders: func() ([]contender, error) { return b.cold(p["cmd"], coldMains, 0) },
			targets:    []goal{atMost("go build by hand", 1.05)},
		},
		{
			name: "steps", title: "10,000 trivial cached steps", share: 2 * time.Minute,
			text:       "Each copies one file to another.",
			contenders: b.steps,
			targets:    []goal{within("airbuild", 500*time.Millisecond), memoryGoal(200)},
		},
		{
			name: "memory", title: "Memory: go, compile and link of the cmd module × 4 platforms, cold", share: time.Minute, most: 1, cold: true,
			text:       "The largest programs of the module, from nothing: one round.",
			contenders: func() ([]contender, error) { return b.cold(p["cmd"], memoryMains, 1) },
		},
	}
}

var (
	coldMains   = [][2]string{{"nm", "./nm"}, {"objdump", "./objdump"}, {"addr2line", "./addr2line"}}
	memoryMains = [][2]string{{"go", "./go"}, {"compile", "./compile"}, {"link", "./link"}}
)

// peer gives a contender its reason not to be measured, if there is one.
func (b *bench) peer(c contender) contender {
	program := c.argv[0]
	if filepath.IsAbs(program) {
		return c
	}
	if why, err := os.ReadFile(filepath.Join(b.peers, program+".missing")); err == nil {
		c.why = firstLine(string(why))
	} else if _, err := exec.LookPath(program); err != nil {
		c.why = "not installed"
	}
	return c
}

// in gives contenders a folder, and variables in front of their own.
func (b *bench) in(dir string, env []string, list []contender) []contender {
	for i, c := range list {
		c.dir, c.env = dir, slices.Concat(env, c.env)
		list[i] = b.peer(c)
	}
	return list
}

func (b *bench) noop(p *project) ([]contender, error) {
	if err := b.makeProject(p); err != nil {
		return nil, err
	}
	n := p.steps()
	turbo := []string{"turbo", "run", "--log-order=grouped"}
	if p.release {
		turbo = append(turbo, "sums")
	} else {
		for _, t := range p.targets() {
			turbo = append(turbo, t.id())
		}
	}
	goreleaser := []string{"goreleaser", "build", "--snapshot", "--clean"}
	if p.release {
		goreleaser = []string{"goreleaser", "release", "--snapshot", "--clean"}
	}
	list := []contender{
		{name: "airbuild", argv: []string{b.airbuild(), "run", "release"}, check: allHits(n)},
		{name: "ninja", argv: []string{"ninja"}, check: says("no work to do")},
		{name: "make", argv: []string{"make", "-f", "Makefile.bench"}, check: says("Nothing to be done for")},
		{name: "task", argv: []string{"task", "release"}, check: count("is up to date", n)},
		{name: "turbo", argv: turbo, check: turboHits(n)},
		{name: "go build loop", argv: []string{"sh", "loop.sh"}, check: b.linksNothing(p), max: 5},
		{name: "goreleaser", argv: goreleaser, max: 3, slow: true},
	}
	return b.in(p.dir, p.env, append(list, b.lstats(p)...)), nil
}

func (b *bench) lstats(p *project) []contender {
	inputs := filepath.Join(b.scratch, p.name+".inputs")
	return []contender{
		{name: "limit: lstat, one by one", argv: []string{b.self(), "lstat", inputs}, limit: true, prints: true, dir: p.dir},
		{name: "limit: lstat, in parallel", argv: []string{b.self(), "lstat-parallel", inputs}, limit: true, prints: true, dir: p.dir},
	}
}

func (b *bench) growth(large, small *project) ([]contender, error) {
	var list []contender
	for _, p := range []*project{large, small} {
		if err := b.makeProject(p); err != nil {
			return nil, err
		}
		suffix := ", " + strings.TrimSuffix(p.name, "k") + ",000 files"
		c := contender{name: "airbuild" + suffix, argv: []string{b.airbuild(), "run", "release"}, check: allHits(p.steps()), dir: p.dir, env: p.env}
		l := b.lstats(p)[0]
		l.name += suffix
		list = append(list, c, l)
	}
	return list, nil
}

func (b *bench) start() ([]contender, error) {
	list := []contender{
		{name: "airbuild", argv: []string{b.airbuild(), "version"}, check: says("airbuild")},
		{name: "ninja", argv: []string{"ninja", "--version"}},
		{name: "make", argv: []string{"make", "--version"}},
		{name: "task", argv: []string{"task", "--version"}},
		{name: "turbo", argv: []string{"turbo", "--version"}},
		{name: "go", argv: []string{"go", "version"}},
		{name: "goreleaser", argv: []string{"goreleaser", "--version"}},
		{name: "limit: true", argv: []string{"true"}, limit: true},
	}
	return b.in(b.scratch, nil, list), nil
}

func (b *bench) restore(p *project) ([]contender, error) {
	if err := b.makeProject(p); err != nil {
		return nil, err
	}
	dist := filepath.Join(p.dir, "out-airbuild")
	copied := filepath.Join(b.scratch, "copied")
	store := filepath.Join(b.scratch, "restore-cache")
	env := append(p.env[:len(p.env):len(p.env)], "AIRBUILD_CACHE="+store)
	removed := func(names ...string) func() error {
		return func() error {
			for _, name := range names {
				if err := os.RemoveAll(name); err != nil {
					return err
				}
			}
			return nil
		}
	}
	inputs := filepath.Join(b.scratch, p.name+".inputs")
	list := []contender{
		{name: "airbuild, restore", argv: []string{b.airbuild(), "run", "release"}, env: env, check: allHits(p.steps()),
			before: removed(dist, filepath.Join(store, "workspaces"))},
		// The first run after a restore hashes what was written within the
		// resolution of the file system's clock. It is not the no-op that is
		// meant, and would make the goal easier.
		{name: "airbuild, no-op", argv: []string{b.airbuild(), "run", "release"}, env: env, check: allHits(p.steps()),
			before: func() error { return b.command(p.dir, env, b.airbuild(), "run", "release") }},
		{name: "turbo, restore", argv: []string{"turbo", "run", "--log-order=grouped", "sums"}, env: p.env, check: turboHits(p.steps()),
			before: removed(filepath.Join(p.dir, "out-turbo"))},
		{name: "limit: cp of the outputs", argv: []string{"cp", "-r", dist, copied}, limit: true, before: removed(copied)},
		{name: "limit: hash the inputs", argv: []string{b.self(), "hash", inputs}, limit: true, prints: true},
	}
	return b.in(p.dir, nil, list), nil
}

// edit compares what follows an edit. Whoever comes second must not find what
// the first compiled, so everyone edits anew.
func (b *bench) edit(p *project) ([]contender, error) {
	if err := b.makeProject(p); err != nil {
		return nil, err
	}
	t := p.targets()[0]
	next := func() error {
		b.edits++
		return p.writeEdit(b.edits)
	}
	holds := func(dir string) func(string) error {
		return func(string) error {
			content, err := os.ReadFile(filepath.Join(p.dir, dir, t.id()))
			if err == nil && !strings.Contains(string(content), editMark(b.edits)) {
				err = fmt.Errorf("%s does not hold edit %d", dir, b.edits)
			}
			return err
		}
	}
	empty := filepath.Join(b.scratch, "gocache-empty")
	cell := fmt.Sprintf("bin[%s/%s,%s]", t.os, t.arch, t.main)
	list := []contender{
		{name: "airbuild", argv: []string{b.airbuild(), "run", cell}, before: next, check: holds("out-airbuild")},
		{name: "go build, warm", argv: []string{"sh", "-c", goBuild(t, "out-loop")}, before: next, check: holds("out-loop")},
		{name: "go build, empty GOCACHE", argv: []string{"sh", "-c", goBuild(t, "out-cold")}, env: []string{"GOCACHE=" + empty}, max: 2, slow: true, patience: 5 * time.Minute,
			before: func() error {
				if err := os.RemoveAll(empty); err != nil {
					return err
				}
				return next()
			}, check: holds("out-cold")},
	}
	return b.in(p.dir, p.env, list), nil
}

// cold makes mains for four platforms with all caches empty. byHand limits the
// rounds of the commands by hand; 0 does not.
func (b *bench) cold(p *project, mains [][2]string, byHand int) ([]contender, error) {
	if err := b.makeProject(p); err != nil {
		return nil, err
	}
	part := *p
	part.mains, part.platforms = mains, sixPlatforms[:4]
	if b.shrink > 1 {
		part.mains, part.platforms = mains[:1], sixPlatforms[:1]
	}
	file := filepath.Join(p.dir, "cold-"+mains[len(mains)-1][0]+".airbuild.hcl")
	script := filepath.Join(p.dir, "cold-"+mains[len(mains)-1][0]+".sh")
	if err := writeFile(file, strings.Replace(part.airbuildfile(), "out-airbuild", "out-cold-airbuild", 1)); err != nil {
		return nil, err
	}
	if err := writeFile(script, "set -e\n"+part.loop("out-cold-loop", part.targets())); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.scratch, "cold")
	env := append(p.env[:len(p.env):len(p.env)], "GOCACHE="+filepath.Join(dir, "gocache"), "AIRBUILD_CACHE="+filepath.Join(dir, "cache"))
	empty := func() error {
		for _, name := range []string{dir, filepath.Join(p.dir, "out-cold-airbuild"), filepath.Join(p.dir, "out-cold-loop")} {
			if err := b.command(b.scratch, nil, "rm", "-rf", name); err != nil {
				return err
			}
		}
		return nil
	}
	return []contender{
		{name: "airbuild", argv: []string{b.airbuild(), "run", "-f", file, "release"}, dir: p.dir, env: env, tree: true, before: empty,
			check: ranAll(len(part.targets()))},
		{name: "go build by hand", argv: []string{"sh", script}, dir: p.dir, env: env, tree: true, before: empty, max: byHand},
	}, nil
}

// Checks. A no-op that was none must not be measured as one.

var summary = regexp.MustCompile(`(?m)^ok: (\d+) steps?: (\d+) hits?, (\d+) ran`)

func allHits(n int) func(string) error {
	return func(out string) error { return steps(out, n, n, 0) }
}

func ranAll(n int) func(string) error {
	return func(out string) error { return steps(out, n, 0, n) }
}

func steps(out string, total, hits, ran int) error {
	m := summary.FindStringSubmatch(out)
	if m == nil {
		return fmt.Errorf("airbuild wrote no summary")
	}
	for i, want := range []int{total, hits, ran} {
		if got, err := strconv.Atoi(m[i+1]); err != nil || got != want {
			return fmt.Errorf("airbuild: %s; wanted %d steps, %d hits, %d ran", m[0], total, hits, ran)
		}
	}
	return nil
}

func says(text string) func(string) error {
	return func(out string) error {
		if !strings.Contains(out, text) {
			return fmt.Errorf("it did something: no %q in what it wrote", text)
		}
		return nil
	}
}

func count(text string, n int) func(string) error {
	return func(out string) error {
		if got := strings.Count(out, text); got != n {
			return fmt.Errorf("it did something: %d times %q, not %d", got, text, n)
		}
		return nil
	}
}

var cached = regexp.MustCompile(`Cached:\s+(\d+) cached, (\d+) total`)

func turboHits(n int) func(string) error {
	return func(out string) error {
		m := cached.FindStringSubmatch(out)
		if m == nil || m[1] != m[2] || m[1] != strconv.Itoa(n) {
			return fmt.Errorf("turbo did something, or not all of %d tasks: %q", n, m)
		}
		return nil
	}
}

// linksNothing asks the go command what it would do for the last target: with
// warm caches and its output in place, no link. Outside the measured time.
func (b *bench) linksNothing(p *project) func(string) error {
	list := p.targets()
	t := list[len(list)-1]
	return func(string) error {
		cmd := exec.Command("sh", "-c", strings.Replace(goBuild(t, "out-loop"), "go build", "go build -x", 1))
		cmd.Dir, cmd.Env = p.dir, b.environ(p.env)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("go build -x: %w", err)
		}
		if strings.Contains(string(out), "/link -o") || strings.Contains(string(out), "/compile -o") {
			return fmt.Errorf("go build compiles or links in its no-op")
		}
		return nil
	}
}
