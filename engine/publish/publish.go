// Package publish brings files to where others fetch them: a directory, a
// server that takes HTTP PUT, a tree that serves as a GOPROXY.
//
// To publish again does nothing: what is there with the same SHA-256 is left
// alone, and other content under the same name is an error unless the Options
// allow to overwrite. A file appears under its name in whole or not at all, so
// that an interrupted run goes on where it was.
package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// ErrDiffers is what errors wrap that say that a name is taken by other
// content.
var ErrDiffers = errors.New("something else is published under that name")

// An Item is a file to publish.
type Item struct {
	Name   string // slash-separated, at the target
	SHA256 string // hexadecimal
	Size   int64
	Open   func() (io.ReadCloser, error)
}

// What became of an Item.
const (
	Published = "published"
	Unchanged = "unchanged" // it was there
	Would     = "would be published"
)

// A Result is what became of an Item, and where it is.
type Result struct {
	Place  string // a path or an address
	Status string
}

// Options are what all targets know.
type Options struct {
	Overwrite bool
	DryRun    bool
}

// A Target takes items.
type Target interface {
	Publish(context.Context, Item) (Result, error)
}

// NewItem is an Item whose content is read once, for its digest.
func NewItem(ctx context.Context, name string, open func() (io.ReadCloser, error)) (Item, error) {
	f, err := open()
	if err != nil {
		return Item{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, ctxio.Reader(ctx, f))
	if err != nil {
		return Item{}, fmt.Errorf("read %s: %w", name, err)
	}
	return Item{Name: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n, Open: open}, nil
}

// checkName refuses names that could lead out of the target.
func checkName(name string) error {
	if name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || strings.Contains(name, `\`) {
		return fmt.Errorf("publish %q: this cannot be a name at the target", name)
	}
	return nil
}

func differs(place, there, want string) error {
	return fmt.Errorf("publish %s: %w: it has sha256 %.12s…, not %.12s…; choose another version or name, or allow overwriting", place, ErrDiffers, there, want)
}

// sumOf is the SHA-256 of what r gives.
func sumOf(ctx context.Context, r io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, ctxio.Reader(ctx, r)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
