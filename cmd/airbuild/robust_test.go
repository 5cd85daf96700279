//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A place is a project and a store for tests that treat them badly.
type place struct {
	t           *testing.T
	root, cache string
}

const robustFile = `
variable "cells" {
  default = ["a", "b", "c", "d"]
}

stage "exec" "gen" {
  matrix  = { name = var.cells }
  script  = <<-EOT
    mkdir -p out
    i=0
    while [ $i -lt 200 ]; do echo "${matrix.name} $i $(<in.txt)"; i=$((i+1)); done > out/${matrix.name}.txt
    sleep 0.01
  EOT
  inputs  = ["in.txt"]
  outputs = ["out/${matrix.name}.txt"]
}

stage "exec" "tree" {
  script  = "mkdir -p tree/sub; cp in.txt tree/sub/one; cp in.txt tree/two"
  inputs  = ["in.txt"]
  outputs = ["tree/"]
}

stage "archive" "pack" {
  for_each = stage.gen
  format   = "tar.gz"
  output   = "pack_${each.key}.tar.gz"
  files    = [each.path, "in.txt"]
}

stage "archive" "all" {
  format = "zip"
  files  = concat(stage.tree.paths, ["in.txt"])
}

stage "checksum" "sums" {
  files = concat(stage.pack.paths, stage.all.paths)
}

pipeline "release" {
  stages = [stage.sums]
}
`

// robustSteps is how many steps the pipeline has.
const robustSteps = 4 + 1 + 4 + 1 + 1

func newPlace(t *testing.T) *place {
	p := &place{t: t, root: t.TempDir(), cache: t.TempDir()}
	p.write("Airbuildfile", robustFile)
	p.write("in.txt", "first")
	return p
}

func (p *place) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.root, name), []byte(content), 0o666); err != nil {
		p.t.Fatal(err)
	}
}

// command is the program under test: this test binary under another name.
func (p *place) command(args ...string) *exec.Cmd {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: self, Args: append([]string{"airbuild"}, args...), Dir: p.root}
	cmd.Env = append(os.Environ(), "AIRBUILD_CACHE="+p.cache, "SOURCE_DATE_EPOCH=0", "GIT_CEILING_DIRECTORIES="+filepath.Dir(p.root))
	return cmd
}

// A tally is the summary of a run with --output json.
type tally struct {
	Event                      string
	Hits, Ran, Failed, Damaged int
}

// run runs the pipeline to its end and expects success.
func (p *place) run() tally {
	p.t.Helper()
	cmd := p.command("run", "release", "--output", "json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("run: %v\n%s%s", err, out, &stderr)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var o tally
	if err := json.Unmarshal(lines[len(lines)-1], &o); err != nil || o.Event != "summary" {
		p.t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	return o
}

// verify expects the store to be clean.
func (p *place) verify() {
	p.t.Helper()
	if out, err := p.command("cache", "verify").CombinedOutput(); err != nil {
		p.t.Fatalf("cache verify: %v\n%s", err, out)
	}
}

// outputs reads all that the pipeline makes, by path.
func (p *place) outputs() map[string]string {
	p.t.Helper()
	got := map[string]string{}
	for _, dir := range []string{"dist", "out", "tree"} {
		err := filepath.WalkDir(filepath.Join(p.root, dir), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			got[strings.TrimPrefix(name, p.root)] = string(b)
			return err
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return got
}

// clean is what a run of the same sources makes with an empty store.
func (p *place) clean() map[string]string {
	p.t.Helper()
	q := newPlace(p.t)
	in, err := os.ReadFile(filepath.Join(p.root, "in.txt"))
	if err != nil {
		p.t.Fatal(err)
	}
	q.write("in.txt", string(in))
	q.run()
	return q.outputs()
}

func (p *place) wantOutputs(want map[string]string) {
	p.t.Helper()
	got := p.outputs()
	for name, w := range want {
		if g, ok := got[name]; !ok {
			p.t.Errorf("%s is missing", name)
		} else if g != w {
			p.t.Errorf("%s has %d bytes that differ from a clean run's %d", name, len(g), len(w))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			p.t.Errorf("%s is there, and a clean run does not make it", name)
		}
	}
}

// TestKilled kills the program with SIGKILL at a hundred random moments, on
// the same project and store, and then expects what a clean run makes.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills many runs")
	}
	p := newPlace(t)
	kills, rng := 100, rand.New(rand.NewPCG(1, 2))
	begin := time.Now()
	p.run()
	whole := time.Since(begin)
	killed := 0
	for i := range kills {
		p.write("in.txt", fmt.Sprint("content ", i))
		cmd := p.command("run", "release")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(whole))))
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			killed++
		}
		if i%20 == 19 {
			p.run()
			p.verify()
			p.wantOutputs(p.clean())
		}
	}
	if killed < kills/4 {
		t.Errorf("only %d of %d runs were cut off", killed, kills)
	}
	p.run()
	p.verify()
	p.wantOutputs(p.clean())
	if o := p.run(); o.Ran != 0 || o.Hits != robustSteps {
		t.Errorf("the run after: %+v", o)
	}
	if left, _ := filepath.Glob(filepath.Join(p.cache, "scratch", "*")); len(left) > 0 {
		t.Errorf("left in scratch: %v", left)
	}
}

// TestFlippedByte changes one byte of every file of the store, one at a time.
// Each must be noticed, reported and mended, and the outputs stay right.
func TestFlippedByte(t *testing.T) {
	if testing.Short() {
		t.Skip("damages every file of a store")
	}
	p := newPlace(t)
	p.run()
	want := p.clean()
	for _, room := range []string{"cas", "ac"} {
		files, err := filepath.Glob(filepath.Join(p.cache, room, "*", "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", room, err)
		}
		for i, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) == 0 {
				continue
			}
			b[i%len(b)] ^= 0x10
			if err := errors.Join(os.Chmod(name, 0o666), os.WriteFile(name, b, 0o666)); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 { // with and without outputs to restore
				if err := os.RemoveAll(filepath.Join(p.root, "dist")); err != nil {
					t.Fatal(err)
				}
			}
			if o := p.run(); o.Damaged == 0 {
				t.Errorf("%s/%s: not noticed: %+v", room, filepath.Base(name), o)
			}
			p.wantOutputs(want)
			if o := p.run(); o.Damaged != 0 || o.Ran != 0 {
				t.Errorf("%s/%s: the run after: %+v", room, filepath.Base(name), o)
			}
		}
	}
	p.verify()
}

// TestTwoAtOnce runs two projects with the same content over one store, from
// nothing: each step is executed once, by one of the two.
func TestTwoAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	for range 3 {
		p, q := newPlace(t), newPlace(t)
		q.cache = p.cache
		var wg sync.WaitGroup
		tallies := make([]tally, 2)
		for i, x := range []*place{p, q} {
			wg.Go(func() { tallies[i] = x.run() })
		}
		wg.Wait()
		if ran := tallies[0].Ran + tallies[1].Ran; ran != robustSteps {
			t.Errorf("%d executions of %d steps: %+v", ran, robustSteps, tallies)
		}
		want := p.clean()
		p.wantOutputs(want)
		q.wantOutputs(want)
		p.verify()
	}
}

// TestTwoInOneProject runs twice at once in the very same project.
func TestTwoInOneProject(t *testing.T) {
	p := newPlace(t)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { p.run() })
	}
	wg.Wait()
	p.wantOutputs(p.clean())
	p.verify()
}

// TestInterrupted sends SIGINT: the program ends with 130, nothing that it
// started is left, and the next run completes.
func TestInterrupted(t *testing.T) {
	if _, err := exec.LookPath("pgrep"); err != nil {
		skipUnlessCI(t, "pgrep is needed to look for what is left running")
	}
	p := newPlace(t)
	marker := fmt.Sprintf("86%d", os.Getpid())
	p.write("Airbuildfile", `
stage "exec" "slow" {
  script  = "echo started; sleep `+marker+`; touch done"
  outputs = ["done"]
}
pipeline "release" { stages = [stage.slow] }
`)
	cmd := p.command("run", "release", "--output", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	var seen bytes.Buffer
	for !bytes.Contains(seen.Bytes(), []byte(`"run"`)) {
		n, err := out.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v; so far %s", err, &seen)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	seen.ReadFrom(out)
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want exit code 130", err)
	}
	if !strings.Contains(seen.String(), `"cancelled"`) {
		t.Errorf("output: %s", &seen)
	}
	if left, _ := exec.Command("pgrep", "-f", "sleep "+marker).Output(); len(left) > 0 {
		t.Errorf("still running: %s", left)
	}
	p.verify()
}

// TestKeysDoNotHangOnPlaceOrTime touches every file and clones the project
// elsewhere: all hits.
func TestKeysDoNotHangOnPlaceOrTime(t *testing.T) {
	p := newPlace(t)
	p.run()
	now := time.Now().Add(-24 * time.Hour)
	for _, f := range []string{"in.txt", "Airbuildfile"} {
		if err := os.Chtimes(filepath.Join(p.root, f), now, now); err != nil {
			t.Fatal(err)
		}
	}
	if o := p.run(); o.Ran != 0 {
		t.Errorf("after touching every file: %+v", o)
	}
	q := newPlace(t)
	q.cache = p.cache
	if o := q.run(); o.Ran != 0 || o.Hits != robustSteps {
		t.Errorf("in another directory: %+v", o)
	}
	q.wantOutputs(p.outputs())
}

// TestFullDisk gives the store half a megabyte.
func TestFullDisk(t *testing.T) {
	if err := exec.Command("unshare", "-rm", "true").Run(); err != nil {
		skipUnlessCI(t, "this machine has no user and mount namespaces: "+err.Error())
	}
	p := newPlace(t)
	p.write("Airbuildfile", `
stage "exec" "big" {
  script  = "head -c 3000000 /dev/urandom > big"
  outputs = ["big"]
}
pipeline "release" { stages = [stage.big] }
`)
	air := p.command("run", "release")
	// The test binary is the program when it goes by its name.
	const script = `mount -t tmpfs -o size=500k tmpfs "$AIRBUILD_CACHE" &&
		ln -s "$0" "$AIRBUILD_CACHE/airbuild" && exec "$AIRBUILD_CACHE/airbuild" run release`
	cmd := exec.Command("unshare", "-rm", "sh", "-c", script, air.Path)
	cmd.Dir, cmd.Env = air.Dir, air.Env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", err)
	}
	if !strings.Contains(string(out), "no space left on device") {
		t.Errorf("output: %s", out)
	}
}

// skipUnlessCI skips a test that this machine cannot run, and says why. In CI
// it fails: there, everything is run.
func skipUnlessCI(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
