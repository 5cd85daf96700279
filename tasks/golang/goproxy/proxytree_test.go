package goproxy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"github.com/airbuild/airbuild/tasks/golang/goproxy"
	"github.com/airbuild/airbuild/tasks/golang/goproxy/proxytest"
)

var (
	dep    = module.Version{Path: "example.org/Dep", Version: "v1.0.0"}
	other  = module.Version{Path: "example.org/other/v2", Version: "v2.1.0-rc.1"}
	tc     = goproxy.Toolchain{Version: "go1.30.1", Host: "linux-amd64"}
	forDep = map[string]string{"go.mod": "module example.org/Dep\n", "dep.go": "package dep\n"}
)

// published is a tree with two modules and a toolchain, all proven.
func published(t *testing.T) *proxytest.Proxy {
	p := proxytest.New(t)
	p.Publish(dep.Path, dep.Version, forDep)
	p.Publish(other.Path, other.Version, map[string]string{"go.mod": "module example.org/other/v2\n"})
	p.PublishToolchain(tc, goroot(tc.Version))
	p.Prove()
	return p
}

func goroot(version string) map[string]string {
	return map[string]string{
		"VERSION": version + "\ntime 2026-01-01T00:00:00Z\n", "bin/go": "#!/bin/sh\necho go\n", "bin/gofmt": "x",
		"pkg/tool/linux_amd64/compile": "x", "lib/wasm/go_js_wasm_exec": "x", "lib/time/zoneinfo.zip": "x",
		"src/_go.mod": "module std\n", "src/cmd/_go.mod": "module cmd\n", "src/fmt/print.go": "package fmt\n",
	}
}

func verify(p *proxytest.Proxy, o goproxy.Options) (*goproxy.Report, error) {
	if o.Database == "" {
		o.Database = p.Key
	}
	return goproxy.Verify(context.Background(), p.Dir, o)
}

func TestVerifyByProof(t *testing.T) {
	p := published(t)
	r, err := verify(p, goproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Count(goproxy.ByProof) != 3 || len(r.Modules) != 3 || len(r.Unproven()) != 0 || r.Database != p.Name {
		t.Errorf("%+v", r)
	}
	if got := r.Toolchains(); len(got) != 1 || got[0] != tc {
		t.Errorf("toolchains: %v", got)
	}
	if r.Modules[0].Sum != p.Sums["example.org/Dep v1.0.0"] {
		t.Errorf("%+v", r.Modules[0])
	}
}

// What is changed on the way is refused, with what was expected and found.
func TestVerifyRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(p *proxytest.Proxy)
		want []string
	}{
		{"zip", func(p *proxytest.Proxy) {
			p.WriteFile(p.Path(dep, "zip"), proxytest.Zip(p.T, dep, map[string]string{"go.mod": forDep["go.mod"], "dep.go": "package evil\n"}))
		}, []string{"verify example.org/Dep@v1.0.0", "the zip was tampered", "expected h1:", "checksum database sum.example.org", "found h1:"}},
		{"go.mod", func(p *proxytest.Proxy) { p.WriteFile(p.Path(dep, "mod"), []byte("module evil\n")) },
			[]string{"verify example.org/Dep@v1.0.0", "the go.mod was tampered"}},
		{"toolchain", func(p *proxytest.Proxy) {
			p.WriteFile(p.Path(tc.Module(), "zip"), proxytest.Zip(p.T, tc.Module(), map[string]string{"bin/go": "evil"}))
		}, []string{"verify golang.org/toolchain@v0.0.1-go1.30.1.linux-amd64"}},
		{"no zip at all", func(p *proxytest.Proxy) { p.WriteFile(p.Path(dep, "zip"), []byte("PK")) },
			[]string{"cannot be read as a zip"}},
		{"tile", func(p *proxytest.Proxy) { flip(p.T, p.Tiles()[0]) }, []string{"the proof of checksum database sum.example.org does not hold"}},
		{"tile missing", func(p *proxytest.Proxy) { os.Remove(p.Tiles()[0]) }, []string{"the proof of", "is missing"}},
		{"record", func(p *proxytest.Proxy) {
			name := filepath.Join(p.DatabaseDir(), "lookup", "example.org", "!dep@v1.0.0")
			b, err := os.ReadFile(name)
			if err != nil {
				p.T.Fatal(err)
			}
			p.WriteFile(name, []byte(strings.Replace(string(b), "h1:", "h1:AAAA", 1)))
		}, []string{"does not hold", "cannot authenticate record"}},
		{"info", func(p *proxytest.Proxy) { p.WriteFile(p.Path(dep, "info"), []byte(`{"Version":"v9.0.0"}`)) },
			[]string{`it is about version "v9.0.0"`}},
		{"list", func(p *proxytest.Proxy) {
			p.WriteFile(filepath.Join(filepath.Dir(p.Path(dep, "zip")), "list"), []byte("v1.0.0\n../x\n"))
		}, []string{`"../x" is not a version`}},
		{"stranger", func(p *proxytest.Proxy) { p.WriteFile(filepath.Join(p.Dir, "run.sh"), nil) },
			[]string{`verify "run.sh"`}},
		{"link", func(p *proxytest.Proxy) {
			if err := os.Symlink("/etc/passwd", filepath.Join(filepath.Dir(p.Path(dep, "zip")), "v1.2.0.zip")); err != nil {
				p.T.Skip("the host has no symbolic links: ", err)
			}
		}, []string{"it is not a regular file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := published(t)
			p.T = t
			tt.do(p)
			r, err := verify(p, goproxy.Options{})
			if err == nil || !goproxy.IsRefusal(err) {
				t.Fatalf("%v: %+v", err, r)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no %q in %v", w, err)
				}
			}
		})
	}
}

func flip(t testing.TB, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Another database's signature is not believed, however consistent its proofs.
func TestVerifyBelievesOneKey(t *testing.T) {
	p := published(t)
	q := published(t)
	_, err := verify(p, goproxy.Options{Database: q.Key})
	var proof *goproxy.ProofError
	if !errors.As(err, &proof) {
		t.Errorf("a key of the same name: %v", err)
	}
	r, err := verify(p, goproxy.Options{Database: "off"})
	if err != nil || r.Count(goproxy.Unverified) != 3 || r.Database != "sum.golang.org" || len(r.Others) != 1 {
		t.Errorf("Go's own key: %+v, %v", r, err)
	}
}

// Without a database, go.sum lines vouch; those beside the tree less than the
// caller's own.
func TestVerifyBySums(t *testing.T) {
	p := proxytest.New(t)
	p.Publish(dep.Path, dep.Version, forDep)
	p.Publish(other.Path, other.Version, map[string]string{"go.mod": "module example.org/other/v2\n"})
	p.PublishToolchain(tc, goroot(tc.Version))
	r, err := verify(p, goproxy.Options{})
	if err != nil || r.Count(goproxy.Unverified) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := goproxy.WriteSums(p.Dir, r.Unproven()); err != nil {
		t.Fatal(err)
	}
	given := goproxy.Sums{"example.org/Dep v1.0.0": p.Sums["example.org/Dep v1.0.0"], "example.org/Dep v1.0.0/go.mod": p.Sums["example.org/Dep v1.0.0/go.mod"]}
	r, err = verify(p, goproxy.Options{Sums: given})
	if err != nil || r.Count(goproxy.BySum) != 1 || r.Count(goproxy.ByRecord) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	given["example.org/Dep v1.0.0"] = "h1:AAAA"
	var m *goproxy.MismatchError
	if _, err = verify(p, goproxy.Options{Sums: given}); !errors.As(err, &m) || m.Want != "h1:AAAA" || m.By != "go.sum" {
		t.Errorf("%v", err)
	}
	if _, err := goproxy.InstallToolchain(t.Context(), p.Dir, tc, t.TempDir(), goproxy.InstallOptions{}); !goproxy.IsRefusal(err) {
		t.Errorf("installed by a record alone: %v", err)
	}
	if _, err := goproxy.InstallToolchain(t.Context(), p.Dir, tc, t.TempDir(), goproxy.InstallOptions{TrustRecord: true}); err != nil {
		t.Error(err)
	}
}

func TestInstallToolchain(t *testing.T) {
	p := published(t)
	dest := filepath.Join(t.TempDir(), "toolchains")
	o := goproxy.InstallOptions{Options: goproxy.Options{Database: p.Key}}
	for range 2 {
		root, err := goproxy.InstallToolchain(t.Context(), p.Dir, tc, dest, o)
		if err != nil || root != filepath.Join(dest, "go1.30.1.linux-amd64") {
			t.Fatalf("%s, %v", root, err)
		}
		for name, want := range map[string]os.FileMode{"bin/go": 0o555, "pkg/tool/linux_amd64/compile": 0o555,
			"lib/wasm/go_js_wasm_exec": 0o555, "lib/time/zoneinfo.zip": 0o444, "src/go.mod": 0o444, "src/cmd/go.mod": 0o444} {
			fi, err := os.Stat(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "windows" && fi.Mode() != want {
				t.Errorf("%s: %v, want %v", name, fi.Mode(), want)
			}
		}
	}
	if got := goproxy.ToolchainsIn(dest, "linux-amd64"); len(got) != 1 {
		t.Errorf("%v", got)
	}
	for _, e := range []goproxy.Toolchain{{Version: "go1.30.1", Host: "../x-amd64"}, {Version: "../go1.2", Host: "linux-amd64"}, {Version: "go1.26", Host: "linux-amd64"}} {
		if _, err := goproxy.InstallToolchain(t.Context(), p.Dir, e, dest, o); err == nil {
			t.Errorf("%v was installed", e)
		}
	}
	none := goproxy.Toolchain{Version: "go1.30.2", Host: "linux-amd64"}
	if _, err := goproxy.InstallToolchain(t.Context(), p.Dir, none, dest, o); !errors.Is(err, goproxy.ErrNoToolchain) {
		t.Error(err)
	}
}

// A toolchain that does not verify, or that would write elsewhere, leaves
// nothing behind.
func TestInstallToolchainRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"tampered":      nil,
		"leads out":     {"VERSION": "go1.30.1\n", "../../evil": "x"},
		"absolute":      {"VERSION": "go1.30.1\n", "/evil": "x"},
		"other version": goroot("go1.30.2"),
		"same names":    {"VERSION": "go1.30.1\n", "a": "x", "A": "y"},
	} {
		t.Run(name, func(t *testing.T) {
			p := proxytest.New(t)
			if files == nil {
				p.PublishToolchain(tc, goroot(tc.Version))
				p.Prove()
				p.WriteFile(p.Path(tc.Module(), "zip"), proxytest.Zip(t, tc.Module(), goroot("go1.30.1 evil")))
			} else {
				p.PublishToolchain(tc, files)
				p.Prove()
			}
			base := t.TempDir()
			dest := filepath.Join(base, "toolchains")
			_, err := goproxy.InstallToolchain(t.Context(), p.Dir, tc, dest, goproxy.InstallOptions{Options: goproxy.Options{Database: p.Key}})
			if err == nil || files == nil && !goproxy.IsRefusal(err) {
				t.Fatalf("%v", err)
			}
			if dirs, _ := filepath.Glob(filepath.Join(dest, "*")); len(dirs) > 1 || len(dirs) == 1 && !strings.HasSuffix(dirs[0], ".lock") {
				t.Errorf("left: %v", dirs)
			}
			if _, err := os.Stat(filepath.Join(base, "evil")); err == nil {
				t.Error("written outside")
			}
		})
	}
}

// What was verified just now is not verified again; what it says counts all the
// same, and what it does not say of a toolchain is found out.
func TestInstallVerifiedToolchain(t *testing.T) {
	p := published(t)
	proven, err := goproxy.Verify(t.Context(), p.Dir, goproxy.Options{Database: p.Key})
	if err != nil {
		t.Fatal(err)
	}
	record := *proven
	record.Modules = slices.Clone(proven.Modules)
	for i := range record.Modules {
		record.Modules[i].Evidence = goproxy.ByRecord
	}
	install := func(r *goproxy.Report, trust bool) error {
		o := goproxy.InstallOptions{Options: goproxy.Options{Database: p.Key}, Verified: r, TrustRecord: trust}
		_, err := goproxy.InstallToolchain(t.Context(), p.Dir, tc, t.TempDir(), o)
		return err
	}
	if err := install(proven, false); err != nil {
		t.Error(err)
	}
	if err := install(&record, false); !goproxy.IsRefusal(err) {
		t.Errorf("by record: %v", err)
	}
	if err := install(&record, true); err != nil {
		t.Error(err)
	}
	p.WriteFile(p.Path(tc.Module(), "zip"), proxytest.Zip(t, tc.Module(), goroot("go1.30.1 evil")))
	for name, r := range map[string]*goproxy.Report{"none": nil, "of others": {}} {
		if err := install(r, true); !goproxy.IsRefusal(err) {
			t.Errorf("report %s: %v", name, err)
		}
	}
}

// Two trees of one database become one that verifies, whichever comes first.
func TestMerge(t *testing.T) {
	p := proxytest.New(t)
	p.Publish(dep.Path, dep.Version, forDep)
	p.Prove()
	first := t.TempDir()
	if err := goproxy.Merge(t.Context(), first, p.Dir); err != nil {
		t.Fatal(err)
	}
	p.Publish(dep.Path, "v1.1.0", forDep)
	p.Publish(other.Path, other.Version, map[string]string{"go.mod": "module example.org/other/v2\n"})
	p.Prove()
	if err := goproxy.WriteSums(p.Dir, goproxy.Sums{"example.org/private v1.0.0": "h1:x"}); err != nil {
		t.Fatal(err)
	}
	for _, order := range [][2]string{{first, p.Dir}, {p.Dir, first}} {
		dst := t.TempDir()
		for range 2 {
			for _, src := range order {
				if err := goproxy.Merge(t.Context(), dst, src); err != nil {
					t.Fatal(err)
				}
			}
		}
		list, err := os.ReadFile(filepath.Join(dst, "example.org", "!dep", "@v", "list"))
		if err != nil || string(list) != "v1.0.0\nv1.1.0\n" {
			t.Errorf("list: %q, %v", list, err)
		}
		r, err := goproxy.Verify(t.Context(), dst, goproxy.Options{Database: p.Key})
		if err != nil || r.Count(goproxy.ByProof) != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		if sums, err := goproxy.TreeSums(dst); err != nil || len(sums) != 1 {
			t.Errorf("sums: %v, %v", sums, err)
		}
	}
	evil := proxytest.New(t)
	evil.Publish(dep.Path, dep.Version, map[string]string{"go.mod": "module example.org/Dep\n\ngo 1.1\n"})
	if err := goproxy.Merge(t.Context(), first, evil.Dir); !goproxy.IsRefusal(err) {
		t.Errorf("another file of the same name: %v", err)
	}
}

// Records of two independent looks at one database prove each under its own
// head where nothing lies between them.
func TestVerifyIndependentHeads(t *testing.T) {
	p := proxytest.New(t)
	p.Publish(dep.Path, dep.Version, forDep)
	for _, v := range []string{"v1.0.1", "v1.0.2"} {
		p.Publish(dep.Path, v, forDep)
	}
	p.Prove()
	dst := t.TempDir()
	if err := goproxy.Merge(t.Context(), dst, p.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(p.Dir, goproxy.SumDBName)); err != nil {
		t.Fatal(err)
	}
	p.Forget()
	p.Publish(other.Path, other.Version, map[string]string{"go.mod": "module example.org/other/v2\n"})
	p.Prove(other)
	if err := goproxy.Merge(t.Context(), dst, p.Dir); err != nil {
		t.Fatal(err)
	}
	r, err := goproxy.Verify(t.Context(), dst, goproxy.Options{Database: p.Key})
	if err != nil || r.Count(goproxy.ByProof) != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add([]byte("example.org/a v1.0.0 h1:abc=\nexample.org/a v1.0.0/go.mod h1:def=\n"))
	f.Add([]byte("a b h2:x\n\n a b h1:c d"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := goproxy.ParseSums(text)
		if err != nil {
			return
		}
		again, err := goproxy.ParseSums(s.Bytes())
		if err != nil || string(again.Bytes()) != string(s.Bytes()) {
			t.Errorf("%q → %q: %v", s.Bytes(), again.Bytes(), err)
		}
	})
}
