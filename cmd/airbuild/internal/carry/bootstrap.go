package carry

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// The files next to a bundle that unpack it on a host without airbuild: for a
// POSIX shell, and for Windows PowerShell 5.
const (
	BootstrapName        = "bootstrap.sh"
	BootstrapWindowsName = "bootstrap.ps1"
)

var (
	//go:embed bootstrap.sh
	bootstrapText string
	//go:embed bootstrap.ps1
	bootstrapWindowsText string
)

// Bootstrap is the named script for a bundle. It knows the sums of the programs in
// it, so it depends on the bundle and on nothing else.
func Bootstrap(b *bundle.Bundle, script string) ([]byte, error) {
	name := b.Root().Name
	if strings.ContainsAny(name, "'\n\\@") {
		return nil, fmt.Errorf("write %s: the name %q has characters that a shell would take for its own", script, name)
	}
	var programs []string
	for _, p := range carriedPrograms(b) {
		programs = append(programs, fmt.Sprintf("%s %s %d blobs/sha256/%s", p.host, p.hex, p.size, p.hex))
	}
	text := bootstrapText
	if script == BootstrapWindowsName {
		text = bootstrapWindowsText
	}
	r := strings.NewReplacer("@DIGEST@", b.Digest(), "@NAME@", name, "@PROGRAMS@", strings.Join(programs, "\n"))
	return []byte(r.Replace(text)), nil
}

// A carriedProgram is an airbuild in a bundle. The host is as in components' names.
type carriedProgram struct {
	host, hex string
	size      int64
}

func carriedPrograms(b *bundle.Bundle) []carriedProgram {
	var out []carriedProgram
	for _, c := range b.Root().Components {
		host, ok := strings.CutPrefix(c.Name, Airbuild+"/")
		if !ok {
			continue
		}
		for f := range b.Files(c.Name) {
			if b.Carries(f) {
				out = append(out, carriedProgram{host, f.Digest.Hex(), f.Digest.Size})
			}
		}
	}
	return out
}

// WriteBootstrap writes the scripts next to a bundle, each whole or not at all, and
// returns their names: that for POSIX shells always, and first; that for Windows if
// the bundle carries an airbuild for Windows.
func WriteBootstrap(b *bundle.Bundle, dir string) ([]string, error) {
	scripts := []string{BootstrapName}
	if slices.ContainsFunc(carriedPrograms(b), func(p carriedProgram) bool { return strings.HasPrefix(p.host, "windows-") }) {
		scripts = append(scripts, BootstrapWindowsName)
	} else if err := os.Remove(filepath.Join(dir, BootstrapWindowsName)); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("remove the script of another bundle: %w", err)
	}
	for _, script := range scripts {
		text, err := Bootstrap(b, script)
		if err != nil {
			return nil, err
		}
		if err := atomicfile.Write(filepath.Join(dir, script), text, atomicfile.Options{Perm: 0o755, Temp: atomicfile.TempPrefix + script}); err != nil {
			return nil, fmt.Errorf("write %s: %w", script, err)
		}
	}
	return scripts, nil
}
