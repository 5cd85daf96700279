package publish

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

type attrs map[string]any

var project = fstest.MapFS{
	"go.mod":        {Data: []byte("module example.org/app\n\ngo 1.25\n")},
	"LICENSE":       {Data: []byte("free\n")},
	"ca.pem":        {Data: []byte("no certificate\n")},
	"dist/app.txt":  {Data: []byte("app\n")},
	"dist/docs/a":   {Data: []byte("a\n")},
	"dist/docs/b/c": {Data: []byte("c\n")},
}

// block is a stage "mirror" with the given values, and with the blocks that
// they are in.
func block(set attrs) *tasks.Block {
	b := tasktest.Block(Type, "mirror", project)
	b.Project.Root, b.Project.Confirmed = "/project", true
	b.Labels = map[string][]string{}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if in, _, ok := strings.Cut(name, "."); ok {
			b.Labels[in] = []string{""}
		}
		tasktest.Set(b, name, set[name])
	}
	return b
}

func with(sets ...attrs) attrs {
	out := attrs{}
	for _, m := range sets {
		for k, v := range m {
			if out[k] = v; v == nil {
				delete(out, k)
			}
		}
	}
	return out
}

var (
	directory = attrs{"files": tasktest.Made("dist/app.txt"), "directory": "/srv/mirror"}
	server    = attrs{"files": tasktest.Made("dist/app.txt"), "url": "https://registry.example/app"}
	token     = attrs{"auth.token_env": "REGISTRY_TOKEN"}
	goproxy   = attrs{"goproxy.directory": "/srv/proxy", "goproxy.version": "v1.2.3"}
)

func specOf(t *testing.T, s engine.Step) (sp spec) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.Command.Arguments[2]), &sp); err != nil {
		t.Fatal(err)
	}
	return sp
}

func TestPlan(t *testing.T) {
	for name, tt := range map[string]struct {
		set     attrs
		want    spec
		network bool
	}{
		"directory":         {with(directory, attrs{"overwrite": true}), spec{Files: []string{"dist/app.txt"}, Directory: "/srv/mirror", Overwrite: true}, false},
		"below the project": {with(directory, attrs{"directory": "srv"}), spec{Files: []string{"dist/app.txt"}, Directory: filepath.FromSlash("/project/srv")}, false},
		"server":            {with(server, attrs{"verify": false, "ca_file": tasktest.Files("ca.pem")}), spec{Files: []string{"dist/app.txt"}, URL: "https://registry.example/app", Blind: true, CA: "ca.pem"}, true},
		"token":             {with(server, token), spec{Files: []string{"dist/app.txt"}, URL: "https://registry.example/app", TokenEnv: "REGISTRY_TOKEN", Header: "Authorization"}, true},
		"password":          {with(server, attrs{"auth.username": "ann", "auth.password_env": "PW"}), spec{Files: []string{"dist/app.txt"}, URL: "https://registry.example/app", Username: "ann", PasswordEnv: "PW", Header: "Authorization"}, true},
		"module":            {goproxy, spec{Module: &mod{Path: "example.org/app", Version: "v1.2.3", Dir: ".", Directory: "/srv/proxy"}}, false},
	} {
		s := tasktest.Step(t, task{}, block(tt.set))
		tt.want.Step, tt.want.Dist, tt.want.Confirmed = "mirror", "dist", true
		if got := specOf(t, s); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, tt.want)
		}
		if s.Mode != engine.InProcess || !s.NoCache || s.Network != tt.network || len(s.Command.OutputPaths) > 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func identity(s engine.Step) string {
	return fmt.Sprint(s.Command.Arguments, s.Command.Env, s.Command.WorkingDirectory, s.Inputs, s.Facts)
}

// The step is another one for all that changes what goes where, and for nothing
// else; above all not for the value of a credential.
func TestIdentity(t *testing.T) {
	base := with(directory, server, token, goproxy)
	plan := func(b *tasks.Block) string { return identity(tasktest.Step(t, task{}, b)) }
	same := plan(block(base))
	for name, more := range map[string]attrs{
		"files": {"files": tasktest.Made("dist/docs")}, "directory": {"directory": "/srv/other"}, "url": {"url": "https://other.example/app"},
		"overwrite": {"overwrite": true}, "verify": {"verify": false}, "authorities": {"ca_file": tasktest.Files("ca.pem")},
		"token": {"auth.token_env": "OTHER"}, "header": {"auth.header": "PRIVATE-TOKEN"},
		"module version": {"goproxy.version": "v1.2.4"}, "tree": {"goproxy.directory": "/srv/tree"},
	} {
		if plan(block(with(base, more))) == same {
			t.Errorf("%s: it is the same step", name)
		}
	}
	for name, change := range map[string]func(*tasks.Block){
		"description":      func(b *tasks.Block) { b.Description = "x" },
		"timeout":          func(b *tasks.Block) { b.Meta.Timeout = time.Hour },
		"default":          func(b *tasks.Block) { tasktest.Set(b, "overwrite", false); tasktest.Set(b, "verify", true) },
		"plain http":       func(b *tasks.Block) { tasktest.Set(b, "plain_http", true) },
		"credential":       func(b *tasks.Block) { b.Project.Environ = func(string) (string, bool) { return "hunter2", true } },
		"given credential": func(b *tasks.Block) { b.Meta.Env = map[string]string{"REGISTRY_TOKEN": "hunter2"} },
	} {
		b := block(base)
		change(b)
		if got := plan(b); got != same {
			t.Errorf("%s: it is another step:\n%s\n%s", name, got, same)
		}
	}
}

// A credential is a secret of the step, wherever it comes from, and the stage's
// own value comes first.
func TestCredentials(t *testing.T) {
	b := block(with(server, token))
	b.Project.Environ = func(name string) (string, bool) { return "of the host", name == "REGISTRY_TOKEN" }
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{{nil, "of the host"}, {map[string]string{"REGISTRY_TOKEN": "of the stage"}, "of the stage"}} {
		b.Meta.Env = tt.env
		s := tasktest.Step(t, task{}, b)
		if !slices.Equal(s.Secrets, []action.EnvVar{{Name: "REGISTRY_TOKEN", Value: tt.want}}) || len(s.Command.Env) > 0 {
			t.Errorf("%+v, %+v", s.Secrets, s.Command.Env)
		}
	}
	for header, want := range map[string]string{"Authorization": "Bearer t", "private-token": "t"} {
		sp := spec{TokenEnv: "T", Header: header}
		h, err := sp.header([]string{"A=x", "T=t"})
		if err != nil || http.Header(h).Get(header) != want {
			t.Errorf("%s: %v, %v", header, h, err)
		}
	}
	sp := spec{Username: "ann", PasswordEnv: "P", URL: "https://x"}
	if h, err := sp.header([]string{"P=w"}); err != nil || http.Header(h).Get("Authorization") != "Basic YW5uOnc=" {
		t.Errorf("%v, %v", h, err)
	}
	if _, err := sp.header([]string{"P="}); err == nil || !strings.Contains(err.Error(), "the variable P is not set") {
		t.Errorf("no password: %v", err)
	}
}

// Every mistake is told where it stands.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		at, want string
		set      attrs
	}{
		{"directory", "Nowhere to publish", attrs{"files": tasktest.Made("dist/app.txt")}},
		{"files", "Nothing to publish", attrs{"directory": "/srv/mirror"}},
		{"files", "Files without a target", with(goproxy, attrs{"files": tasktest.Made("dist/app.txt")})},
		{"files", "Two files of one name", with(directory, attrs{"files": append(tasktest.Made("dist/LICENSE"), tasktest.Files("LICENSE")...)})},
		{"directory", "Directory of the system", with(directory, attrs{"directory": "/etc/x/.."})},
		{"directory", "Invalid directory", with(directory, attrs{"directory": ".."})},
		{"ca_file", "Setting without url", with(directory, attrs{"ca_file": tasktest.Files("ca.pem")})},
		{"verify", "Setting without url", with(directory, attrs{"verify": false})},
		{"url", "Not an address", with(server, attrs{"url": "ftp://x/"})},
		{"url", "Not an address", with(server, attrs{"url": "registry.example/app"})},
		{"url", "Password in an address", with(server, attrs{"url": "https://a:b@x/"})},
		{"url", "Not a folder", with(server, attrs{"url": "https://x/?a=b"})},
		{"url", "Not a folder", with(server, attrs{"url": "https://x/#a"})},
		{"url", "Credentials without TLS", with(server, token, attrs{"url": "http://x.example/"})},
		{"auth.token_env", "Credentials without url", with(directory, token)},
		{"auth.token_env", "Give username and password_env, or token_env alone", with(server, token, attrs{"auth.username": "a", "auth.password_env": "P"})},
		{"auth.password_env", "Give username and password_env", with(server, attrs{"auth.password_env": "P"})},
		{"auth.header", "Header without a token", with(server, attrs{"auth.username": "a", "auth.password_env": "P", "auth.header": "X"})},
		{"auth.header", "is not a header name", with(server, token, attrs{"auth.header": "a b"})},
		{"auth.token_env", "Name of a variable", with(server, attrs{"auth.token_env": "a b"})},
		{"goproxy.version", "Not a version of the module", with(goproxy, attrs{"goproxy.version": "1.2.3"})},
		{"goproxy.version", "Not a version of the module", with(goproxy, attrs{"goproxy.version": "v2.0.0"})},
		{"goproxy.directory", "Invalid directory", with(goproxy, attrs{"goproxy.directory": ""})},
	} {
		tasktest.WantErrorAt(t, task{}, block(tt.set), tt.at, tt.want)
	}
	// Loopback and names in the address need no more words.
	for _, u := range []string{"http://127.0.0.1:8080/x", "http://localhost/{name}?a=b", "http://[::1]/"} {
		tasktest.Step(t, task{}, block(with(server, token, attrs{"url": u})))
	}
	b := block(server)
	v := b.Values["url"]
	v.Sensitive = true
	b.Values["url"] = v
	tasktest.WantError(t, task{}, b, "Sensitive value")
	b = block(goproxy)
	b.Meta.Dir = "dist"
	tasktest.WantError(t, task{}, b, "No module")
}

// state is a workspace with a private directory, and nothing else.
type state struct {
	engine.Files
	root, dir string
}

func (s state) Root() string  { return s.root }
func (s state) State() string { return s.dir }

// publish looks up and runs a stage.
func publish(t *testing.T, cfg *Config, b *tasks.Block, ws state) (log string, err error) {
	t.Helper()
	s := tasktest.Step(t, task{}, b)
	l, err := s.Discoverer.Discover(t.Context(), ws)
	if err != nil {
		t.Fatal(err)
	}
	s.Command.Env = append(s.Command.Env, s.Secrets...)
	_, log, err = tasktest.RunPrivate(t, Tools(cfg), s, project, l.Private)
	return log, err
}

func TestPublishes(t *testing.T) {
	to, ws := filepath.Join(t.TempDir(), "mirror"), state{root: t.TempDir(), dir: t.TempDir()}
	set := attrs{"files": append(tasktest.Made("dist/app.txt", "dist/docs"), tasktest.Files("LICENSE")...), "directory": to}
	b := block(set)
	b.Project.Confirmed = false
	if log, err := publish(t, &Config{}, b, ws); err == nil || !strings.Contains(err.Error(), "which was not confirmed") {
		t.Errorf("without a yes: %v\n%s", err, log)
	}
	if log, err := publish(t, &Config{DryRun: true}, b, ws); err != nil || strings.Count(log, "would be published ") != 4 {
		t.Errorf("dry run: %v\n%s", err, log)
	}
	if _, err := os.Stat(to); err == nil {
		t.Fatal("something was published without a yes")
	}
	for _, want := range []string{"published ", "unchanged "} {
		if log, err := publish(t, &Config{}, block(set), ws); err != nil || strings.Count(log, want) != 4 {
			t.Errorf("%v, want 4 %s\n%s", err, want, log)
		}
	}
	var names []string
	err := fs.WalkDir(os.DirFS(to), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if want := []string{"LICENSE", "app.txt", "docs/a", "docs/b/c"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%v: %q, want %q", err, names, want)
	}
	s := tasktest.Step(t, task{}, block(set))
	if _, _, err := tasktest.Run(t, Tools(&Config{}), s, project); err == nil || !strings.Contains(err.Error(), "was not prepared") {
		t.Errorf("without a look-up: %v", err)
	}
}

func TestPublishesToAServer(t *testing.T) {
	var mu sync.Mutex
	got := map[string]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		text, there := got[r.URL.Path]
		switch {
		case r.Method == http.MethodPut:
			b := make([]byte, r.ContentLength)
			_, _ = r.Body.Read(b)
			got[r.URL.Path] = string(b)
			w.WriteHeader(http.StatusCreated)
		case !there:
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprint(w, text)
		}
	}))
	defer srv.Close()
	ws := state{root: t.TempDir(), dir: t.TempDir()}
	b := block(with(server, token, attrs{"url": srv.URL + "/app"}))
	b.Project.Environ = func(string) (string, bool) { return "hunter2", true }
	log, err := publish(t, &Config{}, b, ws)
	if err != nil || got["/app/app.txt"] != "app\n" || strings.Contains(log, "hunter2") {
		t.Errorf("%v, %q\n%s", err, got, log)
	}
	if log, err := publish(t, &Config{}, b, ws); err != nil || !strings.Contains(log, "unchanged ") {
		t.Errorf("again: %v\n%s", err, log)
	}
	b.Project.Environ = nil
	if log, err := publish(t, &Config{}, b, ws); err == nil || !strings.Contains(err.Error(), "REGISTRY_TOKEN is not set") {
		t.Errorf("without a token: %v\n%s", err, log)
	}
}

// TestModuleWithoutGit: such a module is all its files, but for outputs and what
// airbuild put there, with the LICENSE of the project if it has none.
func TestModuleWithoutGit(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"LICENSE", "source.json", "mod/go.mod", "mod/a.go", "mod/sub/b.go", "mod/.github/x", "mod/.airbuild-carried.json",
		"cache/state/one/index", "dist/out", "own/LICENSE", "own/go.mod",
	} {
		at := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string][]string{
		"mod": {"mod/.github/x", "mod/a.go", "mod/go.mod", "mod/sub/b.go", "LICENSE"},
		"own": {"own/LICENSE", "own/go.mod"},
		".":   {"LICENSE", "mod/.github/x", "mod/a.go", "mod/go.mod", "mod/sub/b.go", "own/LICENSE", "own/go.mod"},
	} {
		m, err := findModule(t.Context(), root, filepath.Join(root, "cache", "state", "one"), &mod{Path: "example.org/m", Version: "v1.0.0", Dir: dir}, "dist")
		if err != nil || !slices.Equal(m.inputs(), want) {
			t.Errorf("%s: %q, %v", dir, m.inputs(), err)
		}
	}
}

// TestModuleTag: the go command's names of tags.
func TestModuleTag(t *testing.T) {
	for _, tt := range []struct{ path, folder, version, want string }{
		{"example.org/m", ".", "v1.2.3", "v1.2.3"},
		{"example.org/m/sub", "sub", "v1.2.3", "sub/v1.2.3"},
		{"example.org/m/v2", ".", "v2.0.0", "v2.0.0"},
		{"example.org/m/v2", "v2", "v2.0.0", "v2.0.0"},
		{"example.org/m/sub/v3", "sub/v3", "v3.1.0", "sub/v3.1.0"},
		{"example.org/m/sub/v3", "sub", "v3.1.0", "sub/v3.1.0"},
		{"example.org/m", ".", "v2.0.0+incompatible", "v2.0.0"},
	} {
		s := &moduleSource{folder: tt.folder}
		if got := s.tag(&mod{Path: tt.path, Version: tt.version}); got != tt.want {
			t.Errorf("%s in %s: %s, want %s", tt.path, tt.folder, got, tt.want)
		}
	}
}
