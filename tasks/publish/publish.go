// Package publish holds the stage type publish: files go to where others fetch
// them. How is done by engine/publish.
//
// A publish step is never cached: what was done elsewhere is no fact of the
// inputs. It asks each time what is there, and does nothing if that is right.
// Nothing goes out unless the user said so (Project.Confirmed).
package publish

import (
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	publishing "github.com/airbuild/airbuild/engine/publish"
	"github.com/airbuild/airbuild/tasks"
)

const (
	toolName    = "publish"
	toolVersion = "1"
)

// Type is the stage type's name.
const Type = "publish"

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools(cfg *Config) map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](tool{cfg}.run)}
}

type task struct{}

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   Type,
		Traits: tasks.Traits{Timed: true, Traits: engine.Traits{SideEffects: true}},
		Doc:    "Publishes files to a directory, an HTTP server or a GOPROXY tree. Files that exist there with the same content are skipped.",
		Attrs: []tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Doc: "Files to publish; for a directory, every file below it. Outputs keep their path in `dist/`, files of the project their name."},
			{Name: "directory", Kind: tasks.String, Doc: "Directory on this host: absolute, or relative to the stage's `dir`. System directories are rejected."},
			{Name: "url", Kind: tasks.String, Doc: "Base URL of a server that accepts HTTP PUT and serves the files by GET. `{name}` is replaced by the file's name."},
			{Name: "overwrite", Kind: tasks.Bool, Default: "false", Doc: "Overwrites files of the same name that have other content; otherwise they are an error."},
			{Name: "verify", Kind: tasks.Bool, Default: "true", Doc: "Reads uploaded files back from `url` and compares them."},
			{Name: "ca_file", Kind: tasks.Path, Doc: "File with additional CA certificates (PEM) for `url`."},
			{Name: "plain_http", Kind: tasks.Bool, Default: "false", Doc: "Allows sending credentials to a `url` without TLS on another host."},
		},
		Blocks: []tasks.Nested{
			{Type: "auth", Doc: "Credentials for `url`, read from environment variables. Neither their values nor hashes of them are stored.", Attrs: []tasks.Attr{
				{Name: "username", Kind: tasks.String, Doc: "User name; used with `password_env`."},
				{Name: "password_env", Kind: tasks.String, Doc: "Environment variable with the password."},
				{Name: "token_env", Kind: tasks.String, Doc: "Environment variable with a token, instead of user and password."},
				{Name: "header", Kind: tasks.String, Default: "Authorization", Doc: "Header that carries the token: `PRIVATE-TOKEN`, `X-JFrog-Art-Api`. In `Authorization` the token is preceded by `Bearer`."},
			}},
			{Type: "goproxy", Doc: "Publishes the module in `dir` to a directory that works as a GOPROXY: zip, mod, info and list. In a git checkout it publishes the files of the commit, as the go command does, and there must be no uncommitted changes; elsewhere all files.", Attrs: []tasks.Attr{
				{Name: "directory", Kind: tasks.String, Required: true, Doc: "Root directory of the GOPROXY tree, on this host."},
				{Name: "version", Kind: tasks.String, Required: true, Doc: "The version: `v1.2.3`. A published version cannot be changed."},
			}},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Step        string   `json:"step"`
	Files       []string `json:"files,omitempty"` // project-relative
	Dist        string   `json:"dist"`
	Directory   string   `json:"directory,omitempty"` // absolute
	URL         string   `json:"url,omitempty"`
	CA          string   `json:"ca,omitempty"` // project-relative
	Overwrite   bool     `json:"overwrite,omitempty"`
	Blind       bool     `json:"blind,omitempty"`
	Username    string   `json:"username,omitempty"`
	PasswordEnv string   `json:"password_env,omitempty"`
	TokenEnv    string   `json:"token_env,omitempty"`
	Header      string   `json:"header,omitempty"`
	Module      *mod     `json:"module,omitempty"`
	Confirmed   bool     `json:"confirmed,omitempty"`
}

// A mod is a module to publish.
type mod struct {
	Path      string `json:"path"`
	Version   string `json:"version"`
	Time      int64  `json:"time,omitempty"` // seconds since 1970
	Dir       string `json:"dir"`            // project-relative
	Directory string `json:"directory"`      // absolute: of the tree
}

func (t task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	p := &planner{Block: b}
	sp := spec{
		Step: b.StepName, Dist: b.Project.Dist, URL: b.String("url"), Overwrite: b.Bool("overwrite", false),
		Blind: !b.Bool("verify", true), Confirmed: b.Project.Confirmed,
	}
	p.targets(&sp)
	p.auth(&sp)
	sp.Module = p.module()
	for _, name := range slices.Sorted(maps.Keys(b.Values)) {
		if b.Values[name].Sensitive {
			p.fail(name, "Sensitive value", "It would be written to the publish record. Set credentials in auth { … }.")
		}
	}
	s := b.NewStep(engine.InProcess)
	s.NoCache, s.Network = true, sp.URL != ""
	for _, path := range b.Paths("files") {
		sp.Files = append(sp.Files, path.Path)
	}
	tasks.AddPaths(&s, b.Paths("files"))
	if ca := b.Paths("ca_file"); len(ca) > 0 {
		sp.CA = ca[0].Path
		tasks.AddPaths(&s, ca)
	}
	b.Follow(&s, "files", "ca_file")
	for _, name := range []string{sp.PasswordEnv, sp.TokenEnv} {
		p.credential(&s, name)
	}
	s.Discoverer = &discoverer{dist: b.Project.Dist, module: sp.Module}
	return b.ToolStep(s, toolName, toolVersion, sp, p.diags)
}

// A planner collects what is wrong with a stage.
type planner struct {
	*tasks.Block
	diags hcl.Diagnostics
}

func (p *planner) fail(attr, summary, format string, args ...any) {
	p.diags = append(p.diags, p.Error(attr, summary, fmt.Sprintf(format, args...)))
}

// targets reads where files go.
func (p *planner) targets(sp *spec) {
	some := p.Has("directory") || p.Has("url")
	if !some && len(p.Labels["goproxy"]) == 0 {
		p.fail("directory", "Nowhere to publish", "Say where with directory = \"…\", url = \"https://…\" or goproxy { … }.")
	}
	switch files := p.Paths("files"); {
	case some && len(files) == 0:
		p.diags = append(p.diags, p.NoFiles("files", "Nothing to publish"))
	case !some && p.Has("files"):
		p.fail("files", "Files without a target", "A module has its own files. Say where these go with directory or url, or remove files.")
	}
	p.names()
	if p.Has("directory") {
		dir, diags := p.HostDirectory("directory")
		p.diags, sp.Directory = append(p.diags, diags...), dir
	}
	if !p.Has("url") {
		for _, name := range []string{"ca_file", "verify", "plain_http"} {
			if p.Has(name) {
				p.fail(name, "Setting without url", "%s is for url: add that, or remove this.", name)
			}
		}
		return
	}
	u, err := url.Parse(strings.ReplaceAll(sp.URL, "{name}", "name"))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.fail("url", "Not an address", "Want an address such as \"https://registry.example/generic/app/1.0\".")
	case u.User != nil:
		p.fail("url", "Password in an address", "It would appear in logs. Set credentials in auth { … }.")
	case u.Fragment != "" || u.RawQuery != "" && !strings.Contains(sp.URL, "{name}"):
		p.fail("url", "Not a folder", "File names are appended to it: use {name} to place them elsewhere.")
	case u.Scheme == "http" && len(p.Labels["auth"]) > 0 && !loopback(u.Hostname()) && !p.Bool("plain_http", false):
		p.fail("url", "Credentials without TLS", "Everybody on the way could read them: use https, or say plain_http = true.")
	}
}

// names refuses two files of one name at the target.
func (p *planner) names() {
	taken := map[string]string{}
	for _, file := range p.Paths("files") {
		name := targetName(p.Project.Dist, file.Path)
		if first, ok := taken[name]; ok && first != file.Path {
			p.fail("files", "Two files of one name", "%s and %s would both be published as %s.", first, file.Path, name)
		}
		taken[name] = file.Path
	}
}

// targetName is what a file is called at the target.
func targetName(dist, file string) string {
	if rest, ok := strings.CutPrefix(file, dist+"/"); ok {
		return rest
	}
	return path.Base(file)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (p *planner) auth(sp *spec) {
	if len(p.Labels["auth"]) == 0 {
		return
	}
	sp.Username, sp.PasswordEnv = p.String("auth.username"), p.String("auth.password_env")
	sp.TokenEnv, sp.Header = p.String("auth.token_env"), p.StringOr("auth.header", "Authorization")
	at := "auth.token_env"
	if !p.Has(at) {
		at = "auth.password_env"
	}
	switch user := sp.Username != "" && sp.PasswordEnv != ""; {
	case sp.URL == "":
		p.fail(at, "Credentials without url", "auth is for url: add that, or remove auth.")
	case user == (sp.TokenEnv != "") || (sp.Username != "") != (sp.PasswordEnv != ""):
		p.fail(at, "Credentials", "Give username and password_env, or token_env alone.")
	case p.Has("auth.header") && sp.TokenEnv == "":
		p.fail("auth.header", "Header without a token", "header is for token_env.")
	case strings.ContainsFunc(sp.Header, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
		p.fail("auth.header", "Not a header", "%q is not a header name.", sp.Header)
	}
	for _, name := range []string{"auth.password_env", "auth.token_env"} {
		if v := p.String(name); p.Has(name) && (v == "" || strings.ContainsAny(v, "= \t\n\x00")) {
			p.fail(name, "Name of a variable", "This is the name of an environment variable, such as \"REGISTRY_TOKEN\", not its value.")
		}
	}
}

// credential hands the value of a variable to the tool alone.
func (p *planner) credential(s *engine.Step, name string) {
	if name == "" {
		return
	}
	named := func(v action.EnvVar) bool { return v.Name == name }
	if slices.ContainsFunc(s.Secrets, named) {
		return
	}
	value, ok := p.Meta.Env[name]
	if !ok {
		if value, ok = p.Meta.PassEnv[name]; !ok && p.Project.Environ != nil {
			value, ok = p.Project.Environ(name)
		}
	}
	s.Command.Env = slices.DeleteFunc(s.Command.Env, named)
	if ok {
		s.Secrets = append(s.Secrets, action.EnvVar{Name: name, Value: value})
	}
}

// module reads which module goes into a tree.
func (p *planner) module() *mod {
	if len(p.Labels["goproxy"]) == 0 {
		return nil
	}
	dir, diags := p.HostDirectory("goproxy.directory")
	p.diags = append(p.diags, diags...)
	m := &mod{Version: p.String("goproxy.version"), Dir: p.Meta.Dir, Directory: dir}
	if !p.Project.Source.Time.IsZero() {
		m.Time = p.Project.Source.Epoch
	}
	text, err := fs.ReadFile(p.Project.Files, p.DirPath("go.mod"))
	if err == nil {
		m.Path = modfile.ModulePath(text)
	}
	if m.Path == "" {
		p.fail("goproxy.directory", "No module", "There is no go.mod with a module path in %s. Set dir to the module's folder.", p.Meta.Dir)
		return m
	}
	if err := publishing.CheckModule(m.Path, m.Version); err != nil {
		p.fail("goproxy.version", "Not a version of the module", "%v.", err)
	}
	return m
}
