package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/paths"
)

// digest is that of an installed tree: SHA-256 over one line a file, link and
// directory, sorted by name: kind or permission bits, name in quotes, SHA-256
// of the content or the link's target in quotes. With sync, directories are
// made to last on the way.
func digest(dir string, sync bool) (string, error) {
	sum := sha256.New()
	err := paths.Walk(dir, func(name, rel string, d fs.DirEntry) error {
		switch {
		case d.IsDir():
			if rel != "." {
				fmt.Fprintf(sum, "dir %q\n", rel)
			}
			if sync {
				return atomicfile.SyncDir(name)
			}
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			fmt.Fprintf(sum, "link %q %q\n", rel, filepath.ToSlash(target))
			return err
		}
		return digestFile(sum, name, rel)
	})
	if err != nil {
		return "", fmt.Errorf("read release %s: %w", dir, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func digestFile(sum io.Writer, name, rel string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", rel)
	}
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return err
	}
	_, err = fmt.Fprintf(sum, "%o %q %x\n", info.Mode().Perm(), rel, content.Sum(nil))
	return err
}
