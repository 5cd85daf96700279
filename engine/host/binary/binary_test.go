package binary

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// gcc makes a file from C source; the test is left out where there is none.
func gcc(t testing.TB, out, source string, flags ...string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil || runtime.GOOS != "linux" {
		t.Skip("gcc for Linux is not here")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "x.c")
	if err := os.WriteFile(src, []byte(source), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		t.Fatal(err)
	}
	b, err := exec.Command("gcc", append([]string{"-o", out, src}, flags...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, b)
	}
	return out
}

func open(t testing.TB, name string) *Report {
	t.Helper()
	reports, err := Open(name)
	if err != nil || len(reports) != 1 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	return reports[0]
}

const usesPthread = `#include <pthread.h>
static void *f(void *p) { return p; }
int main(void) { pthread_t t; return pthread_create(&t, 0, f, 0); }`

func TestGlibcProgram(t *testing.T) {
	r := open(t, gcc(t, filepath.Join(t.TempDir(), "a"), usesPthread, "-g"))
	if r.Format != ELF || r.Kind != "executable" || r.OS != "linux" || r.Arch != runtime.GOARCH || r.Static || r.Libc != "glibc" ||
		r.Interpreter == "" || r.Stripped || !r.Debug || !slices.Equal(r.Needed, []string{"libc.so.6"}) {
		t.Errorf("%+v", r)
	}
	if CompareVersions(r.Glibc, "2.34") < 0 { // where pthread_create moved into libc
		t.Skipf("this host's C library is older: %s", r.Glibc)
	}
	if !slices.Contains(r.GlibcSymbols, "pthread_create") && !slices.Contains(r.GlibcSymbols, "__libc_start_main") {
		t.Errorf("symbols %v", r.GlibcSymbols)
	}
	Resolve(r, "")
	if len(r.Problems) > 0 || len(r.Libraries) != 1 || r.Libraries[0].Path == "" || r.Libraries[0].From == "" {
		t.Errorf("%+v %v", r.Libraries, r.Problems)
	}
	target := Target{OS: "linux", Arch: runtime.GOARCH, Level: "v1", Libc: "glibc", LibcVersion: "2.28"}
	if !refused(Fits(r, target), "glibc") {
		t.Errorf("glibc 2.28 is enough: %+v", Fits(r, target))
	}
	if target.LibcVersion = "2.99"; refused(Fits(r, target), "") {
		t.Errorf("%+v", Fits(r, target))
	}
	if target.Libc = "musl"; !refused(Fits(r, target), "glibc") {
		t.Error("musl is enough")
	}
}

func refused(findings []Finding, what string) bool {
	for _, f := range findings {
		if !f.OK && (what == "" || f.What == what) {
			return f.Fix != ""
		}
	}
	return false
}

func TestStaticAndStripped(t *testing.T) {
	r := open(t, gcc(t, filepath.Join(t.TempDir(), "a"), "void _start(void) { for (;;); }", "-nostdlib", "-static", "-s"))
	if !r.Static || !r.Stripped || r.Interpreter != "" || len(r.Sections) == 0 {
		t.Errorf("%+v", r)
	}
	Resolve(r, "")
	if !r.Resolved || len(r.Problems) > 0 {
		t.Errorf("%v", r.Problems)
	}
}

// An outer program needs libb by RUNPATH, which needs libc2 by its own; RUNPATH
// is not handed down, RPATH is.
func TestSearchPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles programs")
	}
	for _, test := range []struct {
		name, tags, flags string
		found             bool
	}{
		{"runpath is for the file's own needs only", "--enable-new-dtags", "", false},
		{"rpath is handed down", "--disable-new-dtags", "", true},
		{"each has its own", "--enable-new-dtags", "-Wl,-rpath,$ORIGIN", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			lib := filepath.Join(dir, "lib")
			inner := gcc(t, filepath.Join(lib, "libinner.so"), "int inner(void) { return 1; }", "-shared", "-fPIC")
			outerFlags := []string{"-shared", "-fPIC", inner, "-Wl,--no-as-needed", "-Wl,-soname,libouter.so"}
			if test.flags != "" {
				outerFlags = append(outerFlags, test.flags, "-Wl,--enable-new-dtags")
			}
			// By its name, not by its path, which gcc would record.
			outerFlags[2] = "-L" + lib
			outerFlags = append(outerFlags, "-linner")
			gcc(t, filepath.Join(lib, "libouter.so"), "int inner(void); int outer(void) { return inner(); }", outerFlags...)
			prog := gcc(t, filepath.Join(dir, "bin", "prog"), "int outer(void); int main(void) { return outer(); }",
				"-L"+lib, "-louter", "-Wl,-rpath,$ORIGIN/../lib", "-Wl,"+test.tags, "-Wl,-rpath-link,"+lib, "-Wl,--allow-shlib-undefined")
			r := open(t, prog)
			Resolve(r, "")
			byName := map[string]Library{}
			for _, l := range r.Libraries {
				byName[l.Name] = l
			}
			if byName["libouter.so"].Path == "" || !byName["libouter.so"].Bundled {
				t.Errorf("libouter: %+v", byName["libouter.so"])
			}
			if got := byName["libinner.so"].Path != ""; got != test.found || (len(r.Problems) == 0) != test.found {
				t.Errorf("libinner found: %v, want %v: %v", got, test.found, r.Problems)
			}
			// The loader itself is the judge.
			err := exec.Command(prog).Run()
			var exit *exec.ExitError
			ran := errors.As(err, &exit) && exit.ExitCode() == 1
			if ran != test.found {
				t.Errorf("the real loader: %v, and ours says %v", err, test.found)
			}
		})
	}
}

// A root of its own, with absolute links, a cache that is missing and a
// configuration that names directories.
func TestRoot(t *testing.T) {
	root := t.TempDir()
	prog := gcc(t, filepath.Join(root, "app", "prog"), "int f(void); int main(void) { return f(); }", "-Wl,--unresolved-symbols=ignore-all", "-nostdlib", "-Wl,-e,main",
		"-Wl,-dynamic-linker,/lib64/ld-linux-x86-64.so.2", gcc(t, filepath.Join(t.TempDir(), "libx.so.1"), "int f(void) { return 0; }", "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libx.so.1"))
	r := open(t, prog)
	Resolve(r, root)
	if len(r.Problems) != 2 || !strings.Contains(strings.Join(r.Problems, "\n"), "dynamic loader") {
		t.Errorf("in an empty root: %v", r.Problems)
	}
	lib := gcc(t, filepath.Join(root, "opt", "real", "libx.so.1"), "int f(void) { return 0; }", "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libx.so.1")
	gcc(t, filepath.Join(root, "opt", "real", "ld.so"), "int g;", "-shared", "-fPIC", "-nostdlib")
	write(t, filepath.Join(root, "etc", "ld.so.conf"), "include /etc/conf.d/*.conf\n")
	write(t, filepath.Join(root, "etc", "conf.d", "x.conf"), "# ours\n/usr/ours\n")
	link(t, "/opt/real", filepath.Join(root, "usr", "ours"))
	link(t, "/opt/real/ld.so", filepath.Join(root, "lib64", "ld-linux-x86-64.so.2"))
	r = open(t, prog)
	Resolve(r, root)
	if len(r.Problems) > 0 || len(r.Libraries) != 1 || r.Libraries[0].Path != "/usr/ours/libx.so.1" {
		t.Errorf("%v %+v (%s)", r.Problems, r.Libraries, lib)
	}
	link(t, "/loop", filepath.Join(root, "loop"))
	if _, _, err := (Root(root)).resolve("/loop/x"); !errors.Is(err, errLinks) {
		t.Errorf("a loop: %v", err)
	}
	link(t, "../../../../etc", filepath.Join(root, "out"))
	if in, _, err := (Root(root)).resolve("/out/ld.so.conf"); err != nil || in != "/etc/ld.so.conf" {
		t.Errorf("out of the root: %s, %v", in, err)
	}
}

// Root is root, by a name that a variable of that name does not hide.
type Root = root

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestMissingVersion(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "v.map")
	write(t, script, "LIBX_1 { global: f; local: *; };\nLIBX_2 { global: g; } LIBX_1;\n")
	lib := filepath.Join(dir, "libx.so")
	gcc(t, lib, "int f(void) { return 0; } int g(void) { return 0; }", "-shared", "-fPIC", "-Wl,--version-script="+script, "-Wl,-soname,libx.so")
	prog := gcc(t, filepath.Join(dir, "prog"), "int g(void); int main(void) { return g(); }", "-L"+dir, "-lx", "-Wl,-rpath,$ORIGIN")
	write(t, script, "LIBX_1 { global: f; local: *; };\n")
	gcc(t, lib, "int f(void) { return 0; }", "-shared", "-fPIC", "-Wl,--version-script="+script, "-Wl,-soname,libx.so")
	r := open(t, prog)
	Resolve(r, "")
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "no version LIBX_2") || !strings.Contains(r.Problems[0], "(for g)") {
		t.Errorf("%v", r.Problems)
	}
	if out, err := exec.Command(prog).CombinedOutput(); err == nil || !strings.Contains(string(out), "LIBX_2") {
		t.Errorf("the real loader: %v %s", err, out)
	}
}

func TestISALevel(t *testing.T) {
	r := open(t, gcc(t, filepath.Join(t.TempDir(), "a"), "int main(void) { return 0; }", "-Wl,-z,x86-64-v3"))
	if r.Level != "v3" || !strings.Contains(r.LevelFrom, "note") {
		t.Errorf("level %q from %q", r.Level, r.LevelFrom)
	}
	if !refused(Fits(r, Target{OS: "linux", Arch: r.Arch, Level: "v2", Libc: "glibc", LibcVersion: "9"}), "level") {
		t.Error("v2 is enough for v3")
	}
}

// goBuild cross-compiles a program.
func goBuild(t *testing.T, platform string, env []string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/app\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(\"x\") }\n")
	out := filepath.Join(dir, "app")
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", append([]string{"build", "-o", out}, flags...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append([]string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch, "GOFLAGS=", "GOTOOLCHAIN=local", "GOWORK=off"}, env...)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build for %s: %v\n%s", platform, err, b)
	}
	return out
}

func TestGoPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles programs for several platforms")
	}
	for _, test := range []struct {
		platform, format, level string
		env, flags              []string
		stripped                bool
		from                    string
	}{
		{"linux/amd64", ELF, "", nil, nil, false, "symbols"},
		{"linux/amd64", ELF, "", nil, []string{"-ldflags=-s -w"}, true, "functions"},
		{"linux/amd64", ELF, "v3", []string{"GOAMD64=v3"}, []string{"-ldflags=-s -w"}, true, "functions"},
		{"windows/amd64", PE, "", nil, nil, false, "functions"},
		{"windows/amd64", PE, "", nil, []string{"-ldflags=-s -w"}, true, "functions"},
		{"darwin/arm64", MachO, "v8.0", nil, nil, false, "functions"},
	} {
		r := open(t, goBuild(t, test.platform, test.env, test.flags...))
		if got := r.OS + "/" + r.Arch; got != test.platform || r.Format != test.format || r.Level != test.level || r.Kind != "executable" {
			t.Errorf("%s %v: %s %s %s %s", test.platform, test.flags, got, r.Format, r.Level, r.Kind)
		}
		if r.Build == nil || r.Build.Module != "example.com/app" || !strings.HasPrefix(r.Build.Go, "go1.") {
			t.Errorf("%s: build %+v", test.platform, r.Build)
		}
		if r.Format != MachO && r.Stripped != test.stripped {
			t.Errorf("%s %v: stripped %v", test.platform, test.flags, r.Stripped)
		}
		runtimeSize := int64(0)
		for _, p := range r.Packages {
			if p.Name == "runtime" {
				runtimeSize = p.Size
			}
		}
		if r.PackagesFrom != test.from || runtimeSize < 100_000 || runtimeSize > r.Size {
			t.Errorf("%s %v: packages from %q: %v", test.platform, test.flags, r.PackagesFrom, r.Packages)
		}
	}
}

func TestNoBinary(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "", "script": "#!/bin/sh\n", "elf": "\x7fELF", "dos": "MZ", "class": "\xca\xfe\xba\xbe\x00\x00\x00\x34xxxx"} {
		write(t, filepath.Join(dir, name), text)
		if _, err := Open(filepath.Join(dir, name)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(dir); err == nil {
		t.Error("a directory is not a binary")
	}
}

func TestParseCache(t *testing.T) {
	entries := []CacheEntry{{"libc.so.6", "/lib64/libc.so.6", 0x303, 0}, {"libx.so", "/opt/libx.so", 0x303, 7}}
	for _, data := range [][]byte{makeCache(entries), append(append([]byte(cacheOld), make([]byte, 20)...), makeCache(entries)...)} {
		got, err := ParseCache(data)
		if err != nil || !slices.Equal(got, entries) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("nonsense"), []byte(cacheOld), makeCache(entries)[:50]} {
		if _, err := ParseCache(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// makeCache is an ld.so.cache.
func makeCache(entries []CacheEntry) []byte {
	head := append([]byte(cacheNew), make([]byte, 28)...)
	le.PutUint32(head[20:], uint32(len(entries)))
	var table, text []byte
	at := len(head) + 24*len(entries)
	put := func(s string) uint32 {
		n := uint32(at + len(text))
		text = append(append(text, s...), 0)
		return n
	}
	for _, e := range entries {
		table = le.AppendUint32(table, e.Flags)
		table = le.AppendUint32(table, put(e.Name))
		table = le.AppendUint32(table, put(e.Path))
		table = le.AppendUint32(table, 0)
		table = le.AppendUint64(table, e.Hwcap)
	}
	return slices.Concat(head, table, text)
}

// makeMachO is a small Mach-O program.
func makeMachO() []byte {
	var b []byte
	command := func(kind uint32, body []byte) {
		for len(body)%8 != 0 {
			body = append(body, 0)
		}
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, uint32(8+len(body)))
		b = append(b, body...)
	}
	dylib := append(binary.LittleEndian.AppendUint32(nil, 24), make([]byte, 12)...)
	command(0xc, append(dylib, "/usr/lib/libSystem.B.dylib\x00"...))
	command(0xe, append(le.AppendUint32(nil, 12), "/usr/lib/dyld\x00"...))
	command(0x2, bytes.Repeat([]byte{1, 0, 0, 0}, 4))
	command(0xb, make([]byte, 72))
	command(lcBuild, []byte{1, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	section := make([]byte, 80)
	copy(section, "__text")
	copy(section[16:], "__TEXT")
	section[40] = 16
	command(0x19, append(append(make([]byte, 56), 1, 0, 0, 0, 0, 0, 0, 0), section...))
	head := le.AppendUint32(nil, 0xfeedfacf)
	for _, v := range []uint32{0x0100000c, 0, 2, 6, uint32(len(b)), 0x200000, 0} {
		head = le.AppendUint32(head, v)
	}
	return append(head, b...)
}

// makeFat puts a program into a universal file.
func makeFat(program []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 0xcafebabe)
	for _, v := range []uint32{1, 0x0100000c, 0, 64, uint32(len(program)), 0} {
		b = be.AppendUint32(b, v)
	}
	return append(append(b, make([]byte, 64-len(b))...), program...)
}

// makePE is a small Windows program that imports one library.
func makePE() []byte {
	b := make([]byte, 0x400)
	copy(b, "MZ")
	le.PutUint32(b[60:], 64)
	copy(b[64:], "PE\x00\x00\x64\x86\x01\x00")
	le.PutUint16(b[64+20:], 240)
	le.PutUint16(b[64+22:], 2)
	optional := b[64+24:]
	le.PutUint16(optional, 0x20b)
	le.PutUint16(optional[48:], 6)
	le.PutUint16(optional[50:], 1)
	le.PutUint32(optional[112+8:], 0x1000)
	section := b[64+24+240:]
	copy(section, ".idata")
	for i, v := range []uint32{0x200, 0x1000, 0x200, 0x200} {
		le.PutUint32(section[8+4*i:], v)
	}
	le.PutUint32(b[0x200+12:], 0x1100)
	copy(b[0x300:], "KERNEL32.dll\x00")
	return b
}

func TestHandMade(t *testing.T) {
	for name, data := range map[string][]byte{"macho": makeMachO(), "fat": makeFat(makeMachO()), "pe": makePE()} {
		reports, err := Inspect(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := reports[0]
		if len(r.Needed) != 1 || r.Kind != "executable" || len(r.Sections) != 1 || r.Static || r.MinOS == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"2.9", "2.34", -1}, {"2.34", "2.34", 0}, {"2.34", "2.34.0", 0}, {"6.1.0-18", "6.1", 0}, {"", "2", -1}, {"v", "", 0}, {"10", "9.9", 1},
		{"2.2.5", "2.2", 1}, {"99999999999999999999", "1", 1},
	} {
		if got := CompareVersions(test.a, test.b); got != test.want {
			t.Errorf("%s, %s: %d", test.a, test.b, got)
		}
	}
}

func TestPackageOf(t *testing.T) {
	for symbol, want := range map[string]string{
		"main.main": "main", "runtime.(*mheap).alloc": "runtime", "example.com/a/b%2ec.F": "example.com/a/b.c", "example.com/v2.G[go.shape.int]": "example.com/v2",
		"type:.eq.main.T": "(runtime data)", "go:itab.*os.File,io.Writer": "(runtime data)", "_start": "(not Go)", "memcpy": "(not Go)", "a/b": "(not Go)",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("%s: %s, want %s", symbol, got, want)
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(makeMachO())
	f.Add(makeFat(makeMachO()))
	f.Add(makePE())
	for _, name := range []string{"dynamic.elf", "static.elf"} {
		seed, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reports, err := Inspect(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, r := range reports {
			if r.Format == "" || r.OS == "" || r.Arch == "" || r.Kind == "" {
				t.Errorf("%+v", r)
			}
			Fits(r, Target{OS: "linux", Arch: "amd64"})
		}
	})
}

func FuzzParseCache(f *testing.F) {
	f.Add(makeCache([]CacheEntry{{"libc.so.6", "/lib64/libc.so.6", 0x303, 0}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := ParseCache(data)
		if err == nil && len(entries) > len(data)/24 {
			t.Errorf("%d entries of %d bytes", len(entries), len(data))
		}
	})
}

func FuzzFunctionSizes(f *testing.F) {
	f.Add([]byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8})
	f.Fuzz(func(t *testing.T, data []byte) { functionSizes(data, binary.LittleEndian) })
}
