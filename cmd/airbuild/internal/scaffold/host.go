package scaffold

import (
	"errors"
	goversion "go/version"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// PinGo finds the version that a toolchain block is to pin: that of a toolchain
// line, or of a go line that is newer than the Go on PATH, where that version is
// used. The go command would use a newer Go too; so does a constraint.
func (f *Facts) PinGo(root string, lookup func(string) (string, bool)) error {
	dirs := f.Modules
	if dirs == nil {
		dirs = []string{"."}
	}
	r, err := gocmd.Required(root, dirs, lookup)
	if err != nil || r.Version == "" {
		return err
	}
	path, err := gocmd.FindToolchain("", lookup, exec.LookPath)
	newer := err != nil || goversion.Compare(path.Version, r.Version) < 0
	if !strings.HasPrefix(r.Line, "toolchain ") && !newer {
		return nil
	}
	number := strings.TrimPrefix(r.Version, "go")
	f.Asked, f.Go = r.String(), ">= "+number
	if tc, err := gocmd.ChooseToolchain(r, lookup, exec.LookPath); err == nil && newer {
		f.Go = strings.TrimPrefix(tc.Version, "go") // as a run without the block would
	} else if _, err := gocmd.FindToolchain(number, lookup, exec.LookPath); err == nil || newer {
		f.Go = number
	}
	return nil
}

// ModuleAbove is the nearest folder above root that is a module or a workspace; ""
// if there is none.
func ModuleAbove(root string) string {
	for dir := filepath.Dir(root); ; dir = filepath.Dir(dir) {
		for _, name := range []string{"go.mod", "go.work"} {
			if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return dir
			}
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// IgnoresDist reports whether root's .gitignore names dist. Only plain patterns are
// looked for: a wrong answer costs a hint.
func IgnoresDist(root string) bool {
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if strings.Trim(strings.TrimSpace(line), "/*") == "dist" {
			return true
		}
	}
	return false
}
