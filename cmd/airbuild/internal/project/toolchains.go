package project

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// Toolchains remembers the Go toolchain that the file asked for.
type Toolchains struct {
	Env     func(string) (string, bool)
	Root    string // the project's
	carried string // where imports leave toolchains
	// prefer is the version that the source's bundle was made with: any other
	// that would do finds nothing in the cache.
	prefer  string
	offline bool
	mu      sync.Mutex
	Found   *gocmd.Toolchain
	// required is what made found another one than the go command on PATH.
	required gocmd.Requirement
}

// newToolchains looks for Go where the user and imports put it.
func (p *Project) newToolchains() *Toolchains {
	t := &Toolchains{Env: p.Options.LookupEnv, Root: p.Root, offline: p.Options.Offline}
	if cache, err := p.Options.CacheDir(); err == nil {
		t.carried = filepath.Join(CarriedDir(cache), "toolchains")
	}
	if p.Carried != nil && p.Options.Offline {
		t.prefer = p.Carried.Go
	}
	return t
}

// Resolve finds the toolchain of a program. Only Go's is known. Without a wanted
// version it is what the modules of dirs, relative to the project, require.
func (t *Toolchains) Resolve(name, wanted string, dirs []string) error {
	if name != "go" {
		return fmt.Errorf("find toolchain %q: only \"go\" is known", name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prefer != "" && gocmd.Satisfies(wanted, t.prefer) {
		if found, err := gocmd.FindToolchain(t.prefer, t.Env, exec.LookPath, t.carried); err == nil {
			t.Found = found
			return nil
		}
	}
	found, err := t.find(wanted, dirs)
	if err == nil {
		t.Found = found
		return nil
	}
	if t.offline {
		return fmt.Errorf("%w; this run is offline: a bundle with the component %q would bring it", err, toolchainComponent())
	}
	return err
}

func (t *Toolchains) find(wanted string, dirs []string) (*gocmd.Toolchain, error) {
	if wanted != "" {
		return gocmd.FindToolchain(wanted, t.Env, exec.LookPath, t.carried)
	}
	required, err := gocmd.Required(t.Root, dirs, t.Env)
	if err != nil {
		return nil, err
	}
	found, err := gocmd.ChooseToolchain(required, t.Env, exec.LookPath, t.carried)
	if err == nil && required.Version != "" {
		if usual, err := gocmd.FindToolchain("", t.Env, exec.LookPath, t.carried); err != nil || usual.Root != found.Root {
			t.required = required
		}
	}
	return found, err
}

// notice says which toolchain was taken where nobody would expect it; "" if it is
// the one on PATH, or the one that a toolchain block names.
func (t *Toolchains) notice() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.required.Version == "" || t.Found == nil {
		return ""
	}
	return fmt.Sprintf("using %s from %s, because of %s; a toolchain block in the Airbuildfile would pin it", t.Found.Version, t.Found.Root, t.required)
}

// Golang is the toolchain that was resolved, or whatever is there.
func (t *Toolchains) Golang() (*gocmd.Toolchain, error) {
	t.mu.Lock()
	found := t.Found
	t.mu.Unlock()
	if found != nil {
		return found, nil
	}
	if err := t.Resolve("go", "", nil); err != nil {
		return nil, err
	}
	return t.Found, nil
}
