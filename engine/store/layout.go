package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// A layout is the absolute, clean directory of a store, and makes the names in it.
type layout string

// Dir returns the store's absolute directory.
func (l layout) Dir() string { return string(l) }

// BlobFile is the file that holds the content of d, if the store has it: for
// programs that want a name. It is valid while the store is open, its content
// is checked by Missing, and nobody may write to it.
func (l layout) BlobFile(d action.Digest) string { return l.path("cas", d) }

// BlobFile and entryFile are the only makers of names in cas and ac. A hash is
// 32 bytes, so no name can lead elsewhere.
func (l layout) entryFile(d action.Digest) string { return l.path("ac", d) }

func (l layout) path(room string, d action.Digest) string {
	const sep = string(filepath.Separator)
	hex := d.Hex()
	return string(l) + sep + room + sep + hex[:2] + sep + hex
}

func (l layout) pinFile(name string) string { return filepath.Join(string(l), "pins", name) }

// create opens a file in tmp that can be committed to a name of the store. The
// directory of a new prefix is made when it is first needed.
func (l layout) create(o atomicfile.Options) (*atomicfile.File, error) {
	o.Exact, o.Mkdir = true, 0o777
	return atomicfile.Create(filepath.Join(string(l), "tmp"), o)
}

// A stored is one file of cas or ac. The size of a blob is that of the file;
// an entry's digest is the key's hash with size zero, because the name does not
// tell the size of the Action.
type stored struct {
	digest action.Digest
	name   string
	info   fs.FileInfo
}

// each calls f for every file of a room ("cas" or "ac"), in the order of the
// hashes. It reads one folder at a time. Files that are not named by a hash
// are not ours and are left alone; files that go meanwhile are passed over.
func (l layout) each(ctx context.Context, room string, f func(stored) error) error {
	folders, err := os.ReadDir(filepath.Join(string(l), room))
	if err != nil {
		return fmt.Errorf("list store: %w", err)
	}
	for _, folder := range folders {
		if !folder.IsDir() || len(folder.Name()) != 2 {
			continue
		}
		if err := l.eachIn(ctx, room, folder.Name(), f); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) eachIn(ctx context.Context, room, folder string, f func(stored) error) error {
	files, err := os.ReadDir(filepath.Join(string(l), room, folder))
	if err != nil {
		return fmt.Errorf("list store: %w", err)
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		hash, err := action.ParseHash(file.Name())
		if err != nil || file.Name()[:2] != folder {
			continue
		}
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("list store: %w", err)
		}
		x := stored{digest: action.Digest{Hash: hash}, name: filepath.Join(string(l), room, folder, file.Name()), info: info}
		if room == "cas" {
			x.digest.Size = info.Size()
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// eachTemp calls f for every file being written, or left by a killed process.
func (l layout) eachTemp(f func(stored) error) error {
	files, err := os.ReadDir(filepath.Join(string(l), "tmp"))
	if err != nil {
		return fmt.Errorf("list store: %w", err)
	}
	for _, file := range files {
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("list store: %w", err)
		}
		if err := f(stored{name: filepath.Join(string(l), "tmp", file.Name()), info: info}); err != nil {
			return err
		}
	}
	return nil
}
