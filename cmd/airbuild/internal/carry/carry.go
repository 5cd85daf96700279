// Package carry decides what of a project goes into a bundle, and where what
// comes out of one goes: the source, the results of its steps, compiled
// packages, modules, Go and airbuild itself. It rehearses a bundle, and writes
// the script that unpacks one where there is nothing yet.
//
// engine/bundle knows components as lists of files and nothing of their
// meaning; the meaning is here.
package carry

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
)

// The names of components, or of their first parts.
const (
	Airbuild  = "airbuild"
	Source    = "source"
	Modules   = "modules"
	SumDB     = "sumdb"
	Toolchain = "toolchain"
	GoCache   = "gocache"
	Actions   = "actions"
	Artifacts = "artifacts"
	SBOM      = "sbom"
	Extra     = "extra"
)

// HostName is the second part of a component's name for a system.
func HostName(goos, goarch string) string { return goos + "-" + goarch }

// splitHost takes "linux/amd64" apart.
func splitHost(host string) (goos, goarch string) {
	goos, goarch, _ = strings.Cut(host, "/")
	return goos, goarch
}

// ThisHost is the system that this program runs on: "linux/amd64".
func ThisHost() string { return runtime.GOOS + "/" + runtime.GOARCH }

// CheckHost refuses what is no "os/arch".
func CheckHost(host string) error {
	goos, goarch, ok := strings.Cut(host, "/")
	plain := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	}
	if !ok || !plain(goos) || !plain(goarch) {
		return fmt.Errorf("%q is not a host: want OS/ARCH, such as linux/amd64", host)
	}
	return nil
}

// A StepResult is a step that was made or taken from the store, with its key.
type StepResult struct {
	ID   engine.StepID
	Step *engine.Step
	Key  action.Digest
}

// sorted puts a component's files in order and takes repetitions out.
func sorted(files []create.Input) []create.Input {
	slices.SortFunc(files, func(a, b create.Input) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(files, func(a, b create.Input) bool { return a.Path == b.Path })
}

func sortedComponents(cs []create.Component) []create.Component {
	slices.SortFunc(cs, func(a, b create.Component) int { return cmp.Compare(a.Name, b.Name) })
	return cs
}
