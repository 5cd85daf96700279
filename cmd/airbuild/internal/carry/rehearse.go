package carry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
)

// A Rehearsal plays the isolated host: a directory with nothing but what the
// bundle brings, no network, no home, no caches, and no Go of this host within
// reach.
type Rehearsal struct {
	Bundle *bundle.Bundle
	// Place is a directory for it, which must be able to hold the bundle
	// unpacked. It is made anew, and removed afterwards.
	Place string
	// Targets are what must be hits: what the bundle is for.
	Targets []string
	// Rebuild are steps that are made once more without the store's results,
	// by the carried toolchain from the carried modules. Empty: none.
	Rebuild []string
	Dist    string // the output directory
	File    string // the Airbuildfile's name
	// Environment is that of --environment, Vars and Env give variables their
	// values: contents of files, and "NAME=VALUE". They may be secrets: files
	// are private and are removed, and no argument holds them.
	Environment string
	Vars        []RehearsalVar
	Env         []string
	// Keys are public keys that the other side is to trust, by their names.
	Keys map[string]sign.PublicKey
	// Self is this host's airbuild and GoRoot its Go: they stand in where the
	// bundle has none for this host, because it is for others. GoRoot is empty
	// if the project needs no Go.
	Self, GoRoot string
	// Here returns the parts of a step's key as it is on this host, to compare
	// with; nil where they are not known.
	Here func(ctx context.Context, step string) []action.Line
	// Hide lists further directories of this host that must not help.
	Hide []string
	// Tell gets what the runs print to stderr, and a line a phase.
	Log io.Writer
}

// A RehearsalVar is a file of variables.
type RehearsalVar struct {
	Ext  string // ".hcl", ".json"
	Text []byte
}

// A Rehearsed is the outcome.
type Rehearsed struct {
	Steps, Hits int // of the first run
	Rebuilt     int // steps of the second
	// Taken are the steps that the second run needed and did not make again,
	// because they need the network: their carried results were used.
	Taken []string
	// Missing says of each step that was no hit, or failed, why.
	Missing []Missing
	// Isolation says what kept the host away: "network=blocked inputs=declared".
	Isolation string
	// Lent says what of this host stood in: "airbuild go", or nothing.
	Lent string
}

// A Missing is a step that the bundle does not carry.
type Missing struct {
	Step, Reason string
	// Changes are what its key there has and the one here has not, and the other
	// way round. Only the first few steps have them, and only if they are known.
	Changes []action.Change
}

// mostExplained are the steps whose keys are compared: each takes a plan. What
// differs in the first is often what differs in all.
const mostExplained = 20

// OK reports whether the bundle is complete.
func (r *Rehearsed) OK() bool { return len(r.Missing) == 0 && r.Steps > 0 }

// Rehearse imports the bundle into an empty cache and runs its own airbuild
// there.
func Rehearse(ctx context.Context, r Rehearsal) (_ *Rehearsed, err error) {
	// What a rehearsal left that was killed must not help this one.
	if err := removeTree(r.Place); err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	if err := os.MkdirAll(r.Place, 0o700); err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	defer func() {
		if rerr := removeTree(r.Place); err == nil && rerr != nil {
			err = fmt.Errorf("rehearse: %w", rerr)
		}
	}()
	p := &rehearsing{Rehearsal: r}
	out, err := p.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	return out, nil
}

// A rehearsing is one at work.
type rehearsing struct {
	Rehearsal
	program string // the airbuild that plays
	path    string // $PATH
	read    []string
	args    []string // of both runs
	out     Rehearsed
}

func (p *rehearsing) at(elem ...string) string {
	return filepath.Join(append([]string{p.Place}, elem...)...)
}

func (p *rehearsing) run(ctx context.Context) (*Rehearsed, error) {
	for _, dir := range []string{"home", "tmp", "box"} {
		if err := os.MkdirAll(p.at(dir), 0o700); err != nil {
			return nil, err
		}
	}
	if err := p.unpack(ctx); err != nil {
		return nil, err
	}
	if err := p.lend(); err != nil {
		return nil, err
	}
	if err := p.variables(); err != nil {
		return nil, err
	}
	for name, key := range p.Keys {
		if err := sign.OpenKeyring(p.at("home", "keys")).Trust(name, key, false); err != nil {
			return nil, err
		}
	}
	host := &sandbox.Host{}
	spec := p.spec()
	support := host.Support(ctx)
	p.out.Isolation = support.Worker(spec)
	if !support.Complete() {
		return nil, fmt.Errorf("this host cannot be kept out: %s.\nUse --no-rehearse, and the manifest will say that it was not rehearsed", support.Notice())
	}
	sb, err := host.Open(ctx, spec, nil)
	if err != nil {
		return nil, err
	}
	defer sb.Close()
	first, err := p.airbuild(ctx, sb, append([]string{"run"}, p.Targets...))
	if err != nil {
		return nil, err
	}
	p.out.Steps, p.out.Hits = first.steps, first.hits
	p.out.Missing = first.missing
	if !p.out.OK() {
		return &p.out, p.explain(ctx, sb)
	}
	if len(p.Rebuild) == 0 {
		return &p.out, nil
	}
	before, err := hashTree(p.at("work", filepath.FromSlash(p.Dist)))
	if err != nil {
		return nil, err
	}
	second, err := p.airbuild(ctx, sb, append([]string{"run", "--force"}, p.Rebuild...))
	if err != nil {
		return nil, err
	}
	p.out.Rebuilt, p.out.Taken = second.done, second.taken
	p.out.Missing = second.failed
	after, err := hashTree(p.at("work", filepath.FromSlash(p.Dist)))
	if err != nil {
		return nil, err
	}
	for name, sum := range before {
		if now, ok := after[name]; ok && now != sum {
			p.out.Missing = append(p.out.Missing, Missing{Step: p.Dist + "/" + name, Reason: "made again it has other bytes: it is not reproducible"})
		}
	}
	return &p.out, nil
}

// unpack imports the bundle into the empty cache and checks its source out.
func (p *rehearsing) unpack(ctx context.Context) (err error) {
	cache := p.at("cache")
	s, err := store.Open(cache)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := Import(ctx, p.Bundle, Importing{Cache: cache, Store: s, Options: install.Options{Actor: "rehearsal"}}); err != nil {
		return err
	}
	_, err = CheckOut(ctx, p.Bundle, Checkout{Cache: cache, Store: s, Component: Source, Dir: p.at("work")})
	return err
}

// lend puts this host's airbuild and Go where the bundle has none for it.
func (p *rehearsing) lend() error {
	goos, goarch := splitHost(ThisHost())
	host := HostName(goos, goarch)
	root := p.Bundle.Root()
	p.path = "/usr/bin:/bin:/usr/sbin:/sbin"
	var lent []string
	p.program = Carried(p.at("cache"), Airbuild, host, programName(goos))
	if root.Component(Airbuild+"/"+host) == nil {
		p.program = p.at("bin", programName(goos))
		if err := copyFile(p.Self, p.program); err != nil {
			return fmt.Errorf("lend airbuild: %w", err)
		}
		p.read = append(p.read, p.at("bin"))
		lent = append(lent, "airbuild")
	}
	if root.Component(Toolchain+"/"+host) == nil && p.GoRoot != "" {
		p.path = filepath.Join(p.GoRoot, "bin") + ":" + p.path
		p.read = append(p.read, p.GoRoot)
		lent = append(lent, "go")
	}
	p.out.Lent = strings.Join(lent, " ")
	return nil
}

func copyFile(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// variables writes the files of variables, which nobody else can read.
func (p *rehearsing) variables() error {
	p.args = []string{"--offline", "--output", "json"}
	if p.File != "" {
		p.args = append(p.args, "--file", p.at("work", p.File))
	}
	if p.Environment != "" {
		p.args = append(p.args, "--environment", p.Environment)
	}
	for i, v := range p.Vars {
		name := p.at("home", fmt.Sprintf("vars-%d%s", i, v.Ext))
		if err := os.WriteFile(name, v.Text, 0o600); err != nil {
			return err
		}
		p.args = append(p.args, "--var-file", name)
	}
	return nil
}

// spec is the sandbox: the system's programs and libraries, and the rehearsal's
// own place.
func (p *rehearsing) spec() sandbox.Spec {
	return sandbox.Spec{
		View:  sandbox.Declared,
		Dir:   p.at("box"),
		Write: []string{p.at("cache"), p.at("work"), p.at("home"), p.at("tmp")},
		Tmp:   p.at("tmp"),
		Read:  p.read,
		Hide:  p.hidden(),
	}
}

func (p *rehearsing) hidden() []string {
	return append(slices.DeleteFunc(ambientGo(), func(dir string) bool { return slices.Contains(p.read, dir) }), p.Hide...)
}

// ambientGo are the places where a host has Go.
func ambientGo() []string {
	var dirs []string
	for _, pattern := range []string{"/usr/local/go*", "/usr/lib/go*", "/usr/lib/golang*", "/usr/share/go*", "/opt/go*", "/snap/go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are right
		}
		for _, dir := range found {
			if fi, err := os.Lstat(dir); err == nil && fi.IsDir() {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// A played is what one run of the carried airbuild wrote.
type played struct {
	steps, hits, done int
	missing           []Missing // steps that were no hits, or failed
	failed            []Missing
	taken             []string // steps that were hits
}

// explain compares the keys of the steps that were no hits with those that they
// have on this host.
func (p *rehearsing) explain(ctx context.Context, sb *sandbox.Sandbox) error {
	explained := 0
	for i := range p.out.Missing {
		m := &p.out.Missing[i]
		if explained == mostExplained || p.Here == nil {
			return nil
		}
		here := p.Here(ctx, m.Step)
		if here == nil {
			continue
		}
		explained++
		stdout, _, exit, err := p.start(ctx, sb, []string{"explain", m.Step})
		if err != nil {
			return err
		}
		var explained struct{ Lines []action.Line }
		if exit != nil || json.Unmarshal(stdout.Bytes(), &explained) != nil || len(explained.Lines) == 0 {
			continue // it could not be planned; the reason is in m
		}
		m.Changes = action.Diff(here, explained.Lines)
	}
	return nil
}

// start runs the carried airbuild in the sandbox to its end. exit is its failure.
func (p *rehearsing) start(ctx context.Context, sb *sandbox.Sandbox, args []string) (stdout *bytes.Buffer, stderr *tail, exit *sandbox.ExitError, err error) {
	stdout, stderr = &bytes.Buffer{}, &tail{}
	cmd := &sandbox.Cmd{
		Path: p.program, Args: slices.Concat([]string{p.program}, args, p.args), Dir: p.at("work"), Grace: 5 * time.Second,
		Env: append([]string{
			"HOME=" + p.at("home"), "TMPDIR=" + p.at("tmp"), "PATH=" + p.path,
			"AIRBUILD_CACHE=" + p.at("cache"), "AIRBUILD_KEYS=" + p.at("home", "keys"), "LANG=C.UTF-8", "TZ=UTC",
		}, p.Env...),
		Stdout: stdout, Stderr: stderr,
	}
	if err = sb.Run(ctx, cmd); errors.As(err, &exit) {
		err = nil
	}
	return stdout, stderr, exit, err
}

// airbuild runs the carried airbuild in the sandbox. Steps that fail are not an error.
func (p *rehearsing) airbuild(ctx context.Context, sb *sandbox.Sandbox, args []string) (*played, error) {
	events, stderr, exit, err := p.start(ctx, sb, args)
	if err != nil {
		return nil, err
	}
	out := readEvents(events)
	if exit != nil && len(out.failed) == 0 {
		text := strings.TrimSpace(stderr.String())
		if text == "" {
			text = exit.Error()
		}
		m := Missing{Step: "the carried airbuild", Reason: text}
		out.missing, out.failed = append(out.missing, m), append(out.failed, m)
	}
	return out, nil
}

// readEvents takes what it needs of the JSON lines of a run.
func readEvents(r io.Reader) *played {
	out := &played{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var e struct {
			Event, Step, Status, Reason, Error, Summary, Severity string
			Steps, Hits, Ran                                      int
		}
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		why := e.Reason
		if e.Error != "" {
			why = e.Error
		}
		switch {
		case e.Event == "summary":
			out.steps, out.hits, out.done = e.Steps, e.Hits, e.Ran
		case e.Event == "diagnostic" && e.Severity == "error":
			out.failed = append(out.failed, Missing{Step: "the Airbuildfile", Reason: e.Summary})
			out.missing = append(out.missing, Missing{Step: "the Airbuildfile", Reason: e.Summary})
		case e.Status == "hit":
			out.taken = append(out.taken, e.Step)
		case e.Status == "done":
			out.missing = append(out.missing, Missing{Step: e.Step, Reason: "not in the bundle: " + why})
		case e.Status == "failed":
			out.missing = append(out.missing, Missing{Step: e.Step, Reason: why})
			out.failed = append(out.failed, Missing{Step: e.Step, Reason: why})
		}
	}
	return out
}

// A tail keeps the last of what is written to it.
type tail struct{ b []byte }

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if n := len(t.b) - tailSize; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return string(t.b) }

// hashTree is the SHA-256 of every file below a directory.
func hashTree(dir string) (map[string]string, error) {
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			if name == dir && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			return err
		}
		if !e.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		d, err := action.OfFile(os.Open(name))
		sums[filepath.ToSlash(rel)] = d.Hex()
		return err
	})
	return sums, err
}

// Clear removes a directory of airbuild's own, if it is there.
func Clear(dir string) error {
	if err := removeTree(dir); err != nil {
		return fmt.Errorf("clear %s: %w", dir, err)
	}
	return nil
}

// removeTree removes a directory in which some are read-only.
func removeTree(dir string) error {
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(name, 0o700)
		}
		return nil // what is not there, or cannot be read, RemoveAll tells
	})
	return errors.Join(err, os.RemoveAll(dir))
}
