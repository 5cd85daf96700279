package goproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sourcegraph/conc/pool"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/airbuild/airbuild/internal/lists"
)

// Evidence says by what a module's files were found to be the right ones.
// More is better.
type Evidence uint8

const (
	// Unverified: neither a proof nor a sum says what the files should be.
	Unverified Evidence = iota
	// ByRecord: a line of the tree's own go.sum, written where the tree was
	// made. It is as good as the signature on what carried the tree.
	ByRecord
	// BySum: a line of a go.sum that the caller gave.
	BySum
	// ByProof: a record of a checksum database, in a tree of records whose
	// head the database signed.
	ByProof
)

func (e Evidence) String() string {
	return [...]string{"unverified", "by record", "by go.sum", "by proof"}[e]
}

// Options are what Verify goes by beside the tree.
type Options struct {
	// Database is a setting in the form of GOSUMDB; see ParseDatabase.
	Database string
	// Sums are lines of go.sum files that the caller believes, such as the
	// project's.
	Sums Sums
}

// A Module is one verified version in a Report.
type Module struct {
	module.Version
	Sum      string // h1 of the zip; empty if the tree has only its go.mod
	ModSum   string // h1 of the go.mod; empty if the tree has none
	Evidence Evidence
}

// A Report says what a tree holds and by what each part was verified.
type Report struct {
	Database string   // the one that was believed
	Others   []string // databases whose proofs are in the tree and were not asked
	Modules  []Module // sorted by path, then version; toolchains too
}

// Count returns how many modules have the given evidence.
func (r *Report) Count(e Evidence) int {
	n := 0
	for _, m := range r.Modules {
		if m.Evidence == e {
			n++
		}
	}
	return n
}

// Unproven returns the sums of modules without a proof, as lines of a go.sum.
func (r *Report) Unproven() Sums {
	s := Sums{}
	for _, m := range r.Modules {
		if m.Evidence == ByProof {
			continue
		}
		if m.Sum != "" {
			s[sumKey(m.Version)] = m.Sum
		}
		if m.ModSum != "" {
			s[modKey(m.Version)] = m.ModSum
		}
	}
	return s
}

// A MismatchError says that a file of a tree is not what it should be.
type MismatchError struct {
	Module module.Version
	File   string // "zip" or "go.mod"
	Want   string // the sum, h1:…
	Got    string
	By     string // who says so: "checksum database sum.golang.org", "go.sum"
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("verify %s: the %s was tampered with or damaged: expected %s (%s), found %s", e.Module, e.File, e.Want, e.By, e.Got)
}

// A ProofError says that what should prove a module proves nothing: the
// record, the signed head or a tile is damaged, forged or missing.
type ProofError struct {
	Module   module.Version
	Database string
	Err      error
}

func (e *ProofError) Error() string {
	return fmt.Sprintf("verify %s: the proof of checksum database %s does not hold: %v", e.Module, e.Database, e.Err)
}

func (e *ProofError) Unwrap() error { return e.Err }

// A BadFileError says that a tree holds a file that does not belong in it.
type BadFileError struct {
	File   string // slash-separated, relative to the tree
	Reason string
}

func (e *BadFileError) Error() string { return fmt.Sprintf("verify %q: %s", e.File, e.Reason) }

// IsRefusal reports whether err says that a tree did not verify, as opposed to
// one that could not be read.
func IsRefusal(err error) bool {
	var m *MismatchError
	var p *ProofError
	var b *BadFileError
	return errors.As(err, &m) || errors.As(err, &p) || errors.As(err, &b)
}

// Verify checks every file of the tree at dir: each zip and go.mod against the
// proofs in the tree, the caller's sums and the tree's own; each .info and
// list for form, which is all that can be said of them. A module for which
// nobody vouches is no error: the report says so, and what to do about it is
// for the caller. The report is complete also if there is an error, which
// joins all that was found wrong; IsRefusal tells it from an error of reading.
func Verify(ctx context.Context, dir string, o Options) (*Report, error) {
	db, err := ParseDatabase(o.Database)
	if err != nil {
		return nil, err
	}
	t, err := look(ctx, dir)
	if err != nil {
		return nil, err
	}
	v, err := newVerifier(dir, db, o.Sums)
	if err != nil {
		return nil, err
	}
	r := &Report{Database: db.Name, Modules: make([]Module, len(t.versions))}
	if r.Others, err = Databases(dir); err != nil {
		return nil, err
	}
	r.Others = slices.DeleteFunc(r.Others, func(n string) bool { return n == db.Name })
	all := lists.Map(t.versions, func(f files) module.Version { return f.Version })
	v.proofs.start(all)
	found := make([]error, len(t.versions))
	p := pool.New().WithMaxGoroutines(runtime.GOMAXPROCS(0))
	for i, f := range t.versions {
		p.Go(func() {
			if found[i] = ctx.Err(); found[i] == nil {
				r.Modules[i], found[i] = v.version(t, f)
			}
		})
	}
	p.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	problems := append(t.problems, found...)
	for _, l := range t.lists {
		problems = append(problems, checkList(dir, l))
	}
	return r, errors.Join(problems...)
}

// A verifier knows who vouches for modules.
type verifier struct {
	proofs *proofs
	given  Sums // the caller's
	own    Sums // the tree's
}

func newVerifier(dir string, db Database, given Sums) (*verifier, error) {
	own, err := TreeSums(dir)
	if err != nil {
		return nil, &BadFileError{SumsName, err.Error()}
	}
	return &verifier{proofs: openProofs(dir, db), given: given, own: own}, nil
}

// version verifies the files of one version.
func (v *verifier) version(t *tree, f files) (Module, error) {
	m := Module{Version: f.Version}
	if err := hashFiles(t, f, &m); err != nil {
		return m, err
	}
	var problems []error
	if f.info {
		problems = append(problems, checkInfo(t, f.Version))
	}
	if m.Sum == "" && m.ModSum == "" {
		return m, errors.Join(problems...) // an .info alone: nothing that is used
	}
	e, err := v.judge(m)
	m.Evidence = e
	return m, errors.Join(append(problems, err)...)
}

// hashFiles computes the sums of a version's files.
func hashFiles(t *tree, f files, m *Module) error {
	if f.zip {
		name, err := t.at(f.Version, "zip")
		if err != nil {
			return err
		}
		if m.Sum, err = dirhash.HashZip(name, dirhash.Hash1); err != nil {
			rel, _ := RelPath(f.Version, "zip")
			return &BadFileError{rel, "it cannot be read as a zip: " + err.Error()}
		}
	}
	if f.mod {
		name, err := t.at(f.Version, "mod")
		if err != nil {
			return err
		}
		text, err := readSmall(name)
		if err == nil {
			m.ModSum, err = hashMod(text)
		}
		if err != nil {
			rel, _ := RelPath(f.Version, "mod")
			return &BadFileError{rel, err.Error()}
		}
	}
	return nil
}

// hashMod is the h1 of a go.mod.
func hashMod(text []byte) (string, error) {
	return dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text)), nil
	})
}

// judge holds a version's sums against everybody who vouches for it. All of
// them must agree with what is there; the best of them is the evidence.
func (v *verifier) judge(m Module) (Evidence, error) {
	proven, ok, err := v.proofs.lines(m.Version)
	if err != nil {
		return Unverified, &ProofError{m.Version, v.proofs.db.Name, err}
	}
	if ok && !proven.covers(m) {
		return Unverified, &ProofError{m.Version, v.proofs.db.Name, errors.New("the record says nothing of this version")}
	}
	best := Unverified
	for _, w := range [...]struct {
		sums Sums
		e    Evidence
		by   string
	}{
		{v.own, ByRecord, "recorded next to the modules"},
		{v.given, BySum, "go.sum"},
		{proven, ByProof, "checksum database " + v.proofs.db.Name},
	} {
		if err := w.sums.check(m, w.by); err != nil {
			return Unverified, err
		}
		if w.sums.covers(m) {
			best = w.e
		}
	}
	return best, nil
}

// covers reports whether there is a sum for every file of m.
func (s Sums) covers(m Module) bool {
	return (m.Sum == "" || s[sumKey(m.Version)] != "") && (m.ModSum == "" || s[modKey(m.Version)] != "")
}

// check refuses sums that are other than those of m.
func (s Sums) check(m Module, by string) error {
	for _, f := range [...]struct{ file, key, got string }{
		{"zip", sumKey(m.Version), m.Sum}, {"go.mod", modKey(m.Version), m.ModSum},
	} {
		if want := s[f.key]; f.got != "" && want != "" && want != f.got {
			return &MismatchError{m.Version, f.file, want, f.got, by}
		}
	}
	return nil
}

// checkInfo checks that an .info is about its version.
func checkInfo(t *tree, m module.Version) error {
	rel, err := RelPath(m, "info")
	if err != nil {
		return err
	}
	return infoIs(t.dir, rel, func(v string) bool { return v == m.Version })
}

func infoIs(dir, rel string, right func(version string) bool) error {
	text, err := readSmall(filepath.Join(dir, filepath.FromSlash(rel)))
	if err != nil {
		return &BadFileError{rel, err.Error()}
	}
	var info struct{ Version string }
	if err := json.Unmarshal(text, &info); err != nil {
		return &BadFileError{rel, "it is not JSON: " + err.Error()}
	}
	if !right(info.Version) {
		return &BadFileError{rel, fmt.Sprintf("it is about version %q", info.Version)}
	}
	return nil
}

// checkList checks that a list holds versions only, and that an @latest names
// one.
func checkList(dir, rel string) error {
	valid := func(v string) bool { return v != "" && module.CanonicalVersion(v) == v }
	if path.Base(rel) == "@latest" {
		return infoIs(dir, rel, valid)
	}
	text, err := readSmall(filepath.Join(dir, filepath.FromSlash(rel)))
	if err != nil {
		return &BadFileError{rel, err.Error()}
	}
	for line := range strings.Lines(string(text)) {
		if v := strings.TrimSuffix(line, "\n"); !valid(v) {
			return &BadFileError{rel, fmt.Sprintf("%q is not a version", v)}
		}
	}
	return nil
}
