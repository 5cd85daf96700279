package goproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/airbuild/airbuild/internal/paths"
)

// goSumDB is the database that the go command asks if nobody says otherwise,
// and its key, which every go command has built in.
const (
	goSumDB    = "sum.golang.org"
	goSumDBKey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
)

// A Database is a checksum database whose signature is believed.
type Database struct {
	Name string // "sum.golang.org": also the directory of its proofs in a tree
	Key  string // its verifier key, as golang.org/x/mod/sumdb/note has them
}

// ParseDatabase reads a setting in the form of GOSUMDB: a name that the go
// command knows, or a verifier key, either with an address behind it. Empty
// and "off" mean the go command's own: what was carried is always verified.
func ParseDatabase(gosumdb string) (Database, error) {
	f := strings.Fields(gosumdb)
	if len(f) == 0 || f[0] == "off" || f[0] == goSumDB || f[0] == "sum.golang.google.cn" {
		return Database{goSumDB, goSumDBKey}, nil
	}
	v, err := note.NewVerifier(f[0])
	if err != nil {
		return Database{}, fmt.Errorf("GOSUMDB %q: want \"sum.golang.org\" or a key such as NAME+HASH+KEY: %w", gosumdb, err)
	}
	if name := v.Name(); path.Clean("/"+name) != "/"+name {
		return Database{}, fmt.Errorf("GOSUMDB %q: %q is not a database name", gosumdb, name)
	}
	return Database{v.Name(), f[0]}, nil
}

// Databases returns the names of the databases whose proofs a tree holds.
func Databases(dir string) ([]string, error) {
	var names []string
	root := filepath.Join(dir, SumDBName)
	err := paths.Walk(root, func(name, rel string, e fs.DirEntry) error {
		if !e.IsDir() {
			return nil
		}
		if fi, err := os.Stat(filepath.Join(name, "lookup")); err == nil && fi.IsDir() {
			names = append(names, rel)
			return fs.SkipDir
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list checksum databases: %w", err)
	}
	return names, nil
}

// proofs answer for the checksum database out of a tree's files.
//
// All records are looked up by one client, which also proves that the signed
// heads they came with are of one history. Two bundles that never knew of each
// other may hold heads with nothing between them: then those records are
// proven under their own head, each of which is signed.
type proofs struct {
	db  Database
	dir string // of this database in the tree

	whole *sumdb.Client
	ops   *fileOps // of whole
	mu    sync.Mutex
	heads map[string]*sumdb.Client // by the head's text
}

func openProofs(tree string, db Database) *proofs {
	p := &proofs{db: db, dir: filepath.Join(tree, SumDBName, filepath.FromSlash(db.Name)), heads: map[string]*sumdb.Client{}}
	p.ops = &fileOps{proofs: p}
	// Records bear the head of when they were looked up; the tiles that were
	// kept prove them in the newest.
	if head, err := readSmall(filepath.Join(p.dir, "latest")); err == nil && treeHead(head) > 0 {
		p.ops.latest = head
	}
	p.whole = sumdb.NewClient(p.ops)
	return p
}

// SeedHeads tells a go command whose GOPATH this is the newest head of the
// tree's databases, unless it knows a newer one: records are proven in that
// head, not always in the older one that they bear.
func SeedHeads(tree, gopath string) error {
	names, err := Databases(tree)
	if err != nil {
		return err
	}
	for _, name := range names {
		head, err := readSmall(filepath.Join(tree, SumDBName, filepath.FromSlash(name), "latest"))
		if err != nil {
			continue // the go command learns one from the records
		}
		to := filepath.Join(gopath, "pkg", "sumdb", filepath.FromSlash(name), "latest")
		if have, err := readSmall(to); err == nil && treeHead(have) >= treeHead(head) {
			continue
		}
		if err := writeFile(to, bytes.NewReader(head)); err != nil {
			return fmt.Errorf("seed the head of %s: %w", name, err)
		}
	}
	return nil
}

// start gives the client of all records the newest head first: a record is
// then looked up in a tree that is as large as any.
func (p *proofs) start(all []module.Version) {
	var newest module.Version
	var size int64
	for _, m := range all {
		if _, t, err := p.record(m); err == nil && t.N > size {
			newest, size = m, t.N
		}
	}
	if size > 0 {
		_, _ = p.whole.Lookup(newest.Path, newest.Version) // lines tells what is wrong with it
	}
}

// record reads a lookup as it was recorded; nothing of it is verified.
func (p *proofs) record(m module.Version) (head []byte, t tlog.Tree, err error) {
	name, err := lookupName(m)
	if err != nil {
		return nil, t, err
	}
	b, err := readSmall(filepath.Join(p.dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, t, err
	}
	_, _, head, err = tlog.ParseRecord(b)
	if err != nil {
		return nil, t, err
	}
	text, _, _ := bytes.Cut(head, []byte("\n\n"))
	t, err = tlog.ParseTree(append(slices.Clone(text), '\n'))
	return head, t, err
}

func lookupName(m module.Version) (string, error) {
	p, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion(m.Version)
	return "lookup/" + p + "@" + v, err
}

// lines returns what the database says of a module: sums by key. ok is false
// if there is no record of it; the error says that there is one which proves
// nothing.
func (p *proofs) lines(m module.Version) (sums Sums, ok bool, err error) {
	head, _, err := p.record(m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	sums, err = ask(p.whole, m)
	if err != nil && p.ops.isForked() {
		return nil, true, errors.New("the tree holds two signed heads that contradict each other")
	}
	if err != nil {
		var again error
		if sums, again = ask(p.alone(head), m); again != nil {
			return nil, true, again
		}
	}
	return sums, true, nil
}

// alone is the client that knows one head only.
func (p *proofs) alone(head []byte) *sumdb.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.heads[string(head)]
	if c == nil {
		c = sumdb.NewClient(&fileOps{proofs: p})
		p.heads[string(head)] = c
	}
	return c
}

// ask looks up both sums of a module.
func ask(c *sumdb.Client, m module.Version) (Sums, error) {
	var text strings.Builder
	for _, v := range []string{m.Version, m.Version + "/go.mod"} {
		lines, err := c.Lookup(m.Path, v)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			text.WriteString(l + "\n")
		}
	}
	return ParseSums([]byte(text.String()))
}

// fileOps are sumdb.ClientOps that read a tree and write nothing.
type fileOps struct {
	proofs *proofs

	mu     sync.Mutex
	latest []byte // the head as it was written last
	forked bool   // two heads contradict each other
}

var _ sumdb.ClientOps = (*fileOps)(nil)

// ReadRemote implements sumdb.ClientOps. The path is the client's own work
// from a checked module, or a tile's.
func (o *fileOps) ReadRemote(p string) ([]byte, error) {
	b, err := readSmall(filepath.Join(o.proofs.dir, filepath.FromSlash(strings.TrimPrefix(p, "/"))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing", strings.TrimPrefix(p, "/"))
	}
	return b, err
}

// ReadConfig implements sumdb.ClientOps.
func (o *fileOps) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(o.proofs.db.Key), nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest, nil
}

// WriteConfig implements sumdb.ClientOps.
func (o *fileOps) WriteConfig(_ string, old, latest []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !bytes.Equal(o.latest, old) {
		return sumdb.ErrWriteConflict
	}
	o.latest = latest
	return nil
}

// ReadCache implements sumdb.ClientOps: there is none.
func (o *fileOps) ReadCache(string) ([]byte, error) { return nil, fs.ErrNotExist }

// WriteCache implements sumdb.ClientOps.
func (o *fileOps) WriteCache(string, []byte) {}

// Log implements sumdb.ClientOps.
func (o *fileOps) Log(string) {}

// SecurityError implements sumdb.ClientOps: the database told two stories.
func (o *fileOps) SecurityError(string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forked = true
}

func (o *fileOps) isForked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.forked
}
