package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// toolchain looks for Go and asks it for its settings.
func (d *doctor) toolchain() {
	tc, err := gocmd.FindToolchain("", d.LookupEnv, exec.LookPath)
	if err != nil {
		d.fail("go", "install Go, or put its bin directory on PATH", "%v", err)
		return
	}
	if !slices.ContainsFunc(d.findings, func(f Finding) bool { return f.Check == "go" }) {
		d.ok("go", "%s in %s", tc.Version, tc.Root)
	}
	out, err := d.output(tc.Bin, "env", "-json")
	if err != nil {
		d.fail("go", "go env says more", "go env: %v", err)
		return
	}
	if json.Unmarshal(out, &d.goenv) != nil {
		d.goenv = nil
	}
	d.goMod(tc)
}

// output runs a program in the project, bounded in time and size.
func (d *doctor) output(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = d.root
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if text := human.OneLine(stderr.String()); text != "" {
			return out, errors.New(text[:min(len(text), 500)])
		}
	}
	return out, err
}

// goMod holds the version that go.mod wants against the toolchain's.
func (d *doctor) goMod(tc *gocmd.Toolchain) {
	text, err := os.ReadFile(filepath.Join(d.root, "go.mod"))
	if d.root == "" || err != nil {
		return
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		d.fail("go.mod", "go mod edit -fmt shows the place", "%v", err)
		return
	}
	for _, r := range mod.Replace {
		if r.New.Version == "" && leavesProject(r.New.Path) {
			d.warn("relative", "put the module into the project, publish it, or use a go.work file", "go.mod replaces %s by %s, which is outside the project and not carried", r.Old.Path, r.New.Path)
		}
	}
	if mod.Go == nil {
		return
	}
	wanted := ">= " + mod.Go.Version
	if _, err := gocmd.FindToolchain(wanted, d.LookupEnv, exec.LookPath); err != nil {
		d.fail("go.mod", "install Go "+mod.Go.Version+" or newer; a bundle can carry it", "go.mod requires Go %s, and this is %s", mod.Go.Version, tc.Version)
	}
}

func leavesProject(p string) bool {
	clean := filepath.ToSlash(filepath.Clean(p))
	return filepath.IsAbs(p) || clean == ".." || strings.HasPrefix(clean, "../")
}

// goSettings looks at what go env was told beside its defaults. airbuild's own
// Go steps do without all of it; go by hand, and programs in exec steps that
// take it over with pass_env, do not.
func (d *doctor) goSettings() {
	if d.goenv == nil {
		return
	}
	d.goFlags()
	d.goEnvFile()
	d.goNetwork()
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		dir := d.goenv[name]
		if dir == "" || dir == "off" {
			d.fail("go", "set HOME or "+name, "%s has no value", name)
			continue
		}
		if !host.TakeDisk(dir).Writable {
			d.warn("go", "chown it to the user who builds, or set "+name, "%s (%s) cannot be written", name, dir)
		}
	}
	if d.goenv["CGO_ENABLED"] == "1" {
		cc, _, _ := strings.Cut(d.goenv["CC"], " ")
		if _, err := exec.LookPath(cc); err != nil {
			d.warn("cgo", "install "+cc+", or set CGO_ENABLED=0", "cgo is on, and the C compiler %s is not on PATH", cc)
		}
	}
}

func (d *doctor) goFlags() {
	flags := d.goenv["GOFLAGS"]
	if flags == "" {
		return
	}
	why := "it changes go commands that you run; airbuild's own Go steps ignore it"
	for flag, text := range map[string]string{
		"-buildvcs=false": "binaries that you build with go do not record their commit",
		"-mod=mod":        "go commands that you run may change go.mod, fetch modules and ignore a vendor directory",
		"-mod=vendor":     "go commands that you run fail in modules without a vendor directory",
		"-insecure":       "modules are fetched without checks",
	} {
		if strings.Contains(flags, flag) {
			why = text
		}
	}
	d.warn("goflags", "unset GOFLAGS, or go env -u GOFLAGS; put what is needed into the stage", "GOFLAGS=%s: %s", flags, why)
}

// goEnvFile names what go env -w recorded: nobody sees it in the environment.
func (d *doctor) goEnvFile() {
	file := d.goenv["GOENV"]
	if file == "" || file == "off" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name != "" && !strings.HasPrefix(name, "#") {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		d.warn("goenv", "go env -u "+strings.Join(names, " "), "%s sets %s for all projects of this user", file, strings.Join(names, ", "))
	}
}

// goNetwork looks at settings that cannot work without a network.
func (d *doctor) goNetwork() {
	note := func(_, format string, args ...any) { d.ok("go network", format, args...) }
	if d.Offline {
		note = func(fix, format string, args ...any) { d.warn("go network", fix, format, args...) }
	}
	proxy, sumdb := host.WithoutPassword(d.goenv["GOPROXY"]), d.goenv["GOSUMDB"]
	local := !needsNetwork(d.goenv["GOPROXY"])
	switch {
	case !local:
		note("set GOPROXY to a file:// tree, such as that of a go_download stage or of an imported bundle; airbuild --offline leaves the others out by itself",
			"GOPROXY=%s needs a network", proxy)
	default:
		d.ok("go network", "GOPROXY=%s needs no network", proxy)
	}
	for _, e := range strings.FieldsFunc(d.goenv["GOPROXY"], func(r rune) bool { return r == ',' || r == '|' }) {
		dir, ok := strings.CutPrefix(e, "file://")
		if _, err := os.Stat(dir); ok && err != nil {
			d.fail("go network", "make the tree, or correct GOPROXY", "GOPROXY names %s, and there is no such folder", e)
		}
	}
	if sumdb != "off" && sumdb != "" && d.Offline {
		d.warn("go network", "commit a go.sum that has all entries; a bundle carries the database's proofs", "GOSUMDB=%s cannot be asked without a network: a module that is not in go.sum fails", sumdb)
	}
	if sumdb == "off" {
		d.warn("go network", "go env -u GOSUMDB; list private modules in GOPRIVATE", "GOSUMDB=off: new modules are taken as they come")
	}
	if v := d.goenv["GOTOOLCHAIN"]; d.Offline && v != "local" && v != "" && os.Getenv("GOTOOLCHAIN") != "local" {
		d.warn("go network", "set GOTOOLCHAIN=local", "GOTOOLCHAIN=%s: go commands that you run may try to download another Go", v)
	}
}

// needsNetwork reports whether an entry of a GOPROXY is no local tree.
func needsNetwork(list string) bool {
	for _, e := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '|' }) {
		if e != "off" && !strings.HasPrefix(e, "file://") {
			return true
		}
	}
	return false
}
