package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/engine/action"
)

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
func (s *Disk) each(ctx context.Context, room string, f func(stored) error) error {
	folders, err := os.ReadDir(filepath.Join(s.dir, room))
	if err != nil {
		return fmt.Errorf("list store: %w", err)
	}
	for _, folder := range folders {
		if !folder.IsDir() || len(folder.Name()) != 2 {
			continue
		}
		if err := s.eachIn(ctx, room, folder.Name(), f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Disk) eachIn(ctx context.Context, room, folder string, f func(stored) error) error {
	files, err := os.ReadDir(filepath.Join(s.dir, room, folder))
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
		x := stored{digest: action.Digest{Hash: hash}, name: filepath.Join(s.dir, room, folder, file.Name()), info: info}
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
func (s *Disk) eachTemp(f func(stored) error) error {
	files, err := os.ReadDir(filepath.Join(s.dir, "tmp"))
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
		if err := f(stored{name: filepath.Join(s.dir, "tmp", file.Name()), info: info}); err != nil {
			return err
		}
	}
	return nil
}
