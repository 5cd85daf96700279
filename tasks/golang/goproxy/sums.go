package goproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// Sums are the lines of go.sum files: "path version" or "path version/go.mod"
// to "h1:…".
type Sums map[string]string

// ParseSums reads the text of a go.sum. Lines that are none are passed over,
// as are sums of another kind than h1. Two lines that contradict each other
// are an error.
func ParseSums(text []byte) (Sums, error) {
	s := Sums{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || !strings.HasPrefix(f[2], "h1:") {
			continue
		}
		if err := s.Add(f[0]+" "+f[1], f[2]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Add records a sum unless another is known.
func (s Sums) Add(key, sum string) error {
	if old, ok := s[key]; ok && old != sum {
		return fmt.Errorf("two sums of %s: %s and %s", key, old, sum)
	}
	s[key] = sum
	return nil
}

// Merge adds all of other.
func (s Sums) Merge(other Sums) error {
	for _, k := range slices.Sorted(maps.Keys(other)) {
		if err := s.Add(k, other[k]); err != nil {
			return err
		}
	}
	return nil
}

// Bytes writes the lines, sorted.
func (s Sums) Bytes() []byte {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(s)) {
		b.WriteString(k + " " + s[k] + "\n")
	}
	return []byte(b.String())
}

// Modules returns the paths of modules that the sums name, sorted.
func (s Sums) Modules() []string {
	seen := map[string]bool{}
	for k := range s {
		p, _, _ := strings.Cut(k, " ")
		seen[p] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// TreeSums reads the go.sum at the root of a tree; none is no error.
func TreeSums(dir string) (Sums, error) {
	text, err := readSmall(filepath.Join(dir, SumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return Sums{}, nil
	}
	var s Sums
	if err == nil {
		s, err = ParseSums(text)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sums of a module tree: %w", err)
	}
	return s, nil
}

// sumKey and modKey are how a go.sum calls a module's zip and its go.mod.
func sumKey(m module.Version) string { return m.Path + " " + m.Version }
func modKey(m module.Version) string { return m.Path + " " + m.Version + "/go.mod" }
