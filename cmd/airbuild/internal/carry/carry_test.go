package carry

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/store"
)

func TestCheckHost(t *testing.T) {
	for host, ok := range map[string]bool{"linux/amd64": true, "windows/386": true, "linux": false, "/amd64": false, "linux/": false, "linux/arm/v7": false, "Linux/amd64": false, "": false} {
		if err := CheckHost(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestPinName(t *testing.T) {
	long := PinName(strings.Repeat("x", 300))
	if PinName("site") != "bundle-site" || len(long) > 64 || store.CheckPinName(long) != nil || long == PinName(strings.Repeat("x", 301)) {
		t.Errorf("%q, %q", PinName("site"), long)
	}
}

func TestHits(t *testing.T) {
	g := &engine.Graph{}
	add := func(name string, noCache bool, after ...engine.StepID) engine.StepID {
		id, err := g.Add(engine.Step{Name: name, Stage: name, Type: "exec", NoCache: noCache, After: after, Command: action.Command{Arguments: []string{"x"}}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	bin := add("bin", false)
	if hits, never := Hits(g, []string{"release"}, []engine.StepID{bin}); never != 0 || !slices.Equal(hits, []string{"release"}) {
		t.Errorf("%q, %d", hits, never)
	}
	deploy := add("deploy", true, bin)
	told := add("told", false, deploy)
	// A deploy, and what comes after one, must not run in a rehearsal.
	if hits, never := Hits(g, []string{"all"}, []engine.StepID{told}); never != 2 || !slices.Equal(hits, []string{"bin"}) {
		t.Errorf("%q, %d", hits, never)
	}
	if got := Rebuildable([]Made{{deploy, &engine.Step{Name: "d", Type: "go_build", NoCache: true}, action.Digest{}}, {bin, &engine.Step{Name: "b", Type: "go_build"}, action.Digest{}}}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%q", got)
	}
}

func TestExtraFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"w/a.whl": "a", "w/deep/b.whl": "b", "w/c.txt": "c"})
	c, err := ExtraFiles("wheels", dir, []string{"w/*.whl", "w/deep"})
	if err != nil || c.Name != "extra/wheels" || len(c.Files) != 2 || c.Files[1].Path != "w/deep/b.whl" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, p := range []string{"none/*", "[a", ""} {
		if _, err := ExtraFiles("x", dir, []string{p}); err == nil {
			t.Errorf("%q: no error", p)
		}
	}
	if runtime.GOOS != "windows" {
		write(t, dir, map[string]string{"w/l.whl": "-> /etc/passwd"})
		if _, err := ExtraFiles("x", dir, []string{"w/*.whl"}); err == nil {
			t.Error("a link was carried")
		}
	}
}

func TestOutputFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"dist/a": "a", "dist/d/b": "b", "vendor/x": "x"})
	c, err := OutputFiles(dir, "dist", []string{"dist/a", "dist/d", "vendor", "dist/a"})
	if err != nil || len(c.Files) != 2 || c.Files[0].Path != "a" || c.Files[1].Path != "d/b" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := OutputFiles(dir, "dist", []string{"dist/gone"}); err == nil {
		t.Error("an output that is not there")
	}
}

func TestBills(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"dist/a.cdx.json": "{}", "dist/a": "a"})
	step := func(typ, out string) Made {
		return Made{Step: &engine.Step{Type: typ, Command: action.Command{OutputPaths: []string{out}}}}
	}
	g := &gathering{Gathering: Gathering{Root: dir, Dist: "dist", Made: []Made{step("archive", "dist/a")}}}
	if err := g.bills(t.Context()); err != nil || len(g.Components) != 0 {
		t.Errorf("no stage writes bills: %+v, %v", g.Components, err)
	}
	g.Made = append(g.Made, step("sbom", "dist/a.cdx.json"))
	if err := g.bills(t.Context()); err != nil || len(g.Components) != 1 {
		t.Fatalf("%+v, %v", g.Components, err)
	}
	if c := g.Components[0]; c.Name != "sbom" || len(c.Files) != 1 || c.Files[0].Path != "a.cdx.json" {
		t.Errorf("%+v", c)
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"self": "s", "other.exe": "o"})
	hosts := []string{ThisHost(), "plan9/mips"}
	cs, missing, err := Programs(hosts, nil, dir, filepath.Join(dir, "self"))
	if err != nil || len(cs) != 1 || !cs[0].Plain || !slices.Equal(missing, []string{"plan9/mips"}) {
		t.Fatalf("%+v, %q, %v", cs, missing, err)
	}
	cs, missing, err = Programs([]string{"windows/arm64"}, map[string]string{"windows/arm64": "other.exe"}, dir, "")
	if err != nil || len(missing) > 0 || cs[0].Name != "airbuild/windows-arm64" || cs[0].Files[0].Path != "airbuild.exe" {
		t.Fatalf("%+v, %q, %v", cs, missing, err)
	}
	if _, _, err := Programs(hosts, map[string]string{"plan9/mips": "none"}, dir, "none"); err == nil {
		t.Error("a program that is not there")
	}
}

func TestBootstrap(t *testing.T) {
	c := texts("airbuild/linux-amd64", map[string]string{"airbuild*": "#!/bin/sh\n"})
	c.Plain = true
	b := made(t, 1, 0, c, texts(Source, map[string]string{"a": "a"}))
	dir := t.TempDir()
	name, err := WriteBootstrap(b, dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := action.Of([]byte("#!/bin/sh\n")).Hex()
	for _, want := range []string{b.Digest(), "bundle='line'", "linux-amd64 " + sum + " 10 blobs/sha256/" + sum} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the script", want)
		}
	}
	if strings.Contains(string(text), "@DIGEST@") || strings.Contains(string(text), "@PROGRAMS@") {
		t.Error("a placeholder is left")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if sh, err := exec.LookPath("sh"); err == nil {
		if out, err := exec.Command(sh, "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestImportPins(t *testing.T) {
	r := newReceiver(t)
	b := made(t, 1, 0, texts(Source, map[string]string{"a": "kept"}))
	if _, err := r.take(b); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Prune(t.Context(), store.PruneOptions{MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	f, _ := b.Find(Source, "a")
	if missing, err := r.store.Missing(t.Context(), []action.Digest{f.Digest}); err != nil || len(missing) > 0 {
		t.Errorf("pruned: %v, %v", missing, err)
	}
}

func TestReceiptAfterImport(t *testing.T) {
	r := newReceiver(t)
	if _, err := r.take(moduleBundle(t, 1, moduleTree(t, "v1.0.0"))); err != nil {
		t.Fatal(err)
	}
	places := OpenPlaces(r.cache, r.store)
	defer places.Close()
	receipt, err := bundle.MakeReceipt(t.Context(), r.cache, places.Sink, nil)
	if err != nil || len(receipt.Bundles()) != 1 || receipt.Contents() < 8 {
		t.Fatalf("%v contents of %v, %v", receipt.Contents(), receipt.Bundles(), err)
	}
	if _, err := os.Stat(Carried(r.cache, "incoming")); err == nil {
		t.Error("a receipt made a directory for an import")
	}
}

func TestOtherVolumes(t *testing.T) {
	dir := t.TempDir()
	first, second := made(t, 1, 0, texts(Source, map[string]string{"a": "1"})), made(t, 2, 0, texts(Source, map[string]string{"a": "2"}))
	if _, err := bundle.WriteVolumes(t.Context(), first, dir, bundle.VolumeOptions{}); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"other-001-of-001.tar": "x", "line-x.tar": "x"})
	if names, err := OtherVolumes(t.Context(), first, dir); err != nil || len(names) > 0 {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := OtherVolumes(t.Context(), second, dir); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
}

func TestReadEvents(t *testing.T) {
	p := readEvents(strings.NewReader(`{"event":"step","step":"a","status":"hit"}
no json
{"event":"step","step":"b","status":"done","reason":"first run here"}
{"event":"step","step":"c","status":"failed","error":"exit 1"}
{"event":"summary","steps":3,"hits":1,"ran":1}
`))
	if p.steps != 3 || p.hits != 1 || p.done != 1 || len(p.missing) != 2 || len(p.failed) != 1 || p.missing[0].Step != "b" {
		t.Errorf("%+v", p)
	}
}
