package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// formatVersion is in every JSON file of a root. A reader refuses others.
const formatVersion = 1

const maxRecord = 1 << 20 // bytes of a JSON file

// writeFile writes a file that lasts. Its mode is exactly perm, whatever the umask is.
func writeFile(name string, b []byte, perm fs.FileMode) error {
	if err := atomicfile.Write(name, b, atomicfile.Options{Perm: perm, Exact: true, Sync: true, SyncDir: true}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return writeFile(name, append(b, '\n'), 0o644)
}

// readJSON reads a record into v; it reports whether there is one.
func readJSON(name string, v interface{ known() error }) (bool, error) {
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecord {
		return false, fmt.Errorf("read %s: it is not a record of a deploy", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	return true, decode(name, b, v)
}

func decode(name string, b []byte, v interface{ known() error }) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		err = errors.New("text after its end")
	}
	if err == nil {
		err = v.known()
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// remove removes a file; that it is not there is no error.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(name))
}
