package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// CarriedName is the name of the file that says which bundle a source tree was
// unpacked from. It lies beside the Airbuildfile, where airbuild runs offline
// by itself as long as that bundle is imported in the cache it uses. Its name
// begins like airbuild's temporary files', so it is no input of any step.
const CarriedName = ".airbuild-carried.json"

// Carried is what an import leaves beside the source that it unpacks.
type Carried struct {
	// Bundle is the SHA-256 of the bundle's root manifest, in lower-case
	// hexadecimal: the name of the file in carried/bundles.
	Bundle string
	// Go is the toolchain that the bundle was made with, "go1.26.8"; empty if
	// the project needs none. Where the Airbuildfile allows several, it is the
	// one to use: another would find nothing in the cache.
	Go string
}

// carriedFile is the file's form, version 1.
type carriedFile struct {
	Version int    `json:"version"`
	Bundle  string `json:"bundle"`
	Go      string `json:"go,omitempty"`
}

// WriteCarried writes the file into a source tree, by rename.
func WriteCarried(dir string, c Carried) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("write %s: %w", CarriedName, err)
	}
	b, err := json.Marshal(carriedFile{carriedVersion, c.Bundle, c.Go})
	if err != nil {
		return fmt.Errorf("write %s: %w", CarriedName, err)
	}
	// Among files that belong to the user: their mode is for the umask to say.
	if err := atomicfile.Write(filepath.Join(dir, CarriedName), append(b, '\n'), atomicfile.Options{Sync: true}); err != nil {
		return fmt.Errorf("write %s: %w", CarriedName, err)
	}
	return nil
}

// carriedVersion is the version that this package reads and writes.
const carriedVersion = 1

// ReadCarried reads the file of a source tree; nil without an error if there
// is none. Unknown names, another version and text behind the object are
// errors.
func ReadCarried(dir string) (*Carried, error) {
	b, err := readFile(filepath.Join(dir, CarriedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var c *Carried
	if err == nil {
		c, err = ParseCarried(b)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", CarriedName, err)
	}
	return c, nil
}

// ParseCarried decodes the file.
func ParseCarried(b []byte) (*Carried, error) {
	var f carriedFile
	if err := checkCarriedVersion(b); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, plain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the object")
	}
	c := &Carried{f.Bundle, f.Go}
	return c, c.check()
}

func checkCarriedVersion(b []byte) error {
	var f struct {
		Version *int `json:"version"`
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&f); err != nil {
		return plain(err)
	}
	if f.Version == nil || *f.Version != carriedVersion {
		return fmt.Errorf("this airbuild reads version %d of it only", carriedVersion)
	}
	return nil
}

// check holds the rules of the file: both values become parts of paths.
func (c Carried) check() error {
	lower := func(r rune) bool { return r < '0' || r > '9' && r < 'a' || r > 'f' }
	if len(c.Bundle) != 64 || slices.ContainsFunc([]rune(c.Bundle), lower) {
		return fmt.Errorf(`"bundle" is %q, and must be a SHA-256 in lower-case hexadecimal`, c.Bundle)
	}
	odd := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.", r) }
	if c.Go != "" && (len(c.Go) > 32 || !strings.HasPrefix(c.Go, "go1.") || slices.ContainsFunc([]rune(c.Go), odd)) {
		return fmt.Errorf(`"go" is %q, and must be a release of Go, such as "go1.26.8"`, c.Go)
	}
	return nil
}
