package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// Names in a root.
const (
	current     = "current"
	blue        = "blue"
	green       = "green"
	releasesDir = "releases"
	privateDir  = ".airbuild"
)

// A pointers says what a name of the root stands for: by a symbolic link or,
// where programs cannot make those (Windows), by a file NAME.txt that holds the
// path. Both change by one rename.
type pointers struct {
	root  string
	files bool
}

// get is the slash-separated path below the root that the name stands for, ""
// if there is none.
func (p pointers) get(name string) (string, error) {
	file := filepath.Join(p.root, name)
	var target string
	var err error
	if p.files {
		var b []byte
		b, err = os.ReadFile(file + ".txt")
		target = strings.TrimSpace(string(b))
	} else {
		target, err = os.Readlink(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w; a deploy makes it, and nothing else may be in its place", file, err)
	}
	target = filepath.ToSlash(target)
	dir, base := path.Split(target)
	switch {
	case dir == releasesDir+"/" && checkID(base) == nil:
	case dir == "" && (base == blue || base == green):
	default:
		return "", fmt.Errorf("%s points to %q, which is not a release in this root; remove it: what is running now keeps running until the next deploy", file, target)
	}
	return target, nil
}

// set makes the name stand for another path, in one step.
func (p pointers) set(name, target string) error {
	file := filepath.Join(p.root, name)
	if p.files {
		return writeFile(file+".txt", []byte(target+"\n"), 0o644)
	}
	if err := atomicfile.Symlink(filepath.FromSlash(target), file, atomicfile.Options{Temp: atomicfile.TempPrefix + name, SyncDir: true}); err != nil {
		return fmt.Errorf("change link %s: %w", file, err)
	}
	return nil
}

// release is the release that a name stands for, over a slot if need be.
func (p pointers) release(name string) (id, slot string, err error) {
	target, err := p.get(name)
	if err != nil || target == "" {
		return "", "", err
	}
	if target == blue || target == green {
		slot = target
		if target, err = p.get(slot); err != nil || target == "" {
			return "", slot, err
		}
	}
	return path.Base(target), slot, nil
}

func releasePath(id string) string { return releasesDir + "/" + id }
