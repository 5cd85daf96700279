// Package proxytest makes trees in the form of a GOPROXY, with a checksum
// database of their own, for tests that must not touch a network.
package proxytest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// A Proxy is a tree and the database that vouches for it.
type Proxy struct {
	T    testing.TB
	Dir  string       // the tree
	Name string       // of the database
	Key  string       // its verifier key: a value for GOSUMDB
	Sums goproxy.Sums // of all that was published
	srv  *sumdb.TestServer

	mu  sync.Mutex
	cfg map[string][]byte
}

// New makes an empty tree in a new directory.
func New(t testing.TB) *Proxy { return NewAt(t, t.TempDir()) }

// NewAt makes an empty tree at dir.
func NewAt(t testing.TB, dir string) *Proxy {
	t.Helper()
	p := &Proxy{T: t, Dir: dir, Name: "sum.example.org", Sums: goproxy.Sums{}, cfg: map[string][]byte{}}
	skey, vkey, err := note.GenerateKey(rand.Reader, p.Name)
	if err != nil {
		t.Fatal(err)
	}
	p.Key = vkey
	p.srv = sumdb.NewTestServer(skey, func(path, vers string) ([]byte, error) {
		key := path + " " + vers
		if p.Sums[key] == "" {
			return nil, fmt.Errorf("%s was not published", key)
		}
		return fmt.Appendf(nil, "%s %s\n%s/go.mod %s\n", key, p.Sums[key], key, p.Sums[key+"/go.mod"]), nil
	})
	return p
}

// Publish adds a version of a module; files are its own, go.mod among them.
func (p *Proxy) Publish(mod, version string, files map[string]string) {
	p.T.Helper()
	p.publish(module.Version{Path: mod, Version: version}, files)
}

// PublishToolchain adds a toolchain that is made of files.
func (p *Proxy) PublishToolchain(tc goproxy.Toolchain, files map[string]string) {
	p.T.Helper()
	p.publish(tc.Module(), files)
}

func (p *Proxy) publish(m module.Version, files map[string]string) {
	p.T.Helper()
	mod, ok := files["go.mod"]
	if !ok {
		mod = "module " + m.Path + "\n"
	}
	p.write(m, "mod", []byte(mod))
	p.write(m, "info", fmt.Appendf(nil, `{"Version":%q,"Time":"2024-01-02T03:04:05Z"}`, m.Version))
	p.write(m, "zip", Zip(p.T, m, files))
	sum, err := dirhash.HashZip(p.Path(m, "zip"), dirhash.Hash1)
	if err != nil {
		p.T.Fatal(err)
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(mod)), nil
	})
	if err != nil {
		p.T.Fatal(err)
	}
	p.Sums[m.Path+" "+m.Version], p.Sums[m.Path+" "+m.Version+"/go.mod"] = sum, modSum
	list := filepath.Join(filepath.Dir(p.Path(m, "zip")), "list")
	f, err := os.OpenFile(list, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(f, m.Version)
		f.Close()
	}
	if err != nil {
		p.T.Fatal(err)
	}
}

// Zip is a module's zip with the given files.
func Zip(t testing.TB, m module.Version, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(m.Path + "@" + m.Version + "/" + name)
		if err == nil {
			_, err = io.WriteString(w, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Path is where the tree keeps a version's file.
func (p *Proxy) Path(m module.Version, ext string) string {
	p.T.Helper()
	rel, err := goproxy.RelPath(m, ext)
	if err != nil {
		p.T.Fatal(err)
	}
	return filepath.Join(p.Dir, filepath.FromSlash(rel))
}

func (p *Proxy) write(m module.Version, ext string, b []byte) {
	p.T.Helper()
	p.WriteFile(p.Path(m, ext), b)
}

// WriteFile writes a file and the directories above it.
func (p *Proxy) WriteFile(name string, b []byte) {
	p.T.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		p.T.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		p.T.Fatal(err)
	}
}

// Prove writes the database's records of modules, and the tiles that prove
// them, into the tree, as the go command would have recorded them. Without
// modules: of all that was published.
func (p *Proxy) Prove(modules ...module.Version) {
	p.T.Helper()
	if len(modules) == 0 {
		for _, key := range slices.Sorted(maps.Keys(p.Sums)) {
			path, version, _ := strings.Cut(key, " ")
			if !strings.HasSuffix(version, "/go.mod") {
				modules = append(modules, module.Version{Path: path, Version: version})
			}
		}
	}
	for _, m := range modules { // all records first: one head for all lookups
		if _, err := p.srv.Lookup(context.Background(), m); err != nil {
			p.T.Fatal(err)
		}
	}
	c := sumdb.NewClient(recorder{p})
	for _, m := range modules {
		if _, err := c.Lookup(m.Path, m.Version); err != nil {
			p.T.Fatal(err)
		}
	}
	head, err := p.srv.Signed(context.Background())
	if err != nil {
		p.T.Fatal(err)
	}
	p.WriteFile(filepath.Join(p.DatabaseDir(), "latest"), head)
	p.WriteFile(filepath.Join(p.DatabaseDir(), "supported"), nil)
}

// DatabaseDir is where the tree keeps the database's proofs.
func (p *Proxy) DatabaseDir() string {
	return filepath.Join(p.Dir, goproxy.SumDBName, p.Name)
}

// Tiles are the tree's tiles, sorted.
func (p *Proxy) Tiles() []string {
	p.T.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(p.DatabaseDir(), "tile"), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		p.T.Fatal(err)
	}
	return out
}

// A recorder is a client's outside: it asks the server and writes what was
// verified into the tree.
type recorder struct{ *Proxy }

// ReadRemote implements sumdb.ClientOps.
func (r recorder) ReadRemote(path string) ([]byte, error) {
	ctx := context.Background()
	if at, ok := strings.CutPrefix(path, "/lookup/"); ok {
		return r.lookup(ctx, at)
	}
	t, err := tlog.ParseTilePath(strings.TrimPrefix(path, "/"))
	if err != nil {
		return nil, err
	}
	return r.srv.ReadTileData(ctx, t)
}

func (r recorder) lookup(ctx context.Context, at string) ([]byte, error) {
	path, vers, _ := strings.Cut(at, "@")
	path, err := module.UnescapePath(path)
	if err != nil {
		return nil, err
	}
	if vers, err = module.UnescapeVersion(vers); err != nil {
		return nil, err
	}
	id, err := r.srv.Lookup(ctx, module.Version{Path: path, Version: vers})
	if err != nil {
		return nil, err
	}
	records, err := r.srv.ReadRecords(ctx, id, 1)
	if err != nil {
		return nil, err
	}
	msg, err := tlog.FormatRecord(id, records[0])
	if err != nil {
		return nil, err
	}
	head, err := r.srv.Signed(ctx)
	return append(msg, head...), err
}

// ReadConfig implements sumdb.ClientOps.
func (r recorder) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(r.Key), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg[file], nil
}

// WriteConfig implements sumdb.ClientOps.
func (r recorder) WriteConfig(file string, _, b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg[file] = b
	return nil
}

// ReadCache implements sumdb.ClientOps.
func (r recorder) ReadCache(string) ([]byte, error) { return nil, fs.ErrNotExist }

// WriteCache implements sumdb.ClientOps.
func (r recorder) WriteCache(file string, b []byte) {
	r.WriteFile(filepath.Join(r.Dir, goproxy.SumDBName, filepath.FromSlash(file)), b)
}

// Log implements sumdb.ClientOps.
func (r recorder) Log(string) {}

// SecurityError implements sumdb.ClientOps.
func (r recorder) SecurityError(msg string) { r.T.Error(msg) }

// Forget makes the next Prove that of a client which never asked before.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.cfg)
}
