package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/gocache"
)

// The benchmarks of the compile cache build cmd/go of the distribution's cmd
// module.

const oneTarget = "linux/amd64"

// goBuild builds ./go by hand, with further variables, and links it anew.
func (y *yard) goBuild(env ...string) {
	y.b.Helper()
	base := y.env
	defer func() { y.env = base }()
	y.env = append(slices.Clone(base), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	y.env = append(y.env, env...)
	os.Remove(filepath.Join(y.dir, "by-hand"))
	y.do(y.gobin, "build", "-mod=vendor", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(y.dir, "by-hand"), "./go")
}

// served is the environment of a go command that is served from the store in
// dir.
func (y *yard) served(dir string) []string {
	y.b.Helper()
	place := filepath.Join(dir, "gocache")
	if err := gocache.MakePlace(dir); err != nil {
		y.b.Fatal(err)
	}
	return []string{"GOCACHE=" + place, "GOCACHEPROG=" + y.bin + " " + project.CompileCacheArg + " -store " + dir + " -report " + y.b.TempDir()}
}

// BenchmarkGoCacheFill: nothing is compiled yet, against Go's own cache.
func BenchmarkGoCacheFill(b *testing.B) {
	y := cmdModule(b)
	pair(b,
		func() { y.goBuild(y.served(b.TempDir())...) },
		func() { y.goBuild("GOCACHE=" + b.TempDir()) })
}

// BenchmarkGoCacheWarm: all is compiled and the program is linked, against
// Go's own cache. That is what a step does whose stamp alone has changed.
func BenchmarkGoCacheWarm(b *testing.B) {
	y := cmdModule(b)
	own, served := "GOCACHE="+b.TempDir(), y.served(b.TempDir())
	y.goBuild(own)
	y.goBuild(served...)
	pair(b, func() { y.goBuild(served...) }, func() { y.goBuild(own) })
}

// edits is a project whose one program has been built, and a function that
// changes one line of one of its packages.
func edits(b *testing.B) (y *yard, edit func()) {
	y = cmdModule(b)
	y.write("Airbuildfile", airbuildfile([]string{oneTarget}, []string{"go"}))
	y.do(y.bin, "run", "release")
	name := filepath.Join("go", "internal", "version", "version.go")
	text, err := os.ReadFile(filepath.Join(y.dir, name))
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	return y, func() {
		n++
		y.write(name, string(text)+"\nvar edited"+string(rune('A'+n%26))+" = "+string(rune('0'+n%10))+"\n")
	}
}

// BenchmarkEditCarriedAgainstEmpty: a line changes where the store is a copy
// and GOCACHE is empty, against go build with an empty GOCACHE.
func BenchmarkEditCarriedAgainstEmpty(b *testing.B) {
	y, edit := edits(b)
	y.carry()
	pair(b,
		func() { edit(); y.do(y.bin, "run", "release") },
		func() { y.goBuild("GOCACHE=" + b.TempDir()) })
}

// BenchmarkEditCarriedAgainstWarm: the same against go build with a warm
// GOCACHE that gets the same edit.
func BenchmarkEditCarriedAgainstWarm(b *testing.B) {
	y, edit := edits(b)
	own := "GOCACHE=" + b.TempDir()
	y.goBuild(own)
	y.carry()
	pair(b,
		func() { edit(); y.do(y.bin, "run", "release") },
		func() { edit(); y.goBuild(own) })
}

// carry goes on with a copy of the store, and with an empty GOCACHE.
func (y *yard) carry() {
	y.b.Helper()
	out := y.do(y.bin, "cache", "path")
	to := filepath.Join(y.b.TempDir(), "carried")
	if err := os.CopyFS(to, os.DirFS(out[:len(out)-1])); err != nil {
		y.b.Fatal(err)
	}
	y.env = append(y.env, "AIRBUILD_CACHE="+to, "GOCACHE="+y.b.TempDir())
}

// BenchmarkTakeOver: the first run where the user's own GOCACHE is warm,
// against the same without the compile cache.
func BenchmarkTakeOver(b *testing.B) {
	y, _ := edits(b)
	own := b.TempDir()
	y.goBuild("GOCACHE=" + own)
	base := append(slices.Clone(y.env), "GOCACHE="+own)
	pair(b,
		func() {
			y.env = append(slices.Clone(base), "AIRBUILD_CACHE="+b.TempDir())
			y.do(y.bin, "run", "release")
		},
		func() {
			y.env = append(slices.Clone(base), "AIRBUILD_CACHE="+b.TempDir())
			y.do(y.bin, "run", "release", "--compile-cache", "off")
		})
}
