package golang

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

func launched(t *testing.T, p *project, typ string) map[string]string {
	t.Helper()
	prog, err := closure.NewLauncher(p.cfg).Launch(t.Context(), &engine.Step{Type: typ}, engine.Share{CPU: 2})
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(filepath.Dir(prog.Path)) != "bin" {
		t.Errorf("go is %s", prog.Path)
	}
	out := map[string]string{}
	for _, e := range prog.Env {
		k, v, _ := strings.Cut(e, "=")
		out[k] = v
	}
	return out
}

// What a user set with `go env -w` says where modules come from, and nothing
// else: flags and targets that would change the bytes stay out.
func TestLauncherHonoursTheUsersSettings(t *testing.T) {
	p := newProject(t, map[string]string{
		"env": "GOPRIVATE=corp.example\nGOFLAGS=-tags=evil\nGOAMD64=v4\nCGO_CFLAGS=-O0\nGOSUMDB=sum.corp.example\n",
	})
	host := p.cfg.LookupEnv
	p.cfg.LookupEnv = func(name string) (string, bool) {
		switch name {
		case "GOENV":
			return filepath.Join(p.root, "env"), true
		case "GOPRIVATE", "GOSUMDB", "GONOSUMDB":
			return "", false
		case "GOEXPERIMENT", "CGO_LDFLAGS", "GOOS":
			return "evil", true
		}
		return host(name)
	}
	env := launched(t, p, "go_build")
	for k, want := range map[string]string{
		"GOPRIVATE": "corp.example", "GOSUMDB": "sum.corp.example", "GONOSUMDB": "corp.example",
		"GOFLAGS": "-p=2", "GOMAXPROCS": "2", "GOENV": "off", "GOTOOLCHAIN": "local", "GOPROXY": "off",
	} {
		if env[k] != want {
			t.Errorf("%s = %q, want %q", k, env[k], want)
		}
	}
	for _, k := range []string{"GOAMD64", "CGO_CFLAGS", "CGO_LDFLAGS", "GOEXPERIMENT", "GOOS", "GOWORK"} {
		if v, ok := env[k]; ok {
			t.Errorf("%s = %q is passed", k, v)
		}
	}
	for _, k := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		if !filepath.IsAbs(env[k]) {
			t.Errorf("%s = %q", k, env[k])
		}
	}
	tc, err := p.cfg.Toolchain()
	if err != nil {
		t.Fatal(err)
	}
	if first := filepath.SplitList(env["PATH"])[0]; first != filepath.Dir(tc.Bin) {
		t.Errorf("PATH begins with %s, want the directory of %s", first, tc.Bin)
	}
}

// Without a network modules come from local trees alone, for a step and for the
// go list that its key is made with.
func TestModulesComeFromLocalTreesWithoutANetwork(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "off",
		"https://proxy.example,direct":           "off",
		"off":                                    "off",
		"file:///a":                              "file:///a",
		"https://p.example|file:///a,direct":     "file:///a",
		"file:///a, https://p.example|file:///b": "file:///a|file:///b",
		"file:///a|file:///b,off,file:///c":      "file:///a|file:///b",
	} {
		if got := gocmd.LocalProxies(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	p := newProject(t, map[string]string{"x": ""})
	host := p.cfg.LookupEnv
	p.cfg.LookupEnv = func(name string) (string, bool) {
		switch name {
		case "GOPROXY":
			return "https://proxy.example,direct", true
		case "GOPRIVATE":
			return "corp.example", true
		case "GONOPROXY", "GONOSUMDB", "GOVCS":
			return "", false
		}
		return host(name)
	}
	for _, tt := range []struct {
		step               engine.Step
		proxy, direct, vcs string
	}{
		{engine.Step{Type: "go_build"}, "off", "none", "*:off"},
		{engine.Step{Type: "go_build", Network: true}, "https://proxy.example,direct", "corp.example", ""},
		{engine.Step{Type: "exec"}, "https://proxy.example,direct", "corp.example", ""},
	} {
		prog, err := closure.NewLauncher(p.cfg).Launch(t.Context(), &tt.step, engine.Share{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range prog.Env {
			k, v, _ := strings.Cut(e, "=")
			got[k] = v
		}
		if got["GOPROXY"] != tt.proxy || got["GONOPROXY"] != tt.direct || got["GOVCS"] != tt.vcs {
			t.Errorf("%s, network %v: GOPROXY=%s GONOPROXY=%s GOVCS=%s", tt.step.Type, tt.step.Network, got["GOPROXY"], got["GONOPROXY"], got["GOVCS"])
		}
	}
}

func TestTestsHaveNoHomeOfTheUser(t *testing.T) {
	p := newProject(t, map[string]string{"x": ""})
	home, ok := os.LookupEnv("HOME")
	if !ok {
		t.Skip("this host has no HOME")
	}
	if got := launched(t, p, "go_build")["HOME"]; got != home {
		t.Errorf("a build's HOME is %q", got)
	}
	if got, ok := launched(t, p, "go_test")["HOME"]; ok {
		t.Errorf("a test's HOME is %q", got)
	}
}

func TestFileURL(t *testing.T) {
	for in, want := range map[string]string{
		"/a/b":         "file:///a/b",
		"/a b/ü,x|y":   "file:///a%20b/%C3%BC%2Cx%7Cy",
		"C:/Users/x":   "file:///C:/Users/x",
		"/a%2F/#frag?": "file:///a%252F/%23frag%3F",
	} {
		if got := gocmd.FileURL(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// Docs are one sentence each, and a default is said where one is applied.
func TestSchemas(t *testing.T) {
	for _, task := range Tasks(&gocmd.Config{}) {
		s := task.Schema()
		docs := []string{s.Doc}
		for _, a := range s.Attrs {
			docs = append(docs, a.Doc)
		}
		for _, n := range s.Blocks {
			docs = append(docs, n.Doc)
			for _, a := range n.Attrs {
				docs = append(docs, a.Doc)
			}
		}
		for _, d := range docs {
			if !strings.HasSuffix(d, ".") || strings.Contains(d, ". ") {
				t.Errorf("%s: not one sentence: %q", s.Type, d)
			}
		}
	}
}
