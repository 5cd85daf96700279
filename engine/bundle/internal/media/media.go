// Package media finds the blobs of a bundle: in a directory with an OCI layout,
// or in volumes.
package media

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/lists"
)

// A Media is where the blobs of a bundle are: a directory, volumes, or a
// server. Nothing that it gives is trusted. Its methods may be called by many
// goroutines.
type Media interface {
	// Name says what it is, to people.
	Name() string
	// Index returns the layout's index.json, of at most limit bytes.
	Index(ctx context.Context, limit int64) ([]byte, error)
	// Blob opens a blob. The error is a *Damage, with Lost set if the blob is
	// not there, or another one of reading. That the blob has the size that d
	// says is checked; its hash is not.
	Blob(ctx context.Context, d action.Digest) (Blob, error)
	Close() error
}

// A Blob is an open blob of a Media.
type Blob interface {
	ReadAt(b []byte, off int64) (int, error)
	Close() error
	// Place says which file byte off of the blob is in, and where.
	Place(off int64) (file string, offset int64)
}

// Open finds the layout or the volumes in paths. See Open.
func Open(paths ...string) (Media, error) {
	if len(paths) == 0 {
		return nil, errors.New("open bundle: no path is given")
	}
	var tars []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("open bundle: %w", err)
		}
		if !info.IsDir() {
			tars = append(tars, p)
			continue
		}
		_, err = os.Lstat(filepath.Join(p, oci.ImageIndexFile))
		if err == nil && len(paths) == 1 {
			return OpenDirectory(p)
		}
		found, err := FindVolumes(p)
		if err != nil {
			return nil, fmt.Errorf("open bundle: %w", err)
		}
		if len(found) == 0 && len(paths) == 1 {
			return nil, format.Refusef("open bundle %s: it has neither an index.json nor volumes (*.tar): it is not a bundle, or an unfinished one", p)
		}
		tars = append(tars, found...)
	}
	return openVolumes(lists.Unique(tars))
}

// FindVolumes returns the files of a directory that begin like volumes.
func FindVolumes(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), ".tar") && (looksLikeVolume(name) || format.VolumeNumber(e.Name()) > 0) {
			list = append(list, name)
		}
	}
	return list, nil
}
