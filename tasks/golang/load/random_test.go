package load

import (
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
)

var (
	seeds = flag.Uint64("seeds", 20, "how many random projects to try")
	first = flag.Uint64("first", 1, "the first of them")
)

// Random projects: whenever Load has an answer, the go command has the same;
// and it has one nearly always.
func TestRandomProjects(t *testing.T) {
	if testing.Short() {
		t.Skip("lists many projects with the go command")
	}
	n := *seeds
	facts := &Facts{}
	var answers, unsures, refusals int
	for seed := *first; seed < *first+n; seed++ {
		p := newRandom(t, seed)
		p.write()
		for range 2 {
			q := p.query()
			got, err := Load(q, disk{}, facts)
			want, goErr := goList(t, q)
			switch {
			case err == nil && goErr != nil:
				t.Errorf("seed %d: %s %v: Load has an answer, but %v\n%s", seed, p.kind, q.Patterns, goErr, p.listing())
			case err == nil:
				answers++
				if d := differences(got.Packages, want); len(d) > 0 {
					t.Errorf("seed %d: %s %s/%s %v tags %v cgo %v test %v:\n%s\n%s", seed, p.kind, q.GOOS, q.GOARCH, q.Patterns, q.Tags, q.Cgo, q.Test, strings.Join(d[:min(len(d), 8)], "\n"), p.listing())
				}
			case goErr == nil:
				unsures++
				t.Logf("seed %d: %s %v: %v", seed, p.kind, q.Patterns, err)
			default:
				refusals++
				t.Logf("seed %d: %s %v: %v", seed, p.kind, q.Patterns, goErr)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d answers, %d not sure, %d refused by both", answers, unsures, refusals)
	if unsures > answers/10 || answers < refusals {
		t.Errorf("too few answers")
	}
}

// A random is a project made by chance.
type random struct {
	t     *testing.T
	r     *rand.Rand
	kind  string // "module", "vendor", "workspace", "cache"
	dir   string
	cache string
	files map[string]string
	mods  []*randomModule
	deps  []*randomModule // in the module cache
	work  string
}

type randomModule struct {
	path, dir string // dir: relative to the project, or "" for the cache
	version   string
	goLine    string
	pkgs      []string // import paths, those that may import later ones first
	requires  []string // lines of go.mod
	goMod     string   // of the cache
}

func newRandom(t *testing.T, seed uint64) *random {
	dir := t.TempDir()
	p := &random{t: t, r: rand.New(rand.NewPCG(seed, 17)), dir: filepath.Join(dir, "p"), cache: filepath.Join(dir, "cache"), files: map[string]string{}}
	p.kind = p.pick("module", "module", "vendor", "workspace", "workspace vendor", "cache", "cache old", "workspace cache")
	return p
}

func (p *random) pick(from ...string) string { return from[p.r.IntN(len(from))] }
func (p *random) chance(percent int) bool    { return p.r.IntN(100) < percent }

func (p *random) write() {
	n := 1
	switch {
	case p.kind == "module", p.kind == "vendor", strings.HasPrefix(p.kind, "workspace"):
		n = 1 + p.r.IntN(3)
	}
	if strings.Contains(p.kind, "cache") {
		p.writeCache()
	}
	p.modules(n)
	for name, text := range p.files {
		tree(p.t, p.dir, map[string]string{name: text})
	}
	if !strings.HasPrefix(p.kind, "workspace") {
		p.goCmd("mod", "tidy", "-e")
	}
	switch p.kind {
	case "vendor":
		p.goCmd("mod", "vendor", "-e")
	case "workspace vendor":
		p.goCmd("work", "vendor", "-e")
	}
	if p.chance(20) && p.kind == "cache" {
		p.exclude()
	}
}

// goCmd runs the go command in the first module; what it cannot do stays
// undone, and is then refused by both.
func (p *random) goCmd(args ...string) {
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join(p.dir, filepath.FromSlash(p.mods[0].dir))
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOENV=off", "GOPROXY=off", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOWORK="+orOff(p.work), "GOMODCACHE="+p.cache)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Logf("go %v: %v: %s", args, err, out)
	}
}

func (p *random) exclude() {
	name := filepath.Join(p.dir, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		p.t.Fatal(err)
	}
	text = append(text, fmt.Sprintf("\nexclude %s %s\n", p.deps[0].path, p.deps[0].version)...)
	if err := os.WriteFile(name, text, 0o666); err != nil {
		p.t.Fatal(err)
	}
}

// modules makes the modules that are edited. The first is the main one; the
// others replace modules, or are used by the workspace. Replacements may go in
// circles.
func (p *random) modules(n int) {
	dirs := []string{".", "lib one", "nested/two"}
	workspace := strings.HasPrefix(p.kind, "workspace")
	if workspace {
		dirs[0] = "app"
	}
	for i := range n {
		p.mods = append(p.mods, &randomModule{path: []string{"example.com/m", "example.com/m/lib", "other.org/x/v2"}[i], dir: dirs[i],
			goLine: p.pick("1.17", "1.20", "1.21.0", "1.24", "1.26.0")})
	}
	if p.kind == "cache old" {
		p.mods[0].goLine = p.pick("1.14", "1.16")
	}
	for i := n - 1; i >= 0; i-- {
		var importable []string
		for _, later := range p.mods[i+1:] {
			importable = append(importable, later.pkgs...)
		}
		p.packages(p.mods[i], append(importable, p.require(p.mods[i])...))
	}
	for i, m := range p.mods {
		var b strings.Builder
		fmt.Fprintf(&b, "module %s\n\ngo %s\n", m.path, m.goLine)
		for k, other := range p.mods {
			if k == i || workspace {
				continue
			}
			major := "v0.0.0"
			if strings.HasSuffix(other.path, "/v2") {
				major = "v2.0.0"
			}
			rel, err := filepath.Rel(m.dir, other.dir)
			if err != nil {
				p.t.Fatal(err)
			}
			if !strings.HasPrefix(rel, ".") {
				rel = "./" + rel
			}
			if i == 0 || k > i || p.chance(30) {
				fmt.Fprintf(&b, "\nrequire %s %s\n\nreplace %s%s => %q\n", other.path, major, other.path, p.pick("", " "+major), filepath.ToSlash(rel))
			}
		}
		b.WriteString(strings.Join(m.requires, ""))
		if i == 0 && p.chance(20) && !workspace && m.goLine >= "1.21" {
			b.WriteString("\ngodebug panicnil=1\n")
		}
		p.files[path.Join(m.dir, "go.mod")] = b.String()
	}
	if workspace {
		p.work = filepath.Join(p.dir, "go.work")
		text := "go 1.26.0\n"
		for _, m := range p.mods {
			text += fmt.Sprintf("\nuse %q\n", "./"+m.dir)
		}
		if len(p.deps) > 0 && p.chance(30) {
			text += fmt.Sprintf("\nreplace %s => %s %s\n", p.deps[0].path, p.deps[len(p.deps)-1].path, p.deps[len(p.deps)-1].version)
		}
		p.files["go.work"] = text
		p.files["go.work.sum"] = p.sums()
	}
}

// require makes a module require some of those in the cache, and returns the
// packages that it may import by that.
func (p *random) require(m *randomModule) (importable []string) {
	seen := map[string]bool{m.path: true}
	for _, i := range p.r.Perm(len(p.deps)) {
		d := p.deps[i]
		if !seen[d.path] && p.chance(70) {
			m.requires = append(m.requires, fmt.Sprintf("\nrequire %s %s\n", d.path, d.version))
			importable = append(importable, d.pkgs...)
		}
		seen[d.path] = true
	}
	return importable
}

// packages makes the packages of a module.
func (p *random) packages(m *randomModule, importable []string) {
	dirs := []string{"cmd/app", "", "a", "a/c", "internal/x", "b.d"}
	p.r.Shuffle(len(dirs), func(i, k int) { dirs[i], dirs[k] = dirs[k], dirs[i] })
	dirs = dirs[:1+p.r.IntN(len(dirs)-1)]
	if m.version != "" {
		dirs = []string{"a", "", "internal/x"} // the same in all versions
	}
	if m.dir != "" && len(p.mods) > 0 && m == p.mods[0] {
		dirs = append([]string{"cmd/main"}, slices.DeleteFunc(dirs, func(d string) bool { return d == "cmd/app" })...)
	}
	visible := slices.DeleteFunc(slices.Clone(importable), func(s string) bool { return strings.Contains(s, "internal") || strings.Contains(s, "/cmd/") })
	for i := len(dirs) - 1; i >= 0; i-- {
		name := "p" + strings.NewReplacer("/", "", ".", "").Replace(dirs[i])
		program := strings.HasPrefix(dirs[i], "cmd/")
		if program {
			name = "main"
		}
		p.packageFiles(path.Join(m.dir, dirs[i]), name, visible)
		at := path.Join(m.path, dirs[i])
		m.pkgs = append([]string{at}, m.pkgs...)
		if !program {
			visible = append(visible, at)
		}
	}
}

var fileNames = []string{
	"x.go", "x_linux.go", "x_windows.go", "x_amd64.go", "x_linux_arm64.go", "linux.go", "x_unix.go", "y_js_wasm.go",
	"_skip.go", ".hidden.go", "x_foo.go", "x_test.go", "y_test.go", "x_linux_test.go", "z_windows_amd64_test.go", "test.go", "_test.go",
	"asm_amd64.s", "stub.s", "h.h", "k.S", "x.syso", "x_windows.syso", "doc.txt", "x.go.bak", "a.b_linux.go", "x_linux_x.go", "ünï.go",
}

var constraints = []string{
	"", "", "", "", "//go:build linux\n\n", "//go:build !windows && (foo || bar)\n\n", "//go:build ignore\n\n", "// +build linux,!foo\n\n",
	"// +build foo\n", "// Copyright\n\n// +build !foo bar\n\n", "//go:build go1.99\n\n", "//go:build go1.18\n\n", "//go:build unix\n\n", "//go:build cgo\n\n", "//go:build !cgo\n\n",
	"//go:build goexperiment.greenteagc\n\n", "//go:build amd64.v2\n\n", "/* c\n*/ //go:build foo\n\n", "/* c */\n//go:build linux\n", "//go:build foo\n",
	"\ufeff//go:build !foo\n\n", "//go:buildx foo\n\n", "//  +build foo\n\n", "// +build foo\n// +build bar\n\n", "//go:build gc && !gccgo\n\n", "//go:build linux\n// +build windows\n\n",
}

// packageFiles makes the files of one package.
func (p *random) packageFiles(dir, name string, importable []string) {
	set := func(file, text string) { p.files[path.Join(dir, file)] = text }
	embeds := p.embeds(set)
	debug := ""
	if name == "main" && p.chance(30) {
		debug = p.pick("//go:debug panicnil=1\n", "//go:debug default=go1.21\n", "//go:debug http2client=0\n") + "\n"
	}
	set("base.go", debug+"package "+name+"\n\n"+p.imports(importable, embeds))
	for range p.r.IntN(6) {
		file := p.pick(fileNames...)
		if _, ok := p.files[path.Join(dir, file)]; ok {
			continue
		}
		switch {
		case !strings.HasSuffix(file, ".go"):
			set(file, p.pick(constraints...)+"\n// text\n")
		case strings.HasSuffix(file, "_test.go"):
			set(file, p.pick(constraints...)+"package "+name+p.pick("", "_test")+"\n\n"+p.imports(importable, embeds))
		case p.chance(3):
			set(file, p.pick(constraints...)+"package "+p.pick("documentation", "wrong")+"\n")
		default:
			set(file, p.pick(constraints...)+"package "+name+" // import \"x\"\n\n"+p.imports(importable, embeds))
		}
	}
	if p.chance(15) {
		set("cgo.go", p.pick(constraints...)+"package "+name+"\n\n// #cgo CFLAGS: -DX='a b' -Iinc -I /abs \"-L${SRCDIR}/lib\"\n// #cgo linux,amd64 !foo LDFLAGS: -lm\n// #cgo windows LDFLAGS: -lw\n// #cgo noescape f\n// int f(void);\nimport \"C\"\n")
		if p.chance(50) {
			set("c"+p.pick("", "_linux", "_windows")+p.pick(".c", ".cc", ".m"), p.pick(constraints...)+"int f;\n")
		}
	}
}

// imports makes import declarations, and with embeds now and then the use of
// them.
func (p *random) imports(importable, embeds []string) string {
	paths := []string{p.pick("errors", "unsafe", "sync/atomic", "unicode/utf8")}
	for _, path := range importable {
		if p.chance(35) {
			paths = append(paths, path)
		}
	}
	var tail string
	if len(embeds) > 0 && p.chance(60) {
		paths = append(paths, "embed")
		tail = "\n//go:embed " + p.pick(embeds...) + "\nvar f embed.FS\n"
		if p.chance(30) {
			tail += "\n/* //go:embed nothing */\n//go:embed " + p.pick(embeds...) + " " + p.pick(embeds...) + "\nvar g embed.FS\n"
		}
	}
	var b strings.Builder
	for i, path := range paths {
		if i%2 == 0 {
			fmt.Fprintf(&b, "import _ %q\n", path)
		} else {
			fmt.Fprintf(&b, "import (\n\tx%d %q // why\n)\n", i, path)
		}
	}
	return b.String() + "\nvar _ = 'x'\n" + tail
}

// embeds makes files to embed and returns patterns for them.
func (p *random) embeds(set func(file, text string)) []string {
	if p.chance(50) {
		return nil
	}
	set("static/a.txt", "a")
	set("t.txt", "t")
	for _, f := range []string{"static/.h", "static/_u/x", "static/sub/.git/x", "static/mod/go.mod", "static/mod/y", "static/n ü.txt", "static/sub/deep/er/z"} {
		if p.chance(40) {
			set(f, f)
			set("static/sub/b.txt", "b")
		}
	}
	patterns := []string{"static", "all:static", "t.txt", "*.txt", "\"t.txt\"", "`static`", "static/?.txt", "[s-t]*", "static/a.txt", "static/a*", "all:s*"}
	if p.chance(15) {
		patterns = append(patterns, "static/sub", "static/*", "all:static/*", "static/*/*", "missing", "static/mod", "../x", "*")
	}
	return patterns
}

// query makes a command line.
func (p *random) query() Query {
	m := p.mods[p.r.IntN(len(p.mods))]
	if !strings.HasPrefix(p.kind, "workspace") {
		m = p.mods[0]
	}
	dir := filepath.Join(p.dir, filepath.FromSlash(m.dir))
	patterns := []string{p.pick("./...", "./...", "./cmd/main", "./a/...", m.pkgs[0], ".", "./cmd/...", "./a")}
	if m == p.mods[0] && p.chance(40) {
		patterns = []string{"./cmd/main"}
	}
	if p.chance(20) {
		patterns = append(patterns, m.pkgs[len(m.pkgs)-1])
	}
	q := newQuery(p.t, dir, p.pick("linux/amd64", "windows/amd64", "linux/arm64", "js/wasm", "darwin/arm64"), patterns...)
	q.ModCache = func() (string, error) { return p.cache, nil }
	q.Work = p.work
	q.Test = p.chance(50)
	q.Cgo = p.chance(50)
	if p.chance(50) {
		q.Tags = []string{p.pick("foo", "bar", "linux")}
	}
	return q
}

// writeCache makes a module cache with a few modules in two versions each,
// which require each other.
func (p *random) writeCache() {
	names := []string{"dep.org/one", "dep.org/one/two", "dep.org/Three"}
	for i := len(names) - 1; i >= 0; i-- {
		for _, v := range []string{"v1.0.0", "v1.1.0"} {
			d := &randomModule{path: names[i], version: v, goLine: p.pick("", "1.16", "1.17", "1.22")}
			text := "module " + d.path + "\n"
			if d.goLine != "" {
				text += "\ngo " + d.goLine + "\n"
			}
			importable := p.require(d)
			p.cached(d, text+strings.Join(d.requires, ""), importable)
			p.deps = append(p.deps, d)
		}
	}
}

// cached writes one module to the module cache, in the form that the go
// command finds there after a download.
func (p *random) cached(d *randomModule, goMod string, importable []string) {
	project := p.files
	p.files = map[string]string{"go.mod": goMod}
	mods := p.mods
	p.mods = nil
	p.packages(d, importable)
	p.mods = mods
	esc, err := module.EscapePath(d.path)
	if err != nil {
		p.t.Fatal(err)
	}
	tree(p.t, filepath.Join(p.cache, filepath.FromSlash(esc)+"@"+d.version), p.files)
	p.files = project
	tree(p.t, filepath.Join(p.cache, "cache", "download", filepath.FromSlash(esc), "@v"), map[string]string{
		d.version + ".mod":     goMod,
		d.version + ".info":    fmt.Sprintf(`{"Version":%q,"Time":"2020-01-01T00:00:00Z"}`, d.version),
		d.version + ".ziphash": p.sum(d),
		d.version + ".zip":     "",
	})
	d.goMod = goMod
}

// sum is a sum that a module of the cache might have.
func (p *random) sum(d *randomModule) string {
	h := sha256.Sum256([]byte(d.path + d.version))
	return "h1:" + base64.StdEncoding.EncodeToString(h[:])
}

// sums are the lines of a go.sum for all modules of the cache.
func (p *random) sums() string {
	var b strings.Builder
	for _, d := range p.deps {
		h, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(d.goMod)), nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s\n%s %s/go.mod %s\n", d.path, d.version, p.sum(d), d.path, d.version, h)
	}
	return b.String()
}

// listing shows the project for a failed comparison.
func (p *random) listing() string {
	var b strings.Builder
	filepath.WalkDir(p.dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(p.dir, name)
			b.WriteString(rel + "\n")
		}
		return nil
	})
	return b.String()
}
