package tasks

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

var _ engine.Asker = Programs(nil)

// Costly implements engine.Asker.
func (Programs) Costly() bool { return false }

// Question implements engine.Asker: which file each program is, at the end of
// all links, and the state of its tree. The file's content is asked of Files.
func (ps Programs) Question(*engine.Asking) (string, error) {
	var b strings.Builder
	for _, p := range ps {
		if p.Missing != "" {
			return "", errors.New(p.Missing)
		}
		file, state := "", ""
		if p.Path != "" {
			var err error
			if file, err = filepath.EvalSymlinks(p.Path); err != nil {
				return "", fmt.Errorf("identify program %s: %w", p.Name, err)
			}
		}
		version, ok := goVersion(file)
		if file != "" && !ok {
			var err error
			if state, err = p.trees.of(file).State(); err != nil {
				return "", fmt.Errorf("identify program %s: %w", p.Name, err)
			}
		}
		fmt.Fprintf(&b, "program %q %q %q %q\n", p.Name, file, version, state)
	}
	return b.String(), nil
}
