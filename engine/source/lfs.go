package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// differs reports whether one of the entries of git status --porcelain=v2 -z
// is a difference. git compared contents without the filters that were shut, so
// that files which those filters change look modified as soon as git has to read
// them, which it has to after a checkout. git-lfs is often set up in a
// repository alone, and what its filter makes is known: the file's hash. Files
// of other filters count as modified, as nobody but the filter knows better.
func (g *git) differs(ctx context.Context, entries []string) (bool, error) {
	if !g.shut["lfs"] {
		return true, nil
	}
	var names, objects []string
	for _, entry := range entries {
		// 1 XY sub mH mI mW hH hI path
		f := strings.SplitN(entry, " ", 9)
		if len(f) != 9 || f[0] != "1" || f[1] != ".M" || f[2] != "N..." || f[4] != f[5] {
			return true, nil
		}
		names, objects = append(names, f[8]), append(objects, f[7])
	}
	top, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return false, err
	}
	at := *g
	at.dir = filepath.FromSlash(top)
	out, err := at.ask(ctx, strings.Join(names, "\x00")+"\x00", "check-attr", "-z", "--stdin", "filter")
	if err != nil {
		return false, err
	}
	attributes := strings.Split(out, "\x00") // path, "filter", value, …
	for i := range names {
		if 3*i+2 >= len(attributes) || attributes[3*i+2] != "lfs" {
			return true, nil
		}
	}
	pointers, err := at.ask(ctx, strings.Join(objects, "\n")+"\n", "cat-file", "--batch")
	if err != nil {
		return false, err
	}
	root, err := os.OpenRoot(at.dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	for i, name := range names {
		// "HASH blob SIZE", then the content and a line feed, which ask takes
		// from the last.
		header, rest, _ := strings.Cut(pointers, "\n")
		number, ok := strings.CutPrefix(header, objects[i]+" blob ")
		size, err := strconv.Atoi(number)
		if !ok || err != nil || size < 0 || size > len(rest) {
			return false, fmt.Errorf("git cat-file gave %q", header)
		}
		pointers = strings.TrimPrefix(rest[size:], "\n")
		if same, err := isPointed(root, filepath.FromSlash(name), rest[:size]); err != nil || !same {
			return true, err
		}
	}
	return false, nil
}

// isPointed reports whether a file is the one that a pointer of git-lfs stands
// for. Pointers are text: the version of their format, the SHA-256, the size.
func isPointed(root *os.Root, name, pointer string) (bool, error) {
	lines := strings.Split(strings.TrimSuffix(pointer, "\n"), "\n")
	if len(lines) != 3 || lines[0] != "version https://git-lfs.github.com/spec/v1" {
		return false, nil
	}
	oid, hashed := strings.CutPrefix(lines[1], "oid sha256:")
	number, sized := strings.CutPrefix(lines[2], "size ")
	size, err := strconv.ParseInt(number, 10, 64)
	if !hashed || !sized || err != nil {
		return false, nil
	}
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false, nil // gone, or another: that is an answer
	}
	f, err := root.Open(name)
	if err != nil {
		return false, fmt.Errorf("compare %s: %w", name, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, fmt.Errorf("compare %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)) == oid, nil
}
