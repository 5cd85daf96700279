package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdRandom writes a file for scripts about volumes: what is in it can be made
// no smaller.
func cmdRandom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: random FILE SIZE")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, err = r.Read(b)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

// cmdGoProxy makes a GOPROXY tree of the modules in a directory, for scripts
// about modules that are found nowhere else.
func cmdGoProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: go-proxy MODULES PROXY")
	}
	ts.Check(proxyTree(ts.MkAbs(args[1]), ts.MkAbs(args[0])))
}

// cmdSnapshot writes down all that can be seen of a directory, .git included:
// names, types, modes, times and contents. Of what lies below the paths that are
// left out nothing is said; nor of the times of the directories that hold them.
func cmdSnapshot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: snapshot DIR FILE [WITHOUT…]")
	}
	dir, without := ts.MkAbs(args[0]), args[2:]
	var text strings.Builder
	ts.Check(filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if slices.Contains(without, rel) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		when := fi.ModTime().String()
		if e.IsDir() && slices.ContainsFunc(without, func(p string) bool { return filepath.ToSlash(filepath.Dir(p)) == rel }) {
			when = "-"
		}
		content := ""
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%x", sha256.Sum256(b))
		case fi.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(name); err != nil {
				return err
			}
		}
		fmt.Fprintln(&text, rel, fi.Mode(), when, content)
		return nil
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text.String()), 0o666))
}
