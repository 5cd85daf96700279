package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// warmGoCache has the go command compile what scripts and samples import of the
// standard library, as steps compile it, into the GOCACHE of whoever runs the
// tests. Each test has an empty store, which copies from there; otherwise each
// would compile runtime and fmt for its platforms again.
func warmGoCache(t testing.TB) {
	t.Helper()
	if err := warmOnce(); err != nil {
		t.Fatal(err)
	}
}

var warmOnce = sync.OnceValue(func() error {
	platforms := []string{"linux/amd64", "windows/amd64", "linux/arm64"}
	if !testing.Short() {
		platforms = append(platforms, "darwin/arm64")
	}
	for _, p := range platforms {
		goos, goarch, _ := strings.Cut(p, "/")
		cmd := exec.Command("go", "build", "-trimpath", "embed", "flag", "fmt", "net/http", "os", "path/filepath", "strconv", "testing")
		cmd.Dir = os.TempDir()
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off", "GOTOOLCHAIN=local")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compile the standard library for %s: %w\n%s", p, err, out)
		}
	}
	return nil
})
