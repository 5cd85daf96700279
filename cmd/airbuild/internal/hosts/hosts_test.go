package hosts

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/host/binary"
	"github.com/airbuild/airbuild/engine/host/want"
)

// No value of a secret gets into a fingerprint, whatever is wanted or is in another.
func TestSecretsAreNotTaken(t *testing.T) {
	p := &project.Options{Cache: t.TempDir()}
	if !host.IsSecretName("API_TOKEN") {
		t.Fatal("API_TOKEN must have the name of a secret for this test")
	}
	w := &want.Host{
		Commands: []want.Command{{Name: "git"}},
		Env:      []want.Variable{{Name: "CC", Value: "gcc", Exact: true}, {Name: "API_TOKEN", Value: "x", Exact: true}, {Name: "HOME"}},
	}
	o := WantedBy(p, "", w)
	if !slices.Equal(o.Env, []string{"CC"}) || !slices.Equal(o.Tools, []string{"git"}) {
		t.Errorf("wanted: values of %q, tools %q", o.Env, o.Tools)
	}
	there := &host.Fingerprint{
		Tools: map[string]host.Tool{"git": {Found: true}, "ar": {Found: true}, "gcc": {}},
		Env:   host.Env{Values: map[string]string{"GOPROXY": "off", "API_TOKEN": "x", "CC": "gcc"}},
	}
	o = ComparedWith(p, "", there)
	if !slices.Equal(o.Env, []string{"CC", "GOPROXY"}) || !slices.Equal(o.Tools, []string{"ar", "git"}) {
		t.Errorf("compared: values of %q, tools %q", o.Env, o.Tools)
	}
	if o.Disks["project"] != "." || o.Disks["cache"] != p.Cache {
		t.Errorf("disks %v", o.Disks)
	}
}

// An empty variable is not set.
func TestWantedByEnviron(t *testing.T) {
	t.Setenv("AIRBUILD_TEST_EMPTY", "")
	t.Setenv("AIRBUILD_TEST_SET", "x")
	o := WantedBy(&project.Options{Cache: t.TempDir()}, "", &want.Host{})
	if slices.Contains(o.Environ, "AIRBUILD_TEST_EMPTY=") || !slices.Contains(o.Environ, "AIRBUILD_TEST_SET=x") {
		t.Errorf("environment %q", o.Environ)
	}
}

// static is a binary without libraries.
func static(goos, arch string) *binary.Report {
	return &binary.Report{Format: binary.ELF, OS: goos, Arch: arch, Static: true}
}

func TestExamineBinary(t *testing.T) {
	target := binary.Target{OS: "linux", Arch: "amd64"}
	for _, test := range []struct {
		name     string
		report   *binary.Report
		against  bool
		fits     bool
		findings int
	}{
		{"of this host", static("linux", "amd64"), false, true, 2},
		{"of another host, which is not asked about", static("plan9", "arm64"), false, true, 0},
		{"against another host", static("plan9", "arm64"), true, false, 2},
		{"against the same host", static("linux", "amd64"), true, true, 2},
	} {
		b := ExamineBinary(test.report, target, "", test.against)
		if b.Fits != test.fits || len(b.Findings) != test.findings {
			t.Errorf("%s: fits %v, findings %v", test.name, b.Fits, b.Findings)
		}
	}
}

func TestCheckBinary(t *testing.T) {
	universal := []*binary.Report{static("darwin", "amd64"), static("darwin", "arm64")}
	rows := CheckBinary("app", universal, binary.Target{OS: "darwin", Arch: "arm64"}, false)
	if len(rows) != 2 || rows[0].What != "os app" || !host.Fits(rows) {
		t.Errorf("the part for arm64: %+v", rows)
	}
	rows = CheckBinary("app", universal, binary.Target{OS: "linux", Arch: "riscv64"}, false)
	if host.Fits(rows) || rows[0].Fix == "" || rows[1].Expected != "amd64" {
		t.Errorf("no part fits: %+v", rows)
	}
}

func TestOpenBinaryNone(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "gone"), "hosts_test.go"} {
		_, err := OpenBinary(name)
		if code, _ := exit.Code(err); code != exit.Usage {
			t.Errorf("%s: code %d, %v", name, code, err)
		}
	}
}
