package load

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var platforms = []string{
	"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64",
	"freebsd/amd64", "js/wasm", "linux/386", "linux/mips64le",
}

// The distribution, for all platforms, without cgo.
func TestDistribution(t *testing.T) {
	if testing.Short() {
		t.Skip("lists the distribution with the go command")
	}
	facts := &Facts{}
	src := filepath.Join(goSetting(t, "GOROOT"), "src")
	for _, p := range platforms {
		t.Log(p, same(t, newQuery(t, src, p, "std", "cmd"), facts), "packages")
	}
}

// The distribution with what hangs on more than the platform.
func TestDistributionOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("lists the distribution with the go command")
	}
	facts := &Facts{}
	src := filepath.Join(goSetting(t, "GOROOT"), "src")
	cmd := filepath.Join(src, "cmd")
	for name, q := range map[string]Query{
		"cgo":        {Dir: src, Patterns: []string{"std", "cmd"}, Cgo: true},
		"directory":  {Dir: cmd, Patterns: []string{"./..."}},
		"everything": {Dir: src, Patterns: []string{"./..."}},
		"race":       {Dir: cmd, Patterns: []string{"cmd/go"}, Cgo: true, Race: true},
		"tags":       {Dir: src, Patterns: []string{"net", "os/user", "time"}, Tags: []string{"netgo", "osusergo", "timetzdata", "faketime"}},
		"variant":    {Dir: src, Patterns: []string{"std"}, Variant: "v3"},
		"tests":      {Dir: src, Patterns: []string{"os", "testing", "net/http/...", "./internal/godebug", "runtime/..."}, Test: true},
		"tests cgo":  {Dir: cmd, Patterns: []string{"./go", "./compile/...", "./internal/..."}, Test: true, Cgo: true},
		"literal":    {Dir: filepath.Join(cmd, "go"), Patterns: []string{"."}},
		"above":      {Dir: filepath.Join(cmd, "go"), Patterns: []string{"../nm", "../internal/obj/..."}},
		"cmd by std": {Dir: src, Patterns: []string{"cmd/vet", "unsafe"}},
	} {
		t.Run(name, func(t *testing.T) {
			full := newQuery(t, q.Dir, host(), q.Patterns...)
			full.Cgo, full.Race, full.Tags, full.Variant, full.Test = q.Cgo, q.Race, q.Tags, q.Variant, q.Test
			askGo(t, &full)
			if strings.Contains(strings.Join(q.Patterns, " "), "http/...") {
				for i, p := range q.Patterns {
					if rest, ok := strings.CutSuffix(p, "/..."); ok && p[0] != '.' {
						full.Patterns[i] = "./" + rest + "/..."
					}
				}
			}
			t.Log(same(t, full, facts), "packages")
		})
	}
}

// airbuild itself, from the module cache and vendored.
func TestSelf(t *testing.T) {
	if testing.Short() {
		t.Skip("lists a large module with the go command")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	facts := &Facts{}
	dir := selfCopy(t, root)
	vendored := selfCopy(t, root)
	cmd := exec.Command("go", "mod", "vendor", "-o", filepath.Join(vendored, "vendor"))
	cmd.Dir = vendored
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %v\n%s", err, out)
	}
	for _, p := range []string{"linux/amd64", "windows/amd64", "darwin/arm64"} {
		t.Log(p, same(t, newQuery(t, dir, p, "./cmd/airbuild"), facts), same(t, newQuery(t, vendored, p, "./..."), facts))
	}
	q := newQuery(t, dir, host(), "./...")
	q.Test, q.Cgo = true, true
	t.Log("tests:", same(t, q, facts))
	q.Dir = vendored
	q.Patterns = []string{"./cmd/...", "./engine/..."}
	q.Test = false
	t.Log("vendored:", same(t, q, facts))
	q.Mod = "readonly"
	t.Log("not vendored:", same(t, q, facts))
}

// selfCopy copies the module without what is not a source.
func selfCopy(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "cmd", "docs", "dsl", "engine", "internal", "pipelines", "tasks", "testdata"} {
		from, to := filepath.Join(root, name), filepath.Join(dir, name)
		if fi, err := os.Stat(from); err != nil {
			continue
		} else if fi.IsDir() {
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// All sample projects.
func TestSamples(t *testing.T) {
	mods, err := filepath.Glob("../../../testdata/samples/*/go.*")
	if err != nil || len(mods) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	facts := &Facts{}
	for _, mod := range mods {
		dir, err := filepath.Abs(filepath.Dir(mod))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(dir)+" "+filepath.Base(mod), func(t *testing.T) {
			q := newQuery(t, dir, host(), "./...")
			switch filepath.Base(mod) {
			case "go.sum":
				return
			case "go.work":
				q.Work = filepath.Join(dir, "go.work")
				q.Patterns = []string{"./app/...", "./lib/..."}
			}
			for _, test := range []bool{false, true} {
				for _, cgo := range []bool{true, false} {
					q.Test, q.Cgo = test, cgo
					if filepath.Base(dir) == "private" {
						if r, err := Load(q, disk{}, facts); err == nil {
							t.Errorf("an answer without the module: %v", r)
						}
						return
					}
					same(t, q, facts)
				}
			}
		})
	}
}
