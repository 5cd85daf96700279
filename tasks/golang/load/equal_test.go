package load

import (
	"path/filepath"
	"testing"
)

var platforms = []string{
	"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64",
	"freebsd/amd64", "js/wasm", "linux/386", "linux/mips64le",
}

// The distribution, for all platforms, without cgo.
func TestDistribution(t *testing.T) {
	facts := &Facts{}
	src := filepath.Join(goSetting(t, "GOROOT"), "src")
	list := platforms
	if testing.Short() {
		list = list[:2]
	}
	for _, p := range list {
		n := same(t, newQuery(t, src, p, "std"), facts)
		n += same(t, newQuery(t, filepath.Join(src, "cmd"), p, "./..."), facts)
		t.Logf("%s: %d packages", p, n)
	}
}
