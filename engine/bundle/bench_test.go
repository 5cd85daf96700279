package bundle_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// workload copies Go's own cmd and net trees and its programs into a directory:
// some thousand small files of text and a few large binaries. It returns the
// directory and its size in bytes.
func workload(b *testing.B) (dir string, size int64) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip("there is no go command here")
	}
	root := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(root, "src", "cmd")); err != nil {
		b.Skip("there is no Go tree here")
	}
	dir = b.TempDir()
	for _, from := range []string{"src/cmd", "src/net", "src/runtime", "bin", "pkg/tool"} {
		err := filepath.WalkDir(filepath.Join(root, from), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			rel, _ := filepath.Rel(root, name)
			if format.CheckPath(filepath.ToSlash(rel)) != nil {
				return nil
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			size += int64(len(text))
			to := filepath.Join(dir, rel)
			return errorsJoin(os.MkdirAll(filepath.Dir(to), 0o777), os.WriteFile(to, text, 0o666))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return dir, size
}

func errorsJoin(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func dirSpec(b testing.TB, dir string, sequence int64) create.Spec {
	c := create.Component{Name: "modules"}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		c.Files = append(c.Files, create.FileInput(filepath.ToSlash(rel), name, false))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return create.Spec{Name: "bench", Sequence: sequence, Created: time.Unix(0, 0), Components: []create.Component{c}}
}

// shell times a script with the same files: what a user would do by hand.
func shell(b *testing.B, script string, args ...string) time.Duration {
	b.Helper()
	for _, p := range []string{"sh", "tar", "zstd", "sha256sum", "xargs"} {
		if _, err := exec.LookPath(p); err != nil {
			b.Skipf("there is no %s here", p)
		}
	}
	start := time.Now()
	out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return time.Since(start)
}

// compare runs ours and the peer's in turn and reports how many times as fast
// ours is ("speed", to be 0.7 or more) and its throughput in files' bytes.
func compare(b *testing.B, size int64, ours func(n int), peer func(n int) time.Duration) {
	b.ReportAllocs()
	b.SetBytes(size)
	var theirs time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		theirs += peer(n)
		b.StartTimer()
		ours(n)
		n++
	}
	b.ReportMetric(theirs.Seconds()/b.Elapsed().Seconds(), "speed")
}

// remove clears up, which is not timed.
func remove(b *testing.B, dir string) {
	b.StopTimer()
	os.RemoveAll(dir)
	b.StartTimer()
}

func BenchmarkCreate(b *testing.B) {
	dir, size := workload(b)
	out := b.TempDir()
	compare(b, size, func(n int) {
		to := filepath.Join(out, fmt.Sprint(n))
		if _, err := create.Bundle(context.Background(), to, dirSpec(b, dir, 1), create.Options{}); err != nil {
			b.Fatal(err)
		}
		remove(b, to)
	}, func(int) time.Duration {
		d := shell(b, `tar -C "$1" -cf - . | zstd -q -T0 -o "$2"; (cd "$1" && find . -type f -print0 | xargs -0 sha256sum) >"$2.sums"; sync "$2"`, dir, filepath.Join(out, "t.zst"))
		os.Remove(filepath.Join(out, "t.zst"))
		return d
	})
}

func made(b *testing.B) (dir, layout string, size int64) {
	dir, size = workload(b)
	layout = filepath.Join(b.TempDir(), "bundle")
	r, err := create.Bundle(b.Context(), layout, dirSpec(b, dir, 1), create.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d files of %d bytes in %d bytes", r.Components[0].Files, size, r.Carried())
	return dir, layout, size
}

func packedByHand(b *testing.B, dir string) string {
	name := filepath.Join(b.TempDir(), "t.zst")
	shell(b, `tar -C "$1" -cf - . | zstd -q -T0 -o "$2"; sha256sum "$2" >"$2.sum"`, dir, name)
	return name
}

func BenchmarkVerify(b *testing.B) {
	dir, layout, size := made(b)
	byHand := packedByHand(b, dir)
	compare(b, size, func(int) {
		x, err := bundle.Open(context.Background(), bundletest.Anyone, layout)
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		if r, err := x.Verify(context.Background(), bundle.VerifyOptions{}); err != nil || !r.OK() {
			b.Fatal(r, err)
		}
	}, func(int) time.Duration { return shell(b, `sha256sum -c "$1.sum"`, byHand) })
}

func BenchmarkImport(b *testing.B) {
	dir, layout, size := made(b)
	byHand := packedByHand(b, dir)
	out := b.TempDir()
	compare(b, size, func(n int) {
		to := filepath.Join(out, fmt.Sprint(n))
		x, err := bundle.Open(context.Background(), bundletest.Anyone, layout)
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		s, err := install.NewDirSink(filepath.Join(to, "files"), install.DirOptions{})
		if err != nil {
			b.Fatal(err)
		}
		_, err = install.Bundle(context.Background(), x, install.Options{Cache: to, Sink: func(string) (install.Sink, error) { return s, nil }})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
		remove(b, to)
	}, func(int) time.Duration {
		to := filepath.Join(out, "by-hand")
		d := shell(b, `mkdir "$2"; sha256sum -c "$1.sum"; zstd -q -dc "$1" | tar -C "$2" -xf -; (cd "$2" && find . -type f -print0 | xargs -0 sha256sum) >"$2.sums"; sync -f "$2"`, byHand, to)
		os.RemoveAll(to)
		return d
	})
}

// BenchmarkDelta changes one file and reports the delta's size in percent of
// the full bundle's (to be 3 or less) and a receipt's bytes a content.
func BenchmarkDelta(b *testing.B) {
	dir, layout, size := made(b)
	full, err := bundle.Open(b.Context(), bundletest.Anyone, layout)
	if err != nil {
		b.Fatal(err)
	}
	defer full.Close()
	out := b.TempDir()
	b.SetBytes(size)
	b.ReportAllocs()
	var carried int64
	for b.Loop() {
		s := dirSpec(b, dir, 2)
		text := "package main // changed\n"
		s.Components[0].Files[0].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
		s.Base = create.BaseOfBundle(full)
		r, err := create.Bundle(b.Context(), out, s, create.Options{Replace: true})
		if err != nil {
			b.Fatal(err)
		}
		carried = r.Carried()
	}
	b.ReportMetric(100*float64(carried)/float64(full.Root().Carried()), "%full")
	b.ReportMetric(float64(len(receiptOf(b, full)))/float64(len(full.Contents().Index.Contents)), "B/content")
}

func receiptOf(b *testing.B, x *bundle.Bundle) []byte {
	have := map[[32]byte]bool{}
	for _, c := range x.Contents().Index.Contents {
		have[c.Digest.Hash] = true
	}
	var w strings.Builder
	r := format.NewReceipt([]string{x.Digest()}, have)
	if _, err := r.WriteTo(&w); err != nil {
		b.Fatal(err)
	}
	return []byte(w.String())
}

// BenchmarkLevels compares the encoder's levels on the files of the workload,
// block by block.
func BenchmarkLevels(b *testing.B) {
	dir, size := workload(b)
	var raw []byte
	for _, f := range dirSpec(b, dir, 1).Components[0].Files {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			b.Fatal(err)
		}
		raw = append(raw, text...)
	}
	for level := format.BlockLevel; level <= format.IndexLevel; level++ {
		b.Run(level.String(), func(b *testing.B) {
			e, err := format.NewEncoder(level)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			var stored int
			var buf []byte
			for b.Loop() {
				stored = 0
				for rest := raw; len(rest) > 0; {
					n := min(format.BlockSize, len(rest))
					var out []byte
					out, _ = format.EncodeBlock(e, rest[:n], buf)
					stored += len(out)
					rest = rest[n:]
				}
			}
			b.ReportMetric(100*float64(stored)/float64(len(raw)), "%raw")
		})
	}
}
