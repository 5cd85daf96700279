package carry

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/robustio"

	"github.com/airbuild/airbuild/engine/bundle"
)

// BootstrapName is the file beside a bundle that unpacks it where there is no
// airbuild yet.
const BootstrapName = "bootstrap.sh"

//go:embed bootstrap.sh
var bootstrapText string

// Bootstrap is the script for a bundle. It knows the sums of the programs in
// it, so it hangs on the bundle and on nothing else.
func Bootstrap(b *bundle.Bundle) ([]byte, error) {
	var programs []string
	for _, c := range b.Root().Components {
		host, ok := strings.CutPrefix(c.Name, Airbuild+"/")
		if !ok {
			continue
		}
		for f := range b.Files(c.Name) {
			if !b.Carries(f) {
				continue
			}
			hex := f.Digest.Hex()
			programs = append(programs, fmt.Sprintf("%s %s %d blobs/sha256/%s", host, hex, f.Digest.Size, hex))
		}
	}
	name := b.Root().Name
	if strings.ContainsAny(name, "'\n\\@") {
		return nil, fmt.Errorf("write %s: the name %q has characters that a shell would take for its own", BootstrapName, name)
	}
	r := strings.NewReplacer("@DIGEST@", b.Digest(), "@NAME@", name, "@PROGRAMS@", strings.Join(programs, "\n"))
	return []byte(r.Replace(bootstrapText)), nil
}

// WriteBootstrap writes the script beside a bundle, whole or not at all.
func WriteBootstrap(b *bundle.Bundle, dir string) (string, error) {
	text, err := Bootstrap(b)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, BootstrapName)
	temp := name + ".tmp"
	if err := os.WriteFile(temp, text, 0o755); err != nil {
		return "", fmt.Errorf("write %s: %w", BootstrapName, err)
	}
	if err := robustio.Rename(temp, name); err != nil {
		return "", fmt.Errorf("write %s: %w", BootstrapName, err)
	}
	return name, nil
}
