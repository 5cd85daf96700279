package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// The formats of the indexes; a reader refuses any other.
const (
	indexFormat = "airbuild-relay-index 1"
	listFormat  = "airbuild-relay-bundles 1"
)

// maxIndex bounds what is read of an index, in bytes.
const maxIndex = 64 << 20

// An Index lists the files of a bundle, or of the artifacts, sorted by path.
type Index struct {
	Format string `json:"format"` // indexFormat
	Name   string `json:"name"`
	Kind   string `json:"kind"` // "layout", "volumes" or "artifacts"
	Size   int64  `json:"size"` // bytes of all files
	Files  []File `json:"files"`
}

// A File is one file of an Index.
type File struct {
	Path   string `json:"path"` // slash-separated, relative
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// A Summary is one bundle in the list of them.
type Summary struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Files int    `json:"files"`
	Size  int64  `json:"size"`
}

type summaries struct {
	Format  string    `json:"format"` // listFormat
	Bundles []Summary `json:"bundles"`
}

// parseIndex reads an index that somebody sent. What it lets through can be
// written below a directory of any system: each path clean, none in the place
// of another or of a directory, whatever the case of its letters; none that the
// download needs itself; and sizes that add up.
func parseIndex(b []byte) (*Index, error) {
	if len(b) > maxIndex {
		return nil, fmt.Errorf("read index: it has more than %d bytes", maxIndex)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	x := &Index{}
	if err := dec.Decode(x); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read index: something follows it")
	}
	if x.Format != indexFormat {
		return nil, fmt.Errorf("read index: its format is %.60q; this airbuild reads %q", x.Format, indexFormat)
	}
	if len(x.Files) > maxListed {
		return nil, fmt.Errorf("read index: it has more than %d files", maxListed)
	}
	if err := checkFiles(x.Files, x.Size); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	return x, nil
}

func checkFiles(files []File, size int64) error {
	taken := map[string]bool{} // folded paths: true for files
	total, last := int64(0), ""
	for _, f := range files {
		if !portable(f.Path) {
			return fmt.Errorf("the path %.200q is not allowed", f.Path)
		}
		if f.Path <= last {
			return fmt.Errorf("%q stands after %q", f.Path, last)
		}
		last = f.Path
		if _, err := action.ParseHash(f.SHA256); err != nil {
			return fmt.Errorf("%s: SHA-256 %.80q: %w", f.Path, f.SHA256, err)
		}
		if f.Size < 0 || f.Size > math.MaxInt64-total {
			return fmt.Errorf("%s: the size %d is not possible", f.Path, f.Size)
		}
		total += f.Size
		folded := strings.ToLower(f.Path)
		if _, ok := taken[folded]; ok {
			return fmt.Errorf("%s: the name is taken by another, or is that of a directory", f.Path)
		}
		taken[folded] = true
		for dir := path.Dir(folded); dir != "."; dir = path.Dir(dir) {
			if taken[dir] {
				return fmt.Errorf("%s: it is below a file", f.Path)
			}
			taken[dir] = false
		}
	}
	if total != size {
		return fmt.Errorf("its files have %d bytes, and not %d", total, size)
	}
	return nil
}

// portable reports whether a path can be that of a file on every system.
func portable(name string) bool {
	if !cleanName(name) || strings.ContainsAny(name, `<>:"|?*`) {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " ") || strings.HasSuffix(strings.ToLower(segment), partSuffix) || device(segment) {
			return false
		}
	}
	return true
}

// device reports whether Windows takes a name for a device, whatever follows
// its first dot.
func device(segment string) bool {
	stem, _, _ := strings.Cut(strings.ToLower(segment), ".")
	stem = strings.TrimRight(stem, " ")
	switch stem {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	port, ok := strings.CutPrefix(stem, "com")
	if !ok {
		port, ok = strings.CutPrefix(stem, "lpt")
	}
	return ok && len([]rune(port)) == 1 && strings.ContainsAny(port, "0123456789¹²³")
}
