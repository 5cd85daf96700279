package affected

import (
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/source"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		base     string
		patterns []string
		path     string
		want     bool
	}{
		{".", []string{"**"}, "a/b", true},
		{".", []string{"."}, "a/b", true},
		{".", []string{"*.txt"}, "a.txt", true},
		{".", []string{"*.txt"}, "a/a.txt", false},
		{".", []string{"docs"}, "docs/a/b", true},
		{".", []string{"docs", "!docs/a"}, "docs/a/b", false},
		{".", []string{"!docs"}, "a", false},
		{"sub", []string{"*.txt"}, "sub/a.txt", true},
		{"sub", []string{"*.txt"}, "a.txt", false},
		{"sub", []string{"*.txt"}, "submarine/a.txt", false},
	} {
		if got := matches(tt.base, tt.patterns, tt.path); got != tt.want {
			t.Errorf("%s %q %s: %v", tt.base, tt.patterns, tt.path, got)
		}
	}
}

// What a step no longer reads may have counted before: the table is of a step
// that lists app/main.go, for one platform.
func TestCounted(t *testing.T) {
	env := []action.EnvVar{{Name: "GOOS", Value: "linux"}, {Name: "GOARCH", Value: "arm64"}}
	build := &engine.Step{Type: "go_build", Traits: engine.Traits{EmbedsOnly: true}, Command: action.Command{Arguments: []string{"go", "build", "./app"}, Env: env}}
	all := &engine.Step{Type: "go_vet", Command: action.Command{Arguments: []string{"go", "vet", "./..."}, Env: env}}
	edited, added, removed := source.Change{}, source.Change{Added: true}, source.Change{Removed: true}
	for _, tt := range []struct {
		step *engine.Step
		path string
		c    source.Change
		want bool
	}{
		{build, "app/other.go", edited, true}, // it may have lost a build tag
		{build, "app/other.go", added, false},
		{build, "app/other.go", removed, true},
		{build, "app/other_windows.go", edited, false},
		{build, "app/other_arm64.s", edited, true},
		{build, "app/other_test.go", edited, false},
		{build, "app/_other.go", edited, false},
		{build, "app/README.md", edited, false},
		{build, "app/README.md", removed, true}, // it may have been embedded
		{build, "lib/lib.go", edited, false},
		{build, "lib/lib.go", removed, false},
		{build, "README.md", removed, false},
		{build, "lib/go.mod", edited, false},
		{build, "lib/go.mod", added, true},
		{build, "lib/go.mod", removed, true},
		{all, "app/other_test.go", edited, true},
		{all, "lib/lib.go", edited, true},
		{all, "lib/lib.go", removed, true},
		{all, "lib/lib_windows.go", edited, false},
		{all, "app/testdata/x", removed, true},
		{all, "lib/testdata/x", removed, false},
	} {
		l := &listing{
			s: tt.step, files: map[string]bool{"app/main.go": true}, dirs: map[string]bool{"app": true},
			embeds: map[string]bool{"app": false},
		}
		if got := l.counted(tt.path, tt.c); got != tt.want {
			t.Errorf("%s, %s %+v: %v", tt.step.Type, tt.path, tt.c, got)
		}
	}
	l := &listing{s: build, files: map[string]bool{"app/main.go": true}, dirs: map[string]bool{"app": true}, embeds: map[string]bool{"app": true}}
	if !l.counted("app/static/x/y", removed) {
		t.Error("a removed file below a package that embeds does not count")
	}
}
