// Package hosttest makes what tests need of a host.
package hosttest

import (
	"os"
	"path/filepath"
	"testing"
)

// Home makes dir a home directory in which a go command leaves nothing running:
// the first in a home starts a process that counts for Go's telemetry, and may
// still write there when the test's files are removed.
func Home(t testing.TB, dir string) string {
	t.Helper()
	// Where os.UserConfigDir looks on Linux, on macOS and on Windows.
	for _, config := range []string{".config", filepath.Join("Library", "Application Support"), filepath.Join("AppData", "Roaming")} {
		mode := filepath.Join(dir, config, "go", "telemetry", "mode")
		if err := os.MkdirAll(filepath.Dir(mode), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(mode, []byte("off\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
