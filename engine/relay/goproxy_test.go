package relay

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/airbuild/airbuild/engine/host/hosttest"
)

// A dep is a module of a test's tree.
type dep struct{ path, version, source string }

func (d dep) mod() string { return "module " + d.path + "\n\ngo 1.20\n" }

func (d dep) base() string {
	p, _ := module.EscapePath(d.path)
	return p + "/@v/" + d.version
}

func (d dep) zip(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{"go.mod": d.mod(), "lib.go": d.source} {
		w, err := z.Create(d.path + "@" + d.version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// goSum is what a checksum database says of d.
func (d dep) goSum(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "zip")
	if err := os.WriteFile(name, d.zip(t), 0o666); err != nil {
		t.Fatal(err)
	}
	h, err := dirhash.HashZip(name, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(d.mod())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", d.path, d.version, h, d.path, d.version, m)
}

func deps() []dep {
	lib := "package lib\n\nfunc Name() string { return %q }\n"
	return []dep{
		{"example.com/lib", "v1.0.0", fmt.Sprintf(lib, "v1.0.0")},
		{"example.com/lib", "v1.2.0", fmt.Sprintf(lib, "v1.2.0")},
		{"example.com/lib", "v1.3.0-rc.1", fmt.Sprintf(lib, "rc")},
		{"example.com/Upper/pre", "v0.1.0-beta", fmt.Sprintf(lib, "beta")},
		{"example.com/pseudo", "v0.0.0-20260101000000-0123456789ab", fmt.Sprintf(lib, "old")},
		{"example.com/pseudo", "v0.0.0-20260201000000-ba9876543210", fmt.Sprintf(lib, "new")},
	}
}

// proxyTree makes a tree of the deps, without lists and without some .info.
func proxyTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range deps() {
		write(t, dir, d.base()+".mod", d.mod(), d.base()+".zip", string(d.zip(t)))
		if d.version != "v1.2.0" {
			write(t, dir, d.base()+".info", fmt.Sprintf(`{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, d.version))
		}
	}
	// What the source had and this tree has not.
	write(t, dir, "example.com/lib/@v/list", "v1.0.0\nv1.2.0\nv9.9.9\n", "example.com/lib/@v/v1.9.0.mod", "module example.com/lib\n",
		"example.com/lib/@latest", `{"Version":"v9.9.9"}`, "example.com/lib/@v/v1.0.0.ziphash", "h1:x")
	return dir
}

func TestGoProxy(t *testing.T) {
	base := serve(t, Options{GoProxy: proxyTree(t)}) + "/goproxy/"
	for path, want := range map[string]string{
		"example.com/lib/@v/list":                                       "v1.0.0\nv1.2.0\nv1.3.0-rc.1\n",
		"example.com/lib/@latest":                                       `{"Version":"v1.2.0"}`,
		"example.com/!upper/pre/@latest":                                `{"Version":"v0.1.0-beta","Time":"2026-01-02T03:04:05Z"}`,
		"example.com/%21upper/pre/@v/list":                              "v0.1.0-beta\n",
		"example.com/pseudo/@latest":                                    `{"Version":"v0.0.0-20260201000000-ba9876543210","Time":"2026-01-02T03:04:05Z"}`,
		"example.com/pseudo/@v/list":                                    "",
		"example.com/lib/@v/v1.2.0.info":                                `{"Version":"v1.2.0"}`,
		"example.com/lib/@v/v1.0.0.info":                                `{"Version":"v1.0.0","Time":"2026-01-02T03:04:05Z"}`,
		"example.com/lib/@v/v1.0.0.mod":                                 "module example.com/lib\n\ngo 1.20\n",
		"example.com/lib/@v/v1.9.0.mod":                                 "module example.com/lib\n",
		"example.com/pseudo/@v/v0.0.0-20260101000000-0123456789ab.info": `{"Version":"v0.0.0-20260101000000-0123456789ab","Time":"2026-01-02T03:04:05Z"}`,
	} {
		if answer, body := ask(t, "GET", base+path, ""); answer.StatusCode != 200 || body != want {
			t.Errorf("%s: %s %q", path, answer.Status, body)
		}
	}
	for path, status := range map[string]int{
		"example.com/none/@v/list": 404, "example.com/none/@latest": 404, "example.com/lib/@v/v2.0.0.zip": 404, "example.com/lib/@v/v2.0.0.info": 404,
		"example.com/lib/@v/v1.9.0.zip": 404, "example.com/lib/@v/main.info": 410, "example.com/lib/@v/v1.info": 410, "example.com/Upper/pre/@v/list": 410,
		"nodots/@v/list": 410, "example.com/lib/@v/v1.0.0.ziphash": 404, "example.com/lib/@v/v1.0.0": 404, "example.com/lib": 404, "": 404,
		"sumdb/sum.golang.org/supported": 404, "example.com/lib/@v/a/b.zip": 410,
	} {
		if answer, body := ask(t, "GET", base+path, ""); answer.StatusCode != status {
			t.Errorf("%s: %s %s, want %d", path, answer.Status, body, status)
		}
	}
	if answer, body := ask(t, "GET", base+"example.com/lib/@v/v1.0.0.mod", "", "Range", "bytes=0-5"); answer.StatusCode != 206 || body != "module" {
		t.Errorf("range: %s %q", answer.Status, body)
	}
}

func TestSplitSumDB(t *testing.T) {
	for name, want := range map[string][2]string{
		"sum.golang.org/supported":        {"sum.golang.org", "supported"},
		"host/path/latest":                {"host/path", "latest"},
		"db/lookup/example.com/latest@v1": {"db", "lookup/example.com/latest@v1"},
		"db/tile/8/0/000":                 {"db", "tile/8/0/000"},
		"db/other":                        {}, "supported": {}, "db/lookup": {}, "db/lookup/": {}, "db/supported/x": {}, "": {},
	} {
		if db, op := splitSumDB(name); db != want[0] || op != want[1] {
			t.Errorf("%s: %q %q", name, db, op)
		}
	}
}

// carrySumDB makes a checksum database of the deps and carries what a client
// needs of it into the tree; it returns the database's name and key.
func carrySumDB(t *testing.T, tree string) (name, key string) {
	t.Helper()
	name = "sums.example.com"
	secret, key, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for _, d := range deps() {
		known[d.path+"@"+d.version] = d.goSum(t)
	}
	ops := sumdb.NewTestServer(secret, func(path, version string) ([]byte, error) {
		text, ok := known[path+"@"+version]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	})
	db := httptest.NewServer(sumdb.NewServer(ops))
	defer db.Close()
	client := sumdb.NewClient(&carrying{t: t, base: db.URL, key: key, dir: filepath.Join(tree, "sumdb", name), config: map[string][]byte{}})
	for _, d := range deps() {
		for _, suffix := range []string{"", "/go.mod"} {
			if _, err := client.Lookup(d.path, d.version+suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	return name, key
}

// carrying is a client of a checksum database that writes down what it reads,
// as a go command does below its module cache.
type carrying struct {
	t              *testing.T
	base, key, dir string
	config         map[string][]byte
}

func (c *carrying) ReadRemote(path string) ([]byte, error) {
	answer, err := http.Get(c.base + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	if err == nil {
		write(c.t, c.dir, strings.TrimPrefix(path, "/"), string(b))
	}
	return b, err
}

func (c *carrying) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(c.key), nil
	}
	return c.config[file], nil
}

func (c *carrying) WriteConfig(file string, _, b []byte) error { c.config[file] = b; return nil }
func (c *carrying) ReadCache(string) ([]byte, error)           { return nil, os.ErrNotExist }
func (c *carrying) WriteCache(string, []byte)                  {}
func (c *carrying) Log(string)                                 {}
func (c *carrying) SecurityError(s string)                     { c.t.Error(s) }

func TestSumDB(t *testing.T) {
	tree := proxyTree(t)
	db, _ := carrySumDB(t, tree)
	base := serve(t, Options{GoProxy: tree}) + "/goproxy/sumdb/" + db + "/"
	if answer, body := ask(t, "GET", base+"supported", ""); answer.StatusCode != 200 || body != "" {
		t.Errorf("supported: %s %q", answer.Status, body)
	}
	// The newest of the lookups.
	answer, body := ask(t, "GET", base+"latest", "")
	if got, err := tlog.ParseTree([]byte(body)); err != nil || answer.StatusCode != 200 || got.N != int64(len(deps())) {
		t.Errorf("latest: %s %q %v", answer.Status, body, err)
	}
	write(t, filepath.Join(tree, "sumdb", db), "latest", "carried")
	if _, body := ask(t, "GET", base+"latest", ""); body != "carried" {
		t.Errorf("latest: %q", body)
	}
	if answer, _ := ask(t, "GET", base+"lookup/example.com/lib@v1.0.0", ""); answer.StatusCode != 200 {
		t.Errorf("lookup: %s", answer.Status)
	}
	// A part of a tile is the beginning of a larger part.
	_, largest := ask(t, "GET", base+fmt.Sprintf("tile/8/0/000.p/%d", len(deps())), "")
	if len(largest) != len(deps())*tlog.HashSize {
		t.Fatalf("tile: %d bytes", len(largest))
	}
	os.Remove(filepath.Join(tree, "sumdb", db, "tile/8/0/000.p/2"))
	if _, body := ask(t, "GET", base+"tile/8/0/000.p/2", ""); body != largest[:2*tlog.HashSize] {
		t.Errorf("part of a tile: %q", body)
	}
	for path, status := range map[string]int{
		"tile/8/0/000": 404, "tile/8/0/001": 404, "tile/8/data/000": 404, "tile/99/0/000": 404, "tile/8/0/000.p/200": 404,
		"lookup/example.com/none@v1.0.0": 404, "lookup/example.com/lib": 410, "lookup/example.com/lib@v1/x": 410, "lookup/Bad@v1": 410, "other": 404,
	} {
		if answer, _ := ask(t, "GET", base+path, ""); answer.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, answer.Status, status)
		}
	}
}

// A stock go command builds from a relay, with the checksum database on, and
// refuses a module that was tampered with.
func TestStockGo(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command")
	}
	tree := proxyTree(t)
	_, key := carrySumDB(t, tree)
	addr, _ := running(t, handler(t, Options{GoProxy: tree}), ServeOptions{MaxConnections: 4})
	build := func(args ...string) (string, string, error) {
		dir := t.TempDir()
		write(t, dir, "p/go.mod", "module example.com/p\n\ngo 1.20\n", "p/main.go",
			"package main\n\nimport \"example.com/lib\"\n\nfunc main() { println(lib.Name()) }\n")
		var out bytes.Buffer
		for _, command := range append([][]string{args}, []string{"build", "-o", filepath.Join(dir, "p.exe"), "."}) {
			c := exec.CommandContext(context.Background(), goCommand, command...)
			c.Dir = filepath.Join(dir, "p")
			c.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + hosttest.Home(t, dir), "USERPROFILE=" + dir, "GOPATH=" + filepath.Join(dir, "gopath"), "GOCACHE=" + goCache(t, goCommand),
				"GOPROXY=http://" + addr + "/goproxy", "GOSUMDB=" + key, "GOENV=off", "GOFLAGS=-modcacherw", "GOTOOLCHAIN=local",
				"SystemRoot=" + os.Getenv("SystemRoot"),
			}
			c.Stdout, c.Stderr = &out, &out
			if err := c.Run(); err != nil {
				return "", out.String(), err
			}
		}
		b, err := exec.Command(filepath.Join(dir, "p.exe")).CombinedOutput()
		return string(b), out.String(), err
	}
	if got, out, err := build("get", "example.com/lib@latest"); err != nil || got != "v1.2.0\n" {
		t.Errorf("%q %v\n%s", got, err, out)
	}
	if got, out, err := build("mod", "tidy"); err != nil || got != "v1.2.0\n" {
		t.Errorf("%q %v\n%s", got, err, out)
	}
	if _, out, err := build("get", "example.com/lib@v1.9.0"); err == nil || !strings.Contains(out, "was carried here") {
		t.Errorf("%v\n%s", err, out)
	}
	bad := dep{"example.com/lib", "v1.0.0", "package lib\n\nfunc Name() string { return \"evil\" }\n"}
	write(t, tree, bad.base()+".zip", string(bad.zip(t)))
	if _, out, err := build("get", "example.com/lib@v1.0.0"); err == nil || !strings.Contains(out, "SECURITY ERROR") {
		t.Errorf("%v\n%s", err, out)
	}
}

// goCache is the user's: compiled packages of the standard library are the same
// everywhere.
func goCache(t *testing.T, goCommand string) string {
	t.Helper()
	out, err := exec.Command(goCommand, "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// listenAgain takes the address of a server that ended.
func listenAgain(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
