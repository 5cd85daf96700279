package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkScale measures what docs/performance.md says under Scale: the time
// and the peak memory of a command when nothing is to be done, on projects and
// a store of sizes that few have. Making them takes most of an hour and 12 GB.
//
//	go test ./cmd/airbuild -run '^$' -bench Scale -benchtime 5x -timeout 3h
func BenchmarkScale(b *testing.B) {
	cells := func(n int) string {
		return fmt.Sprintf("stage \"template\" \"t\" {\n  matrix = { i = range(%d) }\n  text   = \"number ${matrix.i}\"\n  output = \"o${matrix.i}\"\n}\n", n)
	}
	diamond := func(n int) string {
		return cells(n) + "stage \"checksum\" \"sums\" {\n  files = stage.t.paths\n}\n" +
			strings.NewReplacer(`"t"`, `"u"`, `"o$`, `"u$`, "output", "after  = [stage.sums]\n  output").Replace(cells(n)) +
			"pipeline \"release\" {\n  stages = [stage.u]\n}\n"
	}
	all := "pipeline \"release\" {\n  stages = [stage.t]\n}\n"
	for _, c := range []struct {
		name  string
		steps int
		file  string
	}{
		{"wide-10000", 10_000, cells(10_000) + all},
		{"wide-100000", 100_000, cells(100_000) + all},
		{"deep-10000", 10_000, chain(10_000)},
		{"diamond-20001", 20_001, diamond(10_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			y := newYard(b, b.TempDir())
			y.write("Airbuildfile", c.file)
			y.do(y.bin, "run", "release")
			y.measure(fmt.Sprintf("%d hits", c.steps), "run", "release")
		})
	}
	b.Run("glob-200000", func(b *testing.B) {
		y := newYard(b, b.TempDir())
		y.write("Airbuildfile", "stage \"exec\" \"t\" {\n  inputs  = [\"in/**\"]\n  command = [\"cp\", \"in/0/0\", \"out\"]\n  outputs = [\"out\"]\n}\n"+all)
		for i := range 200_000 {
			dir := filepath.Join("in", fmt.Sprint(i/500))
			if err := os.MkdirAll(filepath.Join(y.dir, dir), 0o777); err != nil {
				b.Fatal(err)
			}
			y.write(filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i))
		}
		y.do(y.bin, "run", "release")
		y.measure("1 hit", "run", "release")
	})
	y := newYard(b, b.TempDir())
	y.env = append(y.env, "AIRBUILD_CACHE="+filepath.Join(y.dir, "cache"))
	for _, command := range []string{"info", "prune --dry-run", "verify"} {
		b.Run("store-1000000-"+strings.Fields(command)[0], func(b *testing.B) {
			y.b = b
			y.fillStore(1_000_000, 4500)
			y.measure("", append([]string{"cache"}, strings.Fields(command)...)...)
		})
	}
}

// chain is a file of n stages, each after the one before.
func chain(n int) string {
	var f strings.Builder
	for i := range n {
		fmt.Fprintf(&f, "stage \"template\" \"t%d\" {\n  text   = \"%d\"\n  output = \"o%d\"\n", i, i, i)
		if i > 0 {
			fmt.Fprintf(&f, "  after  = [stage.t%d]\n", i-1)
		}
		f.WriteString("}\n")
	}
	fmt.Fprintf(&f, "pipeline \"release\" {\n  stages = [stage.t%d]\n}\n", n-1)
	return f.String()
}

// measure runs airbuild and reports the largest peak of its memory.
func (y *yard) measure(want string, args ...string) {
	y.b.Helper()
	peak := int64(0)
	for y.b.Loop() {
		cmd := exec.Command(y.bin, args...)
		cmd.Dir, cmd.Env = y.dir, y.env
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			y.b.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out[max(0, len(out)-300):])
		}
		peak = max(peak, peakMemory(cmd.ProcessState))
	}
	y.b.ReportMetric(float64(peak)/1e6, "peak-MB")
}

// fillStore makes a store of n blobs of the given size, unless it is there.
func (y *yard) fillStore(n, size int) {
	y.b.Helper()
	cas := filepath.Join(y.dir, "cache", "cas")
	if _, err := os.Stat(cas); err == nil {
		return
	}
	for i := range 256 {
		if err := os.MkdirAll(filepath.Join(cas, fmt.Sprintf("%02x", i)), 0o777); err != nil {
			y.b.Fatal(err)
		}
	}
	content := make([]byte, size)
	for i := range n {
		copy(content, fmt.Sprintln(i))
		sum := sha256.Sum256(content)
		name := hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(cas, name[:2], name), content, 0o444); err != nil {
			y.b.Fatal(err)
		}
	}
}
