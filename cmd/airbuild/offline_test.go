package main

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	modpath "golang.org/x/mod/module"

	"github.com/airbuild/airbuild/tasks/golang/goproxy"
	"github.com/airbuild/airbuild/tasks/golang/goproxy/proxytest"
)

// carriedTree makes what scripts take for the GOPROXY tree of imported bundles:
// example.org/dep v1.0.0 and v1.1.0, proven by a checksum database of the
// test's own, and example.org/private v1.0.0, whose sums are recorded. It
// returns variables for scripts:
//
//	CARRIED          the tree
//	CARRIED_SUMS     a go.sum of dep v1.0.0 and private
//	CARRIED_GOSUMDB  the database's key
//	CARRIED_HOST     os-arch of this host
func carriedTree(t *testing.T) map[string]string {
	t.Helper()
	p := proxytest.New(t)
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		p.Publish("example.org/dep", v, map[string]string{"go.mod": "module example.org/dep\n\ngo 1.25\n", "dep.go": "package dep\n\nconst Name = \"dep " + v + "\"\n"})
	}
	p.Publish("example.org/private", "v1.0.0", map[string]string{"go.mod": "module example.org/private\n\ngo 1.25\n", "p.go": "package private\n"})
	p.Prove(modpath.Version{Path: "example.org/dep", Version: "v1.0.0"}, modpath.Version{Path: "example.org/dep", Version: "v1.1.0"})
	private, goSum := goproxy.Sums{}, goproxy.Sums{}
	for _, k := range slices.Sorted(maps.Keys(p.Sums)) {
		if strings.HasPrefix(k, "example.org/private ") {
			private[k], goSum[k] = p.Sums[k], p.Sums[k]
		}
		if strings.HasPrefix(k, "example.org/dep v1.0.0") {
			goSum[k] = p.Sums[k]
		}
	}
	if err := goproxy.WriteSums(p.Dir, private); err != nil {
		t.Fatal(err)
	}
	sums := filepath.Join(t.TempDir(), "go.sum")
	if err := os.WriteFile(sums, goSum.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"CARRIED": p.Dir, "CARRIED_SUMS": sums, "CARRIED_GOSUMDB": p.Key,
		"CARRIED_HOST": runtime.GOOS + "-" + runtime.GOARCH,
	}
}
