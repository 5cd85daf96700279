package golang

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	modpath "golang.org/x/mod/module"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
	"github.com/airbuild/airbuild/tasks/golang/goproxy/proxytest"
)

// fakeGo is a toolchain that is small.
var fakeGo = goproxy.Toolchain{Version: "go1.30.1", Host: runtime.GOOS + "-" + runtime.GOARCH}

// A connected is a project beside a proxy with a checksum database.
type connected struct {
	*project
	*proxytest.Proxy
	env map[string]string
}

func (c *connected) write(files map[string]string) { c.project.write(files) }

// newConnected publishes what files require: two proven modules, a private one
// and a toolchain.
func newConnected(t *testing.T, prove bool) *connected {
	t.Helper()
	x := proxytest.New(t)
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		x.Publish("example.org/dep", v, map[string]string{"go.mod": "module example.org/dep\n\ngo 1.26\n\nrequire example.org/far v0.1.0\n", "dep.go": "package dep\n\nconst Name = \"dep " + v + "\"\n", "far/far.go": "package far\n\nimport _ \"example.org/far\"\n"})
	}
	x.Publish("example.org/far", "v0.1.0", map[string]string{"go.mod": "module example.org/far\n\ngo 1.26\n", "far.go": "package far\n"})
	x.Publish("example.org/private", "v1.0.0", map[string]string{"go.mod": "module example.org/private\n\ngo 1.26\n", "p.go": "package private\n"})
	x.PublishToolchain(fakeGo, map[string]string{"VERSION": fakeGo.Version + "\n", "bin/go" + gocmd.Exe(runtime.GOOS, runtime.GOARCH): "#!/bin/sh\n", "src/_go.mod": "module std\n"})
	if prove {
		x.Prove(moduleAt("example.org/dep", "v1.0.0"), moduleAt("example.org/dep", "v1.1.0"), moduleAt("example.org/far", "v0.1.0"), fakeGo.Module())
	}
	var sums strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(string(x.Sums.Bytes())), "\n") {
		if strings.HasPrefix(line, "example.org/dep v1.0.0") || strings.HasPrefix(line, "example.org/private") {
			sums.WriteString(line + "\n")
		}
	}
	c := &connected{Proxy: x, env: map[string]string{"GOPROXY": gocmd.ProxyURL(x.Dir), "GOSUMDB": x.Key, "GONOSUMDB": "example.org/private", "GOMODCACHE": writable(t), "GOENV": "off", "GOPRIVATE": ""}}
	c.project = newProject(t, map[string]string{
		"go.mod":       "module example.com/m\n\ngo 1.26\n\nrequire (\n\texample.org/dep v1.0.0\n\texample.org/private v1.0.0\n)\n",
		"go.sum":       sums.String(),
		"main.go":      "package main\n\nimport (\n\t\"example.org/dep\"\n\t_ \"example.org/private\"\n)\n\nfunc main() { println(dep.Name) }\n",
		"tools/go.mod": "module example.com/m/tools\n\ngo 1.26\n\nrequire example.org/dep v1.1.0\n",
		"tools/t.go":   "package tools\n\nimport _ \"example.org/dep\"\n",
	})
	if !prove {
		c.env["GOSUMDB"] = x.Key + " " + gocmd.ProxyURL(filepath.Join(x.Dir, "nowhere"))
	}
	c.cfg = c.config()
	return c
}

func moduleAt(path, v string) modpath.Version { return modpath.Version{Path: path, Version: v} }

// config is that of the connected side.
func (c *connected) config() *gocmd.Config {
	lookup := c.project.cfg.LookupEnv
	return &gocmd.Config{Toolchain: c.project.cfg.Toolchain, Root: c.root, LookupEnv: func(name string) (string, bool) {
		if v, ok := c.env[name]; ok {
			return v, true
		}
		return lookup(name)
	}}
}

// writable is a directory that may hold a module cache, whose files are
// read-only.
func writable(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				err = os.Chmod(name, 0o755)
			}
			return err
		})
	})
	return dir
}

// offline makes the project one of a host that has nothing but the tree.
func (c *connected) offline(t *testing.T, tree string) {
	c.cfg = c.config()
	c.cfg.Offline = &gocmd.Offline{Carried: tree, Home: writable(t)}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err == nil { // the standard library need not be compiled again
		err = os.Symlink(strings.TrimSpace(string(cache)), filepath.Join(c.cfg.Offline.Home, "build"))
	}
	if err != nil {
		t.Log(err)
	}
	c.env = map[string]string{"GOPROXY": "https://proxy.invalid", "GOSUMDB": c.Key + " https://sum.invalid", "GOPRIVATE": "*", "GOMODCACHE": filepath.Join(c.state, "none")}
}

func (c *connected) collect(t *testing.T, o Collection) (string, *Collected) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "tree")
	var log strings.Builder
	o.Log = &log
	got, err := Collect(t.Context(), c.cfg, out, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return out, got
}

func TestCollect(t *testing.T) {
	c := newConnected(t, true)
	tree, got := c.collect(t, Collection{Toolchains: []goproxy.Toolchain{fakeGo}})
	evidence := map[string]goproxy.Evidence{}
	for _, m := range got.Report.Modules {
		evidence[m.Version.String()] = m.Evidence
	}
	for name, want := range map[string]goproxy.Evidence{
		"example.org/dep@v1.0.0": goproxy.ByProof, "example.org/dep@v1.1.0": goproxy.ByProof, "example.org/far@v0.1.0": goproxy.ByProof,
		"example.org/private@v1.0.0": goproxy.BySum, fakeGo.Module().String(): goproxy.ByProof,
	} {
		if e, ok := evidence[name]; !ok || e != want {
			t.Errorf("%s: %v, %v", name, e, ok)
		}
	}
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "example.org/private@v1.0.0") {
		t.Errorf("notes: %q", got.Notes)
	}
	sums, err := goproxy.TreeSums(tree)
	if err != nil || !slices.Equal(sums.Modules(), []string{"example.org/private"}) {
		t.Errorf("sums: %v, %v", sums, err)
	}
	r, err := goproxy.Verify(t.Context(), tree, goproxy.Options{Database: c.Key})
	if err != nil || r.Count(goproxy.ByProof) != 4 || r.Count(goproxy.ByRecord) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	dest := t.TempDir()
	if _, err := goproxy.InstallToolchain(t.Context(), tree, fakeGo, dest, goproxy.InstallOptions{Options: goproxy.Options{Database: c.Key}}); err != nil {
		t.Fatal(err)
	}
	none := func(string) (string, error) { return "", fs.ErrNotExist }
	for _, wanted := range []string{"", "1.30.1", "1.30", ">= 1.30"} {
		if tc, err := gocmd.FindToolchain(wanted, func(string) (string, bool) { return "", false }, none, dest); err != nil || tc.Version != fakeGo.Version || !tc.Release {
			t.Errorf("%q: %+v, %v", wanted, tc, err)
		}
	}
}

// Where no database can be asked, go.sum vouches for what it names, and the
// sums of the rest are recorded.
func TestCollectWithoutDatabase(t *testing.T) {
	c := newConnected(t, false)
	c.env["GONOSUMDB"] = ""
	tree, got := c.collect(t, Collection{Toolchains: []goproxy.Toolchain{fakeGo}})
	if n := len(got.Notes); n < 3 || !strings.Contains(strings.Join(got.Notes, "\n"), "no proofs for .: the checksum database could not be asked") {
		t.Errorf("notes: %q", got.Notes)
	}
	if got.Report.Count(goproxy.BySum) != 2 || got.Report.Count(goproxy.ByProof) != 0 {
		t.Errorf("%+v", got.Report)
	}
	r, err := goproxy.Verify(t.Context(), tree, goproxy.Options{Database: c.Key})
	if err != nil || r.Count(goproxy.ByRecord) != len(r.Modules) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCollectRefusesOtherSums(t *testing.T) {
	for _, prove := range []bool{true, false} {
		c := newConnected(t, prove)
		c.write(map[string]string{"go.sum": strings.Replace(c.read("go.sum"), "h1:", "h1:AAAA", 1)})
		if _, err := Collect(t.Context(), c.cfg, filepath.Join(t.TempDir(), "tree"), Collection{}); err == nil || !strings.Contains(err.Error(), "checksum mismatch") && !strings.Contains(err.Error(), "expected h1:AAAA") {
			t.Errorf("prove %v: %v", prove, err)
		}
	}
}

// Heads that the receiver has make what is collected join what it has.
func TestCollectContinuesHeads(t *testing.T) {
	c := newConnected(t, true)
	have, _ := c.collect(t, Collection{Dirs: []string{"."}})
	head, err := os.ReadFile(filepath.Join(have, "sumdb", c.Name, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		c.Publish("example.org/new", "v1.0."+string(rune('0'+i)), map[string]string{"go.mod": "module example.org/new\n"})
	}
	c.Prove() // the database grows, and its head with it
	more, _ := c.collect(t, Collection{Dirs: []string{"tools"}, Heads: map[string][]byte{c.Name: head}})
	if err := goproxy.Merge(t.Context(), have, more); err != nil {
		t.Fatal(err)
	}
	r, err := goproxy.Verify(t.Context(), have, goproxy.Options{Database: c.Key})
	if err != nil || r.Count(goproxy.ByProof) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Everything that is about modules works on a host that has nothing but the
// tree, with the same keys.
func TestOfflineFromCarriedTree(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	c := newConnected(t, true)
	online := map[string]string{}
	all := []string{"./..."}
	stages := func() [][]engine.Step {
		return [][]engine.Step{
			c.plan(&build{c.cfg}, c.block("go_build")),
			c.plan(&vet{c.cfg}, c.block("go_vet", "packages", all)),
			c.plan(&test{c.cfg}, c.block("go_test", "packages", all)),
			c.plan(&tidy{c.cfg}, c.block("go_tidy")),
			c.plan(&download{c.cfg}, c.block("go_download")),
			c.plan(&vendor{c.cfg}, c.block("go_vendor", "output", "third")),
		}
	}
	key := func(s engine.Step) string {
		l, err := s.Discoverer.Discover(t.Context(), c.workspace())
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, in := range l.Inputs {
			b.WriteString(in.Path + " " + string(in.Text) + "\n")
		}
		for _, f := range l.Facts {
			b.WriteString(f.Name + " " + f.Value + "\n")
		}
		return b.String() + strings.Join(s.Command.Arguments, " ")
	}
	for _, steps := range stages() {
		online[steps[0].Type] = key(steps[0])
	}
	tree, _ := c.collect(t, Collection{})
	c.offline(t, tree)
	if err := os.RemoveAll(filepath.Join(c.state, "closures")); err != nil {
		t.Fatal(err)
	}
	for _, steps := range stages() {
		name := steps[0].Type
		if steps[0].Network {
			if err := c.cfg.WorksOffline(t.Context(), &steps[0]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := key(steps[0]); got != online[name] {
			t.Errorf("%s: other key:\n%s\nonline:\n%s", name, got, online[name])
		}
		if st, log := c.runSteps(steps); st != engine.Done {
			t.Errorf("%s: %v\n%s", name, st, log)
		}
	}
	if tree := filepath.Join(c.root, "dist", "modules"); !gocmd.HasProofs(tree, c.Name) {
		t.Error("go_download offline lost the proofs")
	}
}

// The go command itself verifies what it takes from the tree: by the proofs,
// not by trust.
func TestOfflineGoGet(t *testing.T) {
	c := newConnected(t, true)
	tree, _ := c.collect(t, Collection{})
	for _, tamper := range []bool{false, true} {
		c.offline(t, tree)
		if tamper {
			bad := moduleAt("example.org/dep", "v1.1.0")
			rel, _ := goproxy.RelPath(bad, "zip")
			c.WriteFile(filepath.Join(tree, rel), proxytest.Zip(t, bad, map[string]string{"dep.go": "package dep\n\nconst Name = \"evil\"\n"}))
		}
		env, err := c.cfg.OwnEnv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tc, _ := c.cfg.FoundToolchain()
		out, err := gocmd.RunGo(t.Context(), tc, c.root, append(env, "GOFLAGS="), "get", "example.org/dep@latest")
		if !tamper {
			if err != nil || !strings.Contains(c.read("go.mod"), "example.org/dep v1.1.0") {
				t.Errorf("%v\n%s\n%s", err, out, c.read("go.mod"))
			}
			c.write(map[string]string{"go.mod": strings.Replace(c.read("go.mod"), "dep v1.1.0", "dep v1.0.0", 1), "go.sum": ""})
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "checksum mismatch") {
			t.Errorf("a tampered module was taken: %v\n%s", err, out)
		}
	}
}

func TestOfflineNamesWhatIsMissing(t *testing.T) {
	c := newConnected(t, true)
	tree, _ := c.collect(t, Collection{Dirs: []string{"tools"}})
	c.offline(t, tree)
	missing, err := c.cfg.MissingModules(t.Context(), ".")
	if err != nil || len(missing) != 1 || missing[0] != moduleAt("example.org/private", "v1.0.0") {
		// dep v1.0.0 is there: the graph of tools names its go.mod, and no more
		if len(missing) != 2 || missing[0] != moduleAt("example.org/dep", "v1.0.0") {
			t.Fatalf("%v, %v", missing, err)
		}
	}
	_, err = c.plan(&build{c.cfg}, c.block("go_build"))[0].Discoverer.Discover(t.Context(), c.workspace())
	if err == nil || !strings.Contains(err.Error(), `a bundle with the component "modules" would bring it`) || !strings.Contains(err.Error(), "example.org/private v1.0.0") {
		t.Errorf("%v", err)
	}
	steps := c.plan(&vendor{c.cfg}, c.block("go_vendor"))
	if err := c.cfg.WorksOffline(t.Context(), &steps[0]); err == nil || !strings.Contains(err.Error(), "example.org/private v1.0.0") {
		t.Errorf("%v", err)
	}
	b := c.block("go_vendor")
	b.Values["modules"] = tasks.Value{Range: b.Range, Stages: []tasks.StageValue{{Name: "m", Type: "go_download", Steps: []tasks.StepOutputs{{ID: 0, Outputs: []string{"dist/modules"}}}}}}
	if err := c.cfg.WorksOffline(t.Context(), &c.plan(&vendor{c.cfg}, b)[0]); err != nil {
		t.Errorf("from a tree of the project's own: %v", err)
	}
}

func TestOfflineVariables(t *testing.T) {
	host := func(name string) (string, bool) {
		v, ok := map[string]string{"GOPROXY": "https://a.invalid", "GOSUMDB": "off", "GOPRIVATE": "corp.example/*", "HTTPS_PROXY": "http://p.invalid", "GOMODCACHE": "/user/mod", "HOME": "/user"}[name]
		return v, ok
	}
	tree := t.TempDir()
	if err := goproxy.WriteSums(tree, goproxy.Sums{"example.org/private v1.0.0": "h1:x"}); err != nil {
		t.Fatal(err)
	}
	c := &gocmd.Config{LookupEnv: host, Offline: &gocmd.Offline{Carried: tree, Proxies: []string{"file:///more"}, Home: filepath.Join(tree, "home")}}
	url := gocmd.ProxyURL(tree)
	for name, want := range map[string]string{
		"GOPROXY": url + ",file:///more", "GONOPROXY": "none", "GOVCS": "*:off", "GOENV": "off", "GOPRIVATE": "", "HTTPS_PROXY": "",
		"GOSUMDB":    "sum.golang.org " + url + "/sumdb/sum.golang.org",
		"GONOSUMDB":  "example.org/private,corp.example/*",
		"GOMODCACHE": filepath.Join(tree, "home", "mod"), "GOCACHE": filepath.Join(tree, "home", "build"), "HOME": "/user",
	} {
		if got, _ := c.Lookup(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	c.Offline = &gocmd.Offline{}
	for name, want := range map[string]string{"GOPROXY": "off", "GOSUMDB": "off", "GOMODCACHE": "/user/mod", "GOPRIVATE": "corp.example/*"} {
		if got, _ := c.Lookup(name); got != want {
			t.Errorf("nothing carried: %s: got %q, want %q", name, got, want)
		}
	}
}

// A module that the graph names, of which nothing is used and whose zip no
// proxy has, is left out; one that go.sum names is an error.
func TestCollectLeavesOut(t *testing.T) {
	c := newConnected(t, true)
	if err := os.Remove(c.Path(moduleAt("example.org/far", "v0.1.0"), "zip")); err != nil {
		t.Fatal(err)
	}
	_, got := c.collect(t, Collection{Dirs: []string{"."}})
	if !strings.Contains(strings.Join(got.Notes, "\n"), "not available, and not needed to build .: example.org/far v0.1.0") {
		t.Errorf("notes: %q", got.Notes)
	}
	if err := os.Remove(c.Path(moduleAt("example.org/private", "v1.0.0"), "zip")); err != nil {
		t.Fatal(err)
	}
	c.env["GOMODCACHE"] = writable(t)
	if _, err := Collect(t.Context(), c.cfg, filepath.Join(t.TempDir(), "tree"), Collection{Dirs: []string{"."}}); err == nil || !strings.Contains(err.Error(), "example.org/private") {
		t.Errorf("%v", err)
	}
}
