package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// The benchmarks of whole runs compare airbuild with the same commands by
// hand, in turn, in one process: the machine's speed drifts, the ratio less.
// The metric "ratio" is the median of airbuild's time over the other's.
//
//	go test ./cmd/airbuild -run '^$' -bench . -benchtime 10x
//
// Cold cases empty every cache of compiled packages before each round; give
// them -benchtime 1x.

// pair times two functions in turn and reports the ratio of their medians.
func pair(b *testing.B, ours, theirs func()) {
	b.Helper()
	var ratios []float64
	var us, them time.Duration
	for b.Loop() {
		t0 := time.Now()
		ours()
		t1 := time.Now()
		theirs()
		t2 := time.Now()
		us, them = us+t1.Sub(t0), them+t2.Sub(t1)
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	slices.Sort(ratios)
	n := float64(len(ratios))
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(us.Milliseconds())/n, "ours-ms")
	b.ReportMetric(float64(them.Milliseconds())/n, "theirs-ms")
	b.ReportMetric(0, "ns/op")
}

// A yard is a project to run whole commands in.
type yard struct {
	b     *testing.B
	dir   string
	bin   string // airbuild
	gobin string // the go command, as airbuild finds it
	env   []string
}

// newYard builds airbuild as it is shipped and sets a store of its own.
func newYard(b *testing.B, dir string) *yard {
	b.Helper()
	y := &yard{b: b, dir: dir, gobin: "go", bin: filepath.Join(b.TempDir(), "airbuild")}
	if runtime.GOOS == "windows" {
		y.bin += ".exe"
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", y.bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build airbuild: %v\n%s", err, out)
	}
	y.env = append(os.Environ(), "AIRBUILD_CACHE="+b.TempDir(), "GOENV=off", "GOFLAGS=", "GOTOOLCHAIN=local")
	return y
}

func (y *yard) do(name string, args ...string) string {
	y.b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = y.dir, y.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		y.b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (y *yard) write(name, content string) {
	y.b.Helper()
	if err := os.WriteFile(filepath.Join(y.dir, name), []byte(content), 0o666); err != nil {
		y.b.Fatal(err)
	}
}

// goBuilds runs go build by hand for each platform and program. It keeps the
// build id, without which the go command links again every time.
func (y *yard) goBuilds(platforms, cmds []string, mode string) {
	y.b.Helper()
	for _, p := range platforms {
		goos, arch, _ := strings.Cut(p, "/")
		for _, c := range cmds {
			out := filepath.Join(y.dir, "by-hand", goos+"_"+arch+"_"+c)
			cmd := exec.Command(y.gobin, "build", mode, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./"+c)
			cmd.Dir = y.dir
			cmd.Env = append(slices.Clone(y.env), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				y.b.Fatalf("go build %s for %s: %v\n%s", c, p, err, out)
			}
		}
	}
}

// cmdModule copies the Go distribution's cmd module into a tree in which it
// can be built, with everything else linked to the distribution.
func cmdModule(b *testing.B) *yard {
	b.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	root, fresh := strings.TrimSpace(string(out)), b.TempDir()
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "src"} {
		check(os.MkdirAll(filepath.Join(fresh, dir), 0o777))
	}
	for _, name := range []string{"pkg", "lib"} {
		check(os.Symlink(filepath.Join(root, name), filepath.Join(fresh, name)))
	}
	for _, name := range []string{"VERSION", "go.env", "bin/go"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		check(err)
		check(os.WriteFile(filepath.Join(fresh, name), content, 0o777))
	}
	list, err := os.ReadDir(filepath.Join(root, "src"))
	check(err)
	for _, e := range list {
		from, to := filepath.Join(root, "src", e.Name()), filepath.Join(fresh, "src", e.Name())
		if e.Name() == "cmd" {
			check(os.CopyFS(to, os.DirFS(from)))
		} else {
			check(os.Symlink(from, to))
		}
	}
	y := newYard(b, filepath.Join(fresh, "src", "cmd"))
	y.gobin = filepath.Join(fresh, "bin", "go")
	y.env = append(y.env, "PATH="+filepath.Join(fresh, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	return y
}

var (
	benchPlatforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}
	benchCmds      = []string{"nm", "objdump", "addr2line"}
)

// airbuildfile builds cmds for platforms, nothing else.
func airbuildfile(platforms, cmds []string) string {
	return fmt.Sprintf(`
airbuild {
  dist = "out"
}

stage "go_build" "bin" {
  matrix = {
    platform = ["%s"]
    cmd      = ["%s"]
  }
  package = "./${matrix.cmd}"
  output  = "${matrix.os}_${matrix.arch}_${matrix.cmd}${matrix.exe}"
  size {
    strip = true
  }
}

pipeline "release" {
  stages = [stage.bin]
}
`, strings.Join(platforms, `", "`), strings.Join(cmds, `", "`))
}

// BenchmarkNoOpCmd: nothing changed, 12 binaries of the cmd module, against
// the same go build commands with warm caches and their outputs in place.
func BenchmarkNoOpCmd(b *testing.B) {
	y := cmdModule(b)
	y.write("Airbuildfile", airbuildfile(benchPlatforms, benchCmds))
	y.do(y.bin, "run", "release")
	y.goBuilds(benchPlatforms, benchCmds, "-mod=vendor")
	pair(b, func() { y.do(y.bin, "run", "release") }, func() { y.goBuilds(benchPlatforms, benchCmds, "-mod=vendor") })
}

// BenchmarkColdCmd: nothing is compiled yet, one program of the cmd module for
// each platform, against the same commands by hand.
func BenchmarkColdCmd(b *testing.B) {
	y := cmdModule(b)
	y.write("Airbuildfile", airbuildfile(benchPlatforms, benchCmds))
	base := y.env
	cold := func() {
		y.env = append(slices.Clone(base), "GOCACHE="+b.TempDir(), "AIRBUILD_CACHE="+b.TempDir())
	}
	pair(b,
		func() { cold(); y.do(y.bin, "run", "release", "--force") },
		func() { cold(); y.goBuilds(benchPlatforms, benchCmds, "-mod=vendor") })
}

// BenchmarkNoOpSelf: airbuild's own release without its tests, nothing
// changed, against go build for the same six platforms with warm caches.
func BenchmarkNoOpSelf(b *testing.B) {
	dir := b.TempDir()
	cmd := exec.Command("git", "ls-files", "-z", "--", ":!testdata", ":!examples")
	cmd.Dir = filepath.Join("..", "..")
	list, err := cmd.Output()
	if err != nil {
		b.Skipf("this is not a clone: %v", err)
	}
	for _, name := range strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }) {
		content, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			b.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	y := newYard(b, dir)
	platforms := []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}
	y.write("Airbuildfile", strings.ReplaceAll(airbuildfile(platforms, []string{"airbuild"}), "./${matrix.cmd}", "./cmd/${matrix.cmd}"))
	y.do(y.bin, "run", "release")
	y.goBuilds(platforms, []string{"cmd/airbuild"}, "-mod=readonly")
	pair(b, func() { y.do(y.bin, "run", "release") }, func() { y.goBuilds(platforms, []string{"cmd/airbuild"}, "-mod=readonly") })
}

// trivialSteps is a project of n exec steps that do next to nothing.
func trivialSteps(b *testing.B, n int) *yard {
	y := newYard(b, b.TempDir())
	y.write("Airbuildfile", fmt.Sprintf(`
stage "exec" "t" {
  matrix  = { i = range(%d) }
  script  = "echo ${matrix.i} > o${matrix.i}"
  outputs = ["o${matrix.i}"]
}
pipeline "release" {
  stages = [stage.t]
}
`, n))
	return y
}

// BenchmarkExecCold1000: a thousand trivial steps, from nothing, against a
// shell that is started a thousand times.
func BenchmarkExecCold1000(b *testing.B) {
	y := trivialSteps(b, 1000)
	sh, err := exec.LookPath("sh")
	if err != nil {
		b.Skipf("no shell to compare with: %v", err)
	}
	pair(b, func() {
		y.env = append(y.env, "AIRBUILD_CACHE="+b.TempDir())
		y.do(y.bin, "run", "release")
	}, func() {
		for i := range 1000 {
			y.do(sh, "-c", fmt.Sprintf("echo %d > o%d", i, i))
		}
	})
}

// BenchmarkExecCached1000: the same thousand steps, all hits, against lstat
// of what they made.
func BenchmarkExecCached1000(b *testing.B) {
	y := trivialSteps(b, 1000)
	y.do(y.bin, "run", "release")
	pair(b, func() {
		if out := y.do(y.bin, "run", "release"); !strings.Contains(out, "1000 hits") {
			b.Fatalf("not all hits:\n%s", out[max(0, len(out)-300):])
		}
	}, func() {
		for i := range 1000 {
			if _, err := os.Lstat(filepath.Join(y.dir, fmt.Sprint("o", i))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVersion: start-up, against the smallest Go program that prints.
func BenchmarkVersion(b *testing.B) {
	y := newYard(b, b.TempDir())
	y.write("main.go", "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"x\\n\") }\n")
	small := filepath.Join(y.dir, "small")
	y.do("go", "build", "-o", small, "main.go")
	pair(b, func() {
		if out := y.do(y.bin, "version"); !bytes.HasPrefix([]byte(out), []byte("airbuild")) {
			b.Fatal(out)
		}
	}, func() { y.do(small) })
}
