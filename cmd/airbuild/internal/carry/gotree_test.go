package carry

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
	"github.com/airbuild/airbuild/tasks/golang/goproxy/proxytest"
)

// moduleTree is a tree of modules with their sums; each has a kilobyte or two
// that does not compress.
func moduleTree(t *testing.T, versions ...string) string {
	t.Helper()
	p := proxytest.New(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, v := range versions {
		for i := range 4 {
			var text strings.Builder
			for range 200 {
				fmt.Fprintf(&text, "// %x\n", r.Uint64())
			}
			mod := fmt.Sprintf("example.org/m%d", i)
			p.Publish(mod, v, map[string]string{"go.mod": "module " + mod + "\n", "m.go": text.String() + "package m\n"})
		}
	}
	sums := goproxy.Sums{}
	maps.Copy(sums, p.Sums)
	if err := goproxy.WriteSums(p.Dir, sums); err != nil {
		t.Fatal(err)
	}
	return p.Dir
}

func moduleBundle(t *testing.T, sequence int64, tree string) *bundle.Bundle {
	t.Helper()
	files, err := below(tree, tree)
	if err != nil {
		t.Fatal(err)
	}
	return made(t, sequence, 4<<10, goParts(files)...) // many packs
}

func TestModulesOfManyPacks(t *testing.T) {
	r := newReceiver(t)
	b := moduleBundle(t, 1, moduleTree(t, "v1.0.0"))
	if n := len(b.Root().Packs); n < 2 {
		t.Fatalf("%d packs", n)
	}
	if _, err := r.take(b); err != nil {
		t.Fatal(err)
	}
	second := moduleBundle(t, 2, moduleTree(t, "v1.0.0", "v1.1.0"))
	got, err := r.take(second)
	if err != nil || got.Kept == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		if _, err := os.Stat(filepath.Join(GoProxy(r.cache), "example.org", "m3", "@v", v+".zip")); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(Carried(r.cache, "incoming")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("incoming stays: %v", err)
	}
	if got, err := r.take(second); err != nil || !got.Already {
		t.Errorf("%+v, %v", got, err)
	}
	// A module that was damaged since then comes anew.
	zip := filepath.Join(GoProxy(r.cache), "example.org", "m1", "@v", "v1.1.0.zip")
	if err := os.Chmod(zip, 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(zip)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(text)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(zip, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.take(second); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(zip); err != nil || !slices.Equal(now, text) {
		t.Errorf("the module is still damaged: %v", err)
	}
}

func TestModulesRefused(t *testing.T) {
	tree := moduleTree(t, "v1.0.0")
	other := moduleTree(t, "v1.0.0", "v1.1.0")
	swapped := filepath.Join("example.org", "m2", "@v", "v1.0.0.zip")
	text, err := os.ReadFile(filepath.Join(other, "example.org", "m2", "@v", "v1.1.0.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(tree, swapped), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, swapped), text, 0o644); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	if _, err := r.take(moduleBundle(t, 1, tree)); !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), "example.org/m2") {
		t.Fatalf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(GoProxy(r.cache), swapped)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is where Go would find it: %v", err)
	}
	if all, err := install.List(r.cache); err != nil || len(all) > 0 {
		t.Errorf("published: %v, %v", all, err)
	}
	// What it left does not stand in the way of a good one.
	if _, err := r.take(moduleBundle(t, 2, moduleTree(t, "v1.0.0"))); err != nil {
		t.Error(err)
	}
	// Modules that nobody vouches for.
	tree = moduleTree(t, "v1.0.0")
	if err := os.Remove(filepath.Join(tree, goproxy.SumsName)); err != nil {
		t.Fatal(err)
	}
	if _, err := newReceiver(t).take(moduleBundle(t, 1, tree)); !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), "neither a proof nor a recorded sum") {
		t.Errorf("%v", err)
	}
}

func TestComponentOfFile(t *testing.T) {
	for p, want := range map[string]string{
		"sumdb/sum.golang.org/latest":                                SumDB,
		"golang.org/toolchain/@v/v0.0.1-go1.26.8.linux-amd64.zip":    "toolchain/linux-amd64",
		"golang.org/toolchain/@v/v0.0.1-go1.26.8.windows-arm64.info": "toolchain/windows-arm64",
		"golang.org/toolchain/@v/list":                               Modules,
		"golang.org/x/mod/@v/v0.40.0.zip":                            Modules,
		"go.sum":                                                     Modules,
	} {
		if got := goComponentOf(p); got != want {
			t.Errorf("%s: %s, want %s", p, got, want)
		}
	}
}
