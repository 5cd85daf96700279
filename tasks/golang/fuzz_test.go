package golang

import (
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// A platform that is accepted says what it was parsed from, and pins both
// GOOS and, but for universal binaries, GOARCH.
func FuzzParsePlatform(f *testing.F) {
	for _, s := range append(gocmd.Ports(), "linux/arm/v7,softfloat", "linux/arm64/v8", "Linux-x86_64", "a/b/c/d", "//", "") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := gocmd.ParsePlatform(s)
		if err != nil {
			return
		}
		if name(p) != s {
			t.Errorf("%q parses to %q", s, name(p))
		}
		env := strings.Join(p.Env, " ")
		if !strings.Contains(env, "GOOS=") || p.Arch != gocmd.Universal && !strings.Contains(env, "GOARCH=") {
			t.Errorf("%q: %s", s, env)
		}
	})
}

// A remembered closure that is taken never names an input that would land
// outside the input root.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"Version":1,"Files":[{"P":"go.mod","D":""}],"Dirs":[],"Inputs":[{"P":"a.go"},{"P":".airbuild/outside/m/b.go","F":"/m/b.go"}],"Note":"n"}`))
	f.Add([]byte(`{"Version":1,"Files":[{}],"Inputs":[{"P":"../x"}],"Note":"n"}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r closure.Record
		if json.Unmarshal(b, &r) != nil || !r.Valid() {
			return
		}
		for _, in := range r.Discovery().Inputs {
			if !fs.ValidPath(in.Path) || path.IsAbs(in.Path) {
				t.Errorf("input at %q", in.Path)
			}
		}
	})
}

// Joining never panics, and what it accepts it can join again.
func FuzzJoinMachO(f *testing.F) {
	f.Add([]byte("\xcf\xfa\xed\xfe\x07\x00\x00\x01\x03\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fat, err := joinMachO([][]byte{b})
		if err == nil && len(fat) < len(b) {
			t.Errorf("%d bytes from %d", len(fat), len(b))
		}
	})
}
