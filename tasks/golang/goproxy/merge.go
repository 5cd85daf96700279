package goproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/paths"
)

// Merge adds the tree at src, which has been verified, to the one at dst,
// which is made if need be. A version that both have must be the same in both:
// else nothing of it is changed and the error names it.
//
// Every file appears by rename. Versions are listed, and sums recorded, only
// when their files are there, so a reader at the same time, and a merge that
// was cut off, see a tree that serves what it lists; merging again completes
// it. One merge at a time works on dst, by a lock beside it.
func Merge(ctx context.Context, dst, src string) (err error) {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return fmt.Errorf("make module tree: %w", err)
	}
	lock := flock.New(dst + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock module tree: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	m := merging{dst: dst, src: src}
	if err := m.sums(); err != nil { // first: what is not proven must not be asked for
		return err
	}
	for _, late := range []bool{false, true} {
		if err := m.pass(ctx, late); err != nil {
			return fmt.Errorf("merge module trees: %w", err)
		}
	}
	return nil
}

type merging struct{ dst, src string }

// pass copies the files that are never rewritten, or then those that tell of
// them.
func (m merging) pass(ctx context.Context, late bool) error {
	return paths.Walk(m.src, func(_, rel string, e fs.DirEntry) error {
		if ctx.Err() != nil || e.IsDir() {
			return ctx.Err()
		}
		if !e.Type().IsRegular() {
			return &BadFileError{rel, "it is not a regular file"}
		}
		if rel == SumsName || strings.HasPrefix(e.Name(), atomicfile.TempPrefix) || tells(rel) != late {
			return nil
		}
		return m.file(rel)
	})
}

// tells reports whether a file tells of others, and is made one of two.
func tells(rel string) bool {
	base := path.Base(rel)
	return base == "@latest" || path.Base(path.Dir(rel)) == "@v" && base == "list" ||
		strings.HasPrefix(rel, SumDBName+"/") && base == "latest"
}

// file brings one file over.
func (m merging) file(rel string) error {
	from, to := filepath.Join(m.src, rel), filepath.Join(m.dst, rel)
	have, err := os.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) {
		return copyFile(to, from)
	}
	if err != nil {
		return err
	}
	if !have.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", to)
	}
	slash := filepath.ToSlash(rel)
	switch {
	case tells(slash):
		return m.rewrite(slash, to, from)
	case strings.HasSuffix(slash, ".info"):
		return nil // where and when it was fetched: either will do
	case strings.HasPrefix(slash, SumDBName+"/") && strings.Contains(slash, "/lookup/"):
		return m.newer(to, from, recordHead)
	}
	same, err := sameContent(to, from)
	if err == nil && !same {
		err = &BadFileError{slash, "another file of this name already exists"}
	}
	return err
}

// rewrite makes one list, or one latest head, of two.
func (m merging) rewrite(rel, to, from string) error {
	switch path.Base(rel) {
	case "list":
		return unite(to, from)
	case "latest":
		return m.newer(to, from, treeHead)
	}
	return nil // @latest: the first will do
}

// sums unites the trees' go.sum files.
func (m merging) sums() error {
	more, err := TreeSums(m.src)
	if err != nil || len(more) == 0 {
		return err
	}
	all, err := TreeSums(m.dst)
	if err != nil {
		return err
	}
	if err := all.Merge(more); err != nil {
		return &BadFileError{SumsName, err.Error()}
	}
	return WriteSums(m.dst, all)
}

// WriteSums writes the go.sum at the root of a tree, by rename.
func WriteSums(dir string, s Sums) error {
	if err := writeFile(filepath.Join(dir, SumsName), bytes.NewReader(s.Bytes())); err != nil {
		return fmt.Errorf("record sums: %w", err)
	}
	return nil
}

// unite merges two lists of versions.
func unite(to, from string) error {
	seen := map[string]bool{}
	var list []string
	for _, name := range []string{to, from} {
		text, err := readSmall(name)
		if err != nil {
			return err
		}
		for _, v := range strings.Fields(string(text)) {
			if !seen[v] && module.CanonicalVersion(v) == v {
				list = append(list, v)
			}
			seen[v] = true
		}
	}
	semver.Sort(list)
	return writeFile(to, strings.NewReader(strings.Join(list, "\n")+"\n"))
}

// newer keeps the file whose head is of the larger tree. A head that cannot be
// read is the smaller one.
func (m merging) newer(to, from string, size func([]byte) int64) error {
	old, err := readSmall(to)
	if err != nil {
		return err
	}
	text, err := readSmall(from)
	if err != nil || size(text) <= size(old) {
		return err
	}
	return writeFile(to, bytes.NewReader(text))
}

// recordHead is the size of the tree that a record was looked up in.
func recordHead(record []byte) int64 {
	_, _, head, err := tlog.ParseRecord(record)
	if err != nil {
		return -1
	}
	return treeHead(head)
}

// treeHead is the size that a signed head names.
func treeHead(head []byte) int64 {
	text, _, ok := bytes.Cut(head, []byte("\n\n"))
	t, err := tlog.ParseTree(append(bytes.Clone(text), '\n'))
	if !ok || err != nil {
		return -1
	}
	return t.N
}

func sameContent(a, b string) (bool, error) {
	fa, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	ba, bb := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		na, ea := io.ReadFull(fa, ba)
		nb, eb := io.ReadFull(fb, bb)
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		for _, err := range []error{ea, eb} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return false, err
			}
		}
		if ea != nil || eb != nil {
			return ea != nil && eb != nil, nil
		}
	}
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(to, f)
}

// writeFile writes a file, flushed, and the directories above it.
func writeFile(name string, r io.Reader) error {
	return atomicfile.WriteFunc(name, atomicfile.Options{Perm: 0o644, Mkdir: 0o755, Sync: true}, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}
