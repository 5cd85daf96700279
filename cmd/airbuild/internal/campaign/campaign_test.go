package campaign

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	rounds     = flag.Int("campaign.rounds", 0, "number of rounds; 0 means 40, or 5 with -short, or no limit with -campaign.minutes")
	minutes    = flag.Float64("campaign.minutes", 0, "start no round after this many minutes; 0 means no limit")
	seed       = flag.Uint64("campaign.seed", 1, "seed of the random projects and edits")
	first      = flag.Int("campaign.project", 0, "number of the first project")
	goShare    = flag.Int("campaign.go", 25, "share of projects with Go, in percent")
	cShare     = flag.Int("campaign.c", 15, "share of the projects with Go that have C or assembly, in percent")
	emptyEvery = flag.Int("campaign.empty", 0, "a really empty GOCACHE for every Nth clean build with Go; 0 means never")
	keep       = flag.Bool("campaign.keep", false, "keep the directories of a project that fails")
	binary     = flag.String("campaign.airbuild", "", "the program to test; built if empty")
	baseDir    = flag.String("campaign.base", "", "a directory that keeps the standard library's compiled packages from one campaign to the next")
)

// projectRounds is how many rounds a project lives.
const projectRounds = 10

// A bench is what all projects share.
type bench struct {
	airbuild string
	base     string // a GOCACHE with the standard library, or "" until it is needed
	goBuilds int

	begin  time.Time
	counts map[string]int
	spent  map[string]time.Duration
}

func TestCampaign(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the projects' tools and the assembly are for Linux")
	}
	limit := *rounds
	switch {
	case limit > 0:
	case *minutes > 0:
		limit = 1 << 30
	case testing.Short():
		limit = 5
	default:
		limit = 40
	}
	b := &bench{airbuild: program(t), begin: time.Now(), counts: map[string]int{}, spent: map[string]time.Duration{}}
	for i := *first; limit > 0 && !b.late(); i++ {
		n := min(limit, projectRounds)
		limit -= n
		t.Run(fmt.Sprint("project", i), func(t *testing.T) { newProject(t, b, i).run(n) })
	}
	t.Logf("%d rounds in %v: %v; in runs: %v", b.counts["rounds"], time.Since(b.begin).Round(time.Second), b.counts, b.spent)
}

// program is the program to test.
func program(t *testing.T) string {
	if *binary != "" {
		return *binary
	}
	built.Do(func() {
		dir, err := os.MkdirTemp("", "campaign-program-")
		if err != nil {
			t.Fatal(err)
		}
		builtAt = filepath.Join(dir, "airbuild")
		command(t, "", nil, "go", "build", "-o", builtAt, "github.com/airbuild/airbuild/cmd/airbuild")
	})
	return builtAt
}

var (
	built   sync.Once
	builtAt string
)

// TestMain removes what all tests share.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if builtAt != "" {
		os.RemoveAll(filepath.Dir(builtAt))
	}
	if builtBase != "" {
		os.RemoveAll(builtBase)
	}
	os.Exit(code)
}

// builtBase is the base of GOCACHEs that goes with the process.
var builtBase string

func (b *bench) late() bool {
	return *minutes > 0 && time.Since(b.begin).Minutes() > *minutes
}

// command runs a program that must succeed.
func command(t *testing.T, dir string, env []string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// baseModule has packages that import what projects import. No project has its
// path or one of its files.
var baseModule = map[string]file{
	"go.mod":          {text: "module base.invalid/std\n\ngo 1.26\n"},
	"cmd/main.go":     {text: "package main\n\nimport (\n\t_ \"embed\"\n\t_ \"os\"\n\t_ \"strings\"\n)\n\nfunc main() {}\n"},
	"c/main.go":       {text: "package main\n\nimport (\n\t_ \"embed\"\n\t_ \"os\"\n)\n\nimport \"C\"\n\nfunc main() {}\n"},
	"test/base.go":    {text: "package base\n\nimport _ \"embed\"\n"},
	"test/b_test.go":  {text: "package base\n\nimport (\n\t\"os\"\n\t\"strings\"\n\t\"testing\"\n)\n\nfunc TestBase(t *testing.T) { _, _ = os.Args, strings.ToLower }\n"},
	"test/b_other.go": {text: "package base\n\nimport _ \"os\"\n"},
}

// stdCache makes a GOCACHE that holds the standard library's packages only, as
// compiled for another module. To a project it is as good as an empty one, because
// the go command looks up a package of the project by an id that is made of its
// import path and files: nothing in the base has one, which is checked here. What
// it saves is half a minute a round. -campaign.empty uses really empty ones.
func (b *bench) stdCache(t *testing.T) string {
	if b.base != "" {
		return b.base
	}
	dir := *baseDir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "campaign-base-"); err != nil {
			t.Fatal(err)
		}
		builtBase = dir
	}
	b.base = dir
	src := &tree{t.TempDir(), map[string]file{}}
	if err := src.sync(baseModule, false); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"0 build -trimpath -o /dev/null ./cmd", "0 build -trimpath ./test", "0 test -count=1 ./test", "0 vet -trimpath ./test ./cmd",
		"1 build -trimpath -o /dev/null ./c",
	} {
		f := strings.Fields(line)
		if f[0] == "1" && *cShare == 0 {
			continue
		}
		command(t, src.dir, append(os.Environ(), "GOCACHE="+dir, "CGO_ENABLED="+f[0], "GOFLAGS=", "GOTOOLCHAIN=local", "GOWORK=off"), append([]string{"go"}, f[1:]...)...)
	}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if bytes.Contains(text, []byte(module)) {
			t.Fatalf("%s holds something of a project", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// freshCache makes the GOCACHE of a clean build, or the one that a user starts with. Objects, which are never changed in
// place, are linked; entries are copied.
func (b *bench) freshCache(t *testing.T, dir string, clean bool) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if b.goBuilds++; clean && *emptyEvery > 0 && b.goBuilds%*emptyEvery == 0 {
		b.counts["empty GOCACHE"]++
		return
	}
	base := b.stdCache(t)
	err := filepath.WalkDir(base, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(name, base))
		switch {
		case e.IsDir():
			return os.MkdirAll(to, 0o777)
		case strings.HasSuffix(name, "-d"):
			return os.Link(name, to)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o666)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A project is a random project with its random edits.
type project struct {
	t      *testing.T
	b      *bench
	number int
	round  int
	rng    *rand.Rand
	hasGo  bool
	apart  bool // has steps for which Go's cache knows too little

	state
	gone     map[string]file // removed files, which may come back
	parts    []*part
	keepTime bool
	past     []state // before each round

	root  string // of all directories
	here  *tree  // the user's checkout
	clone *tree  // another one, with the same store
	tools *tree  // what the kit's files are written to
	log   []string
	last  map[string]string // files after the last run
	// failed: the last run did.
	failed bool
}

func newProject(t *testing.T, b *bench, number int) *project {
	root, err := os.MkdirTemp("", "campaign-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && *keep {
			t.Logf("kept: %s", root)
			return
		}
		command(t, "", nil, "chmod", "-R", "u+w", root)
		os.RemoveAll(root)
	})
	p := &project{t: t, b: b, number: number, rng: rand.New(rand.NewPCG(*seed, uint64(number))), root: root, gone: map[string]file{}}
	p.here = &tree{filepath.Join(root, "here"), map[string]file{}}
	p.clone = &tree{filepath.Join(root, "clone"), map[string]file{}}
	p.tools = &tree{filepath.Join(root, "kit"), map[string]file{}}
	p.hasGo = p.rng.IntN(100) < *goShare
	build := &builder{rng: p.rng, state: state{map[string]file{}, map[string]file{}, map[string]string{}, map[string]int{commentKnob: 0}}}
	if p.hasGo {
		p.apart = p.rng.IntN(100) < *cShare
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(goParts)), func(n string) bool { return n == "cgo" || n == "assembly" })
		p.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = names[:1+p.rng.IntN(4)]
		if p.apart {
			c := "cgo"
			if runtime.GOARCH == "amd64" && p.rng.IntN(3) == 0 {
				c = "assembly"
			}
			names = append(names[:min(len(names), 2)], c)
		}
		for _, n := range names {
			goParts[n](build)
			p.apart = p.apart || n == "tests" || n == "vet"
		}
		build.program()
		b.freshCache(t, filepath.Join(root, "gocache"), false)
	}
	names := slices.Sorted(maps.Keys(plain))
	p.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	n := 2 + p.rng.IntN(4)
	if p.hasGo {
		n = p.rng.IntN(3)
	}
	for _, name := range names[:n] {
		plain[name](build)
	}
	p.state, p.parts = build.state, build.parts
	return p
}

// files of the project that say what is built: one Airbuildfile, or two with a
// pipeline of the same name.
var airbuildfiles = []string{"Airbuildfile", "other.airbuild.hcl"}

// render writes the Airbuildfiles. Even projects have one, with two pipelines.
func (p *project) render() {
	var text, targets [2]strings.Builder
	for i, part := range p.parts {
		at := i % 2
		if p.number%2 == 0 || p.hasGo {
			at = 0
		}
		if part.stages != nil {
			text[at].WriteString(part.stages(func(knob string) int { return p.knobs[part.name+"."+knob] }))
		}
		for _, s := range part.targets {
			fmt.Fprintf(&targets[at], "stage.%s, ", s)
		}
	}
	for i, name := range airbuildfiles {
		delete(p.files, name)
		if text[i].Len() > 0 || i == 0 {
			p.files[name] = file{text: fmt.Sprintf("# Comment %d.\n%spipeline \"default\" {\n  stages = [%s]\n}\n", p.knobs[commentKnob], &text[i], &targets[i]), unread: true}
		}
	}
}

// run makes n rounds.
func (p *project) run(n int) {
	for p.round = 0; p.round < n && !p.b.late(); p.round++ {
		p.one()
		if p.t.Failed() {
			return
		}
	}
}

// one is a round: edits, the runs, the comparison.
func (p *project) one() {
	count := p.b.counts
	count["rounds"]++
	if p.hasGo {
		count["rounds with Go"]++
	}
	neutral, revert := p.edit()
	p.render()
	if err := errors.Join(p.here.sync(p.files, p.keepTime), p.tools.sync(p.kit, p.keepTime)); err != nil {
		p.t.Fatal(err)
	}
	p.keepTime = false
	if p.hasGo && p.rng.IntN(5) == 0 {
		p.byHand()
	}
	got := p.build(p.here, p.dirs("store", "gocache"), p.options()...)
	ran := got.ran()
	count["steps that ran"] += len(ran)
	if (neutral || revert) && len(ran) > 0 {
		p.fail("needless", "steps ran though nothing that they depend on changed: %v", ran)
	}
	if p.rng.IntN(4) == 0 {
		count["runs again"]++
		if again := p.build(p.here, p.dirs("store", "gocache")).ran(); len(again) > 0 {
			p.fail("needless", "steps ran in a second run: %v", again)
		}
	}
	p.last, p.failed = files(p.t, p.here.dir), got.code != 0

	clean := &tree{filepath.Join(p.root, fmt.Sprint("clean", p.round)), map[string]file{}}
	if err := clean.sync(p.files, false); err != nil {
		p.t.Fatal(err)
	}
	if p.hasGo {
		p.b.freshCache(p.t, filepath.Join(p.root, "clean-gocache"), true)
	}
	want := p.build(clean, p.dirs("clean-store", "clean-gocache"), p.options()...)
	wantFiles := files(p.t, clean.dir)
	p.compare("the project", got, p.last, want, wantFiles)
	if p.rng.IntN(4) == 0 {
		count["runs in the clone"]++
		if err := p.clone.sync(p.files, false); err != nil {
			p.t.Fatal(err)
		}
		other := p.build(p.clone, p.dirs("store", []string{"gocache", "clone-gocache"}[p.rng.IntN(2)]), p.options()...)
		p.compare("the clone", other, files(p.t, p.clone.dir), want, wantFiles)
	}
	if want.code != 0 {
		count[fmt.Sprintf("rounds with exit code %d", want.code)]++
	}
	for name, status := range want.status {
		if status == "failed" {
			count["failed "+name[strings.IndexByte(name, ' ')+1:]]++
		}
	}
	if p.t.Failed() && *keep {
		return
	}
	for _, dir := range []string{clean.dir, "clean-store", "clean-gocache"} {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(p.root, dir)
		}
		os.RemoveAll(dir)
	}
}

// edit changes the project: a few edits, or a state that it had before.
func (p *project) edit() (neutral, revert bool) {
	if p.round == 0 {
		p.log = append(p.log, "first run")
		return false, false
	}
	p.past = append(p.past, p.state.clone())
	if len(p.past) > 2 && p.rng.IntN(8) == 0 {
		back := 2 + p.rng.IntN(len(p.past)-2)
		old := p.past[len(p.past)-back]
		p.state = old.clone()
		p.log = append(p.log, fmt.Sprintf("round %d: back to before round %d", p.round, p.round+1-back))
		p.b.counts["edit back"]++
		return false, true
	}
	neutral = true
	total := 0
	for _, e := range edits {
		total += e.weight
	}
	for left := 1 + p.rng.IntN(3); left > 0; {
		n := p.rng.IntN(total)
		i := slices.IndexFunc(edits, func(e edit) bool { n -= e.weight; return n < 0 })
		e := edits[i]
		if e.alone && (left < 1 || !neutral) {
			continue
		}
		what := e.do(p)
		if what == "" {
			p.keepTime = false
			continue
		}
		p.log = append(p.log, fmt.Sprintf("round %d: %s: %s", p.round, e.name, what))
		p.b.counts["edit "+e.name]++
		neutral = neutral && e.neutral
		if left--; e.alone {
			break
		}
	}
	return neutral, false
}

// dirs are the variables for a store and a GOCACHE.
func (p *project) dirs(store, cache string) []string {
	return []string{"AIRBUILD_CACHE=" + filepath.Join(p.root, store), "GOCACHE=" + filepath.Join(p.root, cache)}
}

// options are sometimes those that should make no difference.
func (p *project) options() []string {
	switch n := p.rng.IntN(8); n {
	case 0, 3:
		// Steps with C or assembly, and those that vet a package with excluded files,
		// then get a GOCACHE of their own, without even the standard library.
		if !p.apart || n == 0 && p.rng.IntN(8) == 0 {
			p.b.counts["compile cache off"]++
			return []string{"--compile-cache", "off"}
		}
	case 1:
		return []string{"-j", "1"}
	case 2:
		return []string{"--paranoid"}
	}
	return nil
}

func (p *project) environ(more []string) []string {
	home := filepath.Join(p.root, "home")
	if err := os.MkdirAll(home, 0o777); err != nil {
		p.t.Fatal(err)
	}
	env := []string{"HOME=" + home, "PATH=" + filepath.Join(p.root, "kit", "bin") + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"GOMODCACHE=" + filepath.Join(p.root, "gomod"), "GOPROXY=off", "GOTOOLCHAIN=local", "GOFLAGS=", "GOENV=off",
		"NO_COLOR=1", "LC_ALL=C", "GIT_CEILING_DIRECTORIES=" + p.root, "SOURCE_DATE_EPOCH=0", "AIRBUILD_COMPILE_CACHE="}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		env = append(env, name+"="+p.env[name])
	}
	return append(env, more...)
}

// byHand is the user's own work with the go command, in the user's GOCACHE. That it
// fails is the user's business.
func (p *project) byHand() {
	p.b.counts["go commands by hand"]++
	line := [][]string{{"build", "./..."}, {"build", "-trimpath", "./..."}, {"test", "./..."}, {"vet", "./..."}}[p.rng.IntN(4)]
	cmd := exec.Command("go", line...)
	cmd.Dir = p.here.dir
	cmd.Env = p.environ(append(p.dirs("store", "gocache"), "CGO_ENABLED="+[]string{"0", "1"}[p.rng.IntN(2)], "GOFLAGS=-buildvcs=false"))
	if out, err := cmd.CombinedOutput(); err != nil && testing.Verbose() {
		p.t.Logf("go %v: %v\n%s", line, err, out)
	}
}

// An outcome is what a run came to.
type outcome struct {
	code   int
	status map[string]string // by Airbuildfile and step: hit, done, failed, skipped; by test: its verdict
	output string
}

// ran are the steps that did.
func (o outcome) ran() []string {
	var names []string
	for name, s := range o.status {
		if s == "done" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var testcase = regexp.MustCompile(`<testcase name="([^"]*)" classname="([^"]*)"[^>]*?(/?)>\s*(<failure|<skipped)?`)

// build runs airbuild on all Airbuildfiles of a directory.
func (p *project) build(at *tree, env []string, options ...string) outcome {
	o := outcome{status: map[string]string{}}
	for _, name := range airbuildfiles {
		if _, ok := p.files[name]; !ok {
			continue
		}
		junit := filepath.Join(p.root, "junit.xml")
		os.Remove(junit)
		args := append([]string{"run", "-f", name, "-k", "--output", "json", "--junit", junit}, options...)
		ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Minute)
		cmd := exec.CommandContext(ctx, p.b.airbuild, args...)
		cmd.Dir, cmd.Env = at.dir, p.environ(env)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		cancel()
		p.b.spent[filepath.Base(at.dir)[:4]] += time.Since(began)
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			p.t.Fatal(err)
		}
		code := cmd.ProcessState.ExitCode()
		o.code = max(o.code, code)
		o.output += string(out)
		dec := json.NewDecoder(bytes.NewReader(out))
		summary := false
		for {
			var e struct{ Event, Step, Status string }
			if err := dec.Decode(&e); err != nil {
				break
			}
			if e.Event == "step" && e.Status != "run" {
				o.status[name+" "+e.Step] = e.Status
			}
			summary = summary || e.Event == "summary"
		}
		if !summary || code > 2 {
			p.fail("harness", "airbuild %v in %s: exit code %d\n%s", args, at.dir, code, out)
		}
		if text, err := os.ReadFile(junit); err == nil {
			for _, m := range testcase.FindAllStringSubmatch(string(text), -1) {
				if strings.Contains(m[2], module) {
					o.status[strings.Join(m[1:3], " of ")] = cmp.Or(m[4], "ok")
				}
			}
		}
	}
	return o
}

// files describes all files below a directory: content, permissions, target.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if e.Type() == fs.ModeSymlink {
			to, err := os.Readlink(name)
			all[rel] = "link to " + to
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		all[rel] = fmt.Sprintf("file %v %d bytes %x", info.Mode(), len(text), sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// compare holds an incremental run against the clean one.
func (p *project) compare(where string, got outcome, gotFiles map[string]string, want outcome, wantFiles map[string]string) {
	var diff []string
	say := func(format string, args ...any) { diff = append(diff, fmt.Sprintf(format, args...)) }
	if got.code != want.code {
		say("exit code %d, clean %d", got.code, want.code)
	}
	plain := func(status string) string {
		if status == "hit" {
			return "done"
		}
		return status
	}
	for _, name := range union(got.status, want.status) {
		if g, w := got.status[name], want.status[name]; plain(g) != plain(w) {
			say("%s: %q, clean %q", name, g, w)
		}
	}
	for _, name := range union(gotFiles, wantFiles) {
		g, w := gotFiles[name], wantFiles[name]
		// What a step made earlier stays outside dist when it fails, because it is
		// still one of the file's outputs; and everything when the Airbuildfile has a
		// mistake (a pattern that matches nothing).
		stays := w == "" && (want.code == 1 && !strings.HasPrefix(name, "dist/") || want.code == 2)
		if g != w && !stays {
			say("%s: %q, clean %q", name, g, w)
		}
	}
	if len(diff) > 0 {
		p.fail("differences", "%s differs from a clean build:\n%s\noutput there:\n%s\noutput of the clean build:\n%s",
			where, strings.Join(diff, "\n"), tail(got.output), tail(want.output))
	}
}

func tail(text string) string { return text[max(0, len(text)-2500):] }

func union(a, b map[string]string) []string {
	names := maps.Clone(a)
	maps.Copy(names, b)
	return slices.Sorted(maps.Keys(names))
}

// fail reports a failure with all that is needed to repeat it.
func (p *project) fail(kind, format string, args ...any) {
	p.t.Helper()
	p.b.counts[kind]++
	p.t.Errorf("seed %d, project %d, round %d: %s\n\nedits:\n  %s\n\nto repeat:\n  go test ./cmd/airbuild/internal/campaign -run Campaign -count=1 -v -campaign.seed %d -campaign.project %d -campaign.rounds %d -campaign.go %d -campaign.c %d -campaign.keep",
		*seed, p.number, p.round, fmt.Sprintf(format, args...), strings.Join(p.log, "\n  "), *seed, p.number, p.round+1, *goShare, *cShare)
}
