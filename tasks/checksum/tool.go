package checksum

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lukechampine.com/blake3"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
)

// algorithms are the kinds of digest, as users write them.
var algorithms = [...]string{"sha256", "sha512", "blake3"}

func newHash(kind string) (hash.Hash, error) {
	switch kind {
	case "sha256":
		return sha256.New(), nil
	case "sha512":
		return sha512.New(), nil
	case "blake3":
		return blake3.New(32, nil), nil
	}
	return nil, fmt.Errorf("unknown algorithm %q", kind)
}

// runTool writes the lists of a spec. Each file is read once, however many
// lists it is in.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	sums := sums{in: call.In, kinds: kindsOf(sp.Lists), known: map[string]map[string]string{}}
	for _, l := range sp.Lists {
		text, err := sums.render(ctx, l)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(call.Dir, filepath.FromSlash(l.Output)), text); err != nil {
			return fmt.Errorf("write checksum file %s: %w", l.Output, err)
		}
	}
	return nil
}

func kindsOf(lists []list) (kinds []string) {
	for _, l := range lists {
		kinds = append(kinds, l.Algorithm)
	}
	return slices.Compact(slices.Sorted(slices.Values(kinds)))
}

// sums remembers what was computed: path to algorithm to hexadecimal digest.
type sums struct {
	in    fs.FS
	kinds []string
	known map[string]map[string]string
}

// render returns a list's lines, sorted by name.
func (s *sums) render(ctx context.Context, l list) (string, error) {
	files, err := s.expand(l.Files)
	if err != nil {
		return "", err
	}
	type line struct{ name, text string }
	var lines []line
	for _, file := range files {
		digests, err := s.of(ctx, file)
		if err != nil {
			return "", fmt.Errorf("checksum %s: %w", file, err)
		}
		name, err := filepath.Rel(filepath.Dir(filepath.FromSlash(l.Output)), filepath.FromSlash(file))
		if err != nil {
			return "", fmt.Errorf("checksum %s: %w", file, err)
		}
		name = filepath.ToSlash(name)
		lines = append(lines, line{name, format(digests[l.Algorithm], name)})
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(a.name, b.name) })
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text)
	}
	return b.String(), nil
}

// expand replaces directories by the files below them. Links in a directory
// are left out: they have no content of their own.
func (s *sums) expand(paths []string) (files []string, err error) {
	for _, p := range paths {
		info, err := fs.Stat(s.in, p)
		if err != nil {
			return nil, fmt.Errorf("checksum %s: %w", p, err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		err = fs.WalkDir(s.in, p, func(below string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, below)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("checksum %s: %w", p, err)
		}
	}
	return lists.Unique(files), nil
}

func (s *sums) of(ctx context.Context, file string) (map[string]string, error) {
	if d, ok := s.known[file]; ok {
		return d, nil
	}
	f, err := s.in.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hashes := make([]hash.Hash, len(s.kinds))
	writers := make([]io.Writer, len(s.kinds))
	for i, kind := range s.kinds {
		if hashes[i], err = newHash(kind); err != nil {
			return nil, err
		}
		writers[i] = hashes[i]
	}
	if err := copyAll(ctx, io.MultiWriter(writers...), f); err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for i, kind := range s.kinds {
		digests[kind] = hex.EncodeToString(hashes[i].Sum(nil))
	}
	s.known[file] = digests
	return digests, nil
}

// copyAll is io.Copy that ends with its context.
func copyAll(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// format is one line of a checksum file. As in GNU coreutils, a name with a
// backslash or a line break is escaped, and a backslash before the digest
// says so.
func format(digest, name string) string {
	escaped := strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	if escaped != name {
		digest = `\` + digest
	}
	return digest + "  " + escaped + "\n"
}

func write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o666)
}
