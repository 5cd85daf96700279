// Package deploy holds the stage type deploy: an artifact becomes a version in
// a directory of this host, and serves if it is healthy. How is done by
// engine/deploy.
//
// A deploy is never cached. What may be secret, rendered files and the values
// of the environment, goes from the plan to the tool through the Config, in
// memory.
package deploy

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	deploying "github.com/airbuild/airbuild/engine/deploy"
	"github.com/airbuild/airbuild/tasks"
)

const (
	toolName    = "deploy"
	toolVersion = "1"
)

// Type is the stage type's name.
const Type = "deploy"

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
		Traits: tasks.Traits{Traits: engine.Traits{SideEffects: true}},
		Doc:    "Installs a version on this host, switches to it atomically, checks its health, and rolls back if the check fails.",
		Attrs: []tasks.Attr{
			{Name: "artifact", Kind: tasks.Path, Required: true, Doc: "The artifact to install: a directory, an archive (tar, tar.gz, tar.xz, tar.zst, zip), a package with `unpack`, or any other file, which is installed under its name."},
			{Name: "root", Kind: tasks.String, Required: true, Doc: "Directory on this host that holds the versions: absolute, or relative to the stage's `dir`. System directories are rejected."},
			{Name: "version", Kind: tasks.String, Required: true, Doc: "The version: letters, digits, and `. _ + ~ -`."},
			{Name: "strip", Kind: tasks.Number, Default: "0", Doc: "Number of leading directories to strip from paths in an archive."},
			{Name: "unpack", Kind: tasks.Strings, Doc: "Command that unpacks `{artifact}` to `{release}`, for packages: `[\"dpkg-deb\", \"--extract\", \"{artifact}\", \"{release}\"]`."},
			{Name: "vars", Kind: tasks.Any, Default: "{}", Doc: "Object of values for all templates. A value that no template uses is an error."},
			{Name: "strategy", Kind: tasks.String, Enum: []string{deploying.Symlink, deploying.BlueGreen}, Default: deploying.Symlink, Doc: "`symlink` points `current` to the version, then checks it; `blue_green` starts the version in the idle slot, checks it there, then points `current` to the slot."},
			{Name: "keep", Kind: tasks.Number, Default: strconv.Itoa(deploying.DefaultKeep), Doc: "How many versions to keep installed. The active version and the one before it are always kept."},
			{Name: "pointer", Kind: tasks.String, Enum: []string{"link", "file"}, Default: "link; file on Windows", Doc: "Whether `current` is a symbolic link, or a file `current.txt` that holds the path."},
		},
		Blocks: []tasks.Nested{
			{Type: "template", Labels: []string{"path"}, Doc: "A file of the version, rendered with the values of the environment. It replaces the artifact's file of the same path.", Attrs: []tasks.Attr{
				{Name: "source", Kind: tasks.Path, Required: true, Doc: "Template file of the project, in the syntax of stage type `template`."},
				{Name: "vars", Kind: tasks.Any, Default: "{}", Doc: "Object of additional values for this template. Unused values are an error."},
				{Name: "mode", Kind: tasks.String, Default: "0644; 0600 with sensitive values", Doc: "Permission bits, octal."},
			}},
			{Type: "hooks", Doc: "Commands to run on the host, in the version's directory. After a crash they may run a second time.", Attrs: []tasks.Attr{
				{Name: "before", Kind: tasks.Strings, Doc: "Runs before the switch; if it fails, the deployment stops."},
				{Name: "after", Kind: tasks.Strings, Doc: "Runs after the switch, for example to restart the service."},
				{Name: "on_rollback", Kind: tasks.Strings, Default: "`after` of the restored version", Doc: "Runs after a rollback."},
				{Name: "start", Kind: tasks.Strings, Doc: "blue_green: starts the version in `{slot}` on `{port}` and returns."},
				{Name: "stop", Kind: tasks.Strings, Doc: "blue_green: stops the version in `{slot}`."},
				{Name: "switch", Kind: tasks.Strings, Doc: "blue_green: directs traffic to `current`, for example by reloading a proxy."},
				{Name: "timeout", Kind: tasks.Duration, Default: "5m", Doc: "Time limit for each command."},
			}},
			{Type: "health", Doc: "The health check. Either `command` or `url`.", Attrs: []tasks.Attr{
				{Name: "command", Kind: tasks.Strings, Doc: "Command that exits with 0 if the version is healthy."},
				{Name: "url", Kind: tasks.String, Doc: "http or https URL that responds with `status`. Redirects are not followed."},
				{Name: "status", Kind: tasks.Number, Default: "200", Doc: "Expected status code."},
				{Name: "body_contains", Kind: tasks.String, Doc: "Text that the first MiB of the response must contain."},
				{Name: "retries", Kind: tasks.Number, Default: "10", Doc: "Number of retries."},
				{Name: "interval", Kind: tasks.Duration, Default: "1s", Doc: "Delay between tries."},
				{Name: "timeout", Kind: tasks.Duration, Default: "10s", Doc: "Time limit for one try."},
			}},
			{Type: "slots", Doc: "blue_green: the ports of the two slots.", Attrs: []tasks.Attr{
				{Name: "blue", Kind: tasks.Number, Required: true, Doc: "Port of the blue slot."},
				{Name: "green", Kind: tasks.Number, Required: true, Doc: "Port of the green slot."},
				{Name: "port_file", Kind: tasks.String, Doc: "File below `root` that holds the active port; it is replaced atomically."},
			}},
		},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Step      string         `json:"step"`
	Root      string         `json:"root"` // absolute
	Version   string         `json:"version"`
	Artifact  string         `json:"artifact"` // project-relative
	Strip     int            `json:"strip,omitempty"`
	Unpack    []string       `json:"unpack,omitempty"`
	Plan      deploying.Plan `json:"plan"`
	Keep      int            `json:"keep"`
	Files     bool           `json:"pointer_files,omitempty"`
	SecretEnv []string       `json:"secret_env,omitempty"` // names
}

func (t task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	p := &planner{Block: b}
	p.check()
	root, diags := b.HostDirectory("root")
	p.diags = append(p.diags, diags...)
	files := p.files()
	sp := spec{
		Step: b.StepName, Root: root, Version: b.String("version"), Artifact: b.Paths("artifact")[0].Path,
		Strip: b.Int("strip", 0), Unpack: b.Strings("unpack"), Keep: b.Int("keep", deploying.DefaultKeep),
		Files: b.String("pointer") == "file",
		Plan:  deploying.Plan{Strategy: b.StringOr("strategy", deploying.Symlink), Hooks: p.hooks(), Health: p.health(), Ports: p.ports()},
	}
	p.strategy()
	s := b.NewStep(engine.InProcess)
	s.NoCache = true
	for _, e := range s.Secrets {
		sp.SecretEnv = append(sp.SecretEnv, e.Name)
	}
	tasks.AddPaths(&s, b.Paths("artifact"))
	b.Follow(&s, "artifact") // paths in texts, not what lies there
	b.Mask(&s)
	s.Discoverer = rendered{files, s.Mask}
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

// check looks at what several attributes have in common.
func (p *planner) check() {
	for _, name := range slices.Sorted(maps.Keys(p.Values)) {
		v := p.Values[name]
		if v.Sensitive && name != "vars" && !strings.HasSuffix(name, ".vars") {
			p.fail(name, "Sensitive value", "It would be written to the deploy's records. Pass it to commands in the environment, env = { NAME = … }, or to a template in vars.")
		}
		for _, text := range tasks.Texts(v.Cty) {
			if name == "vars" || strings.HasPrefix(name, "template.") {
				break
			}
			if w := deploying.UnknownPlaceholder(text); w != "" {
				p.fail(name, "Unknown placeholder", "There is no {%s}.%s There are {%s}.", w, tasks.DidYouMean(w, deploying.Placeholders()), strings.Join(deploying.Placeholders(), "}, {"))
			}
		}
	}
	if err := deploying.CheckVersion(p.String("version")); err != nil || len(p.String("version")) > 128 {
		p.fail("version", "Invalid version", "%q cannot be part of a directory's name: use up to 128 letters, digits, and . _ + ~ -, with a letter or digit in front.", p.String("version"))
	}
	p.atLeast("strip", 0)
	p.atLeast("keep", 1)
	p.atLeast("health.retries", 0)
	if p.Has("unpack") {
		p.command("unpack")
		if p.Has("strip") {
			p.fail("strip", "Strip with unpack", "strip is for archives that airbuild unpacks itself: remove it, or unpack.")
		}
	}
}

func (p *planner) atLeast(attr string, n int) {
	if p.Has(attr) && p.Int(attr, n) < n {
		p.fail(attr, "Number too small", "Want %d or more.", n)
	}
}

// command is an attribute with a program and its arguments, or nothing.
func (p *planner) command(attr string) []string {
	argv := p.Strings(attr)
	if p.Has(attr) && (len(argv) == 0 || argv[0] == "") {
		p.fail(attr, "Nothing to run", "Its first element is the program.")
		return nil
	}
	return argv
}

func (p *planner) hooks() deploying.Hooks {
	h := deploying.Hooks{
		Before: p.command("hooks.before"), After: p.command("hooks.after"), OnRollback: p.command("hooks.on_rollback"),
		Start: p.command("hooks.start"), Stop: p.command("hooks.stop"), Switch: p.command("hooks.switch"),
		Timeout: p.Duration("hooks.timeout"),
	}
	if p.Has("hooks.timeout") && h.Timeout <= 0 {
		p.fail("hooks.timeout", "Invalid time limit", "Want more than 0.")
	}
	return h
}

func (p *planner) health() *deploying.Health {
	if len(p.Labels["health"]) == 0 {
		return nil
	}
	h := &deploying.Health{
		Command: p.command("health.command"), URL: p.String("health.url"), Status: p.Int("health.status", 0),
		Contains: p.String("health.body_contains"), Retries: p.Int("health.retries", 10),
		Interval: p.Duration("health.interval"), Timeout: p.Duration("health.timeout"),
	}
	if !p.Has("health.interval") {
		h.Interval = defaultInterval
	}
	if p.Has("health.timeout") && h.Timeout <= 0 {
		p.fail("health.timeout", "Invalid time limit", "Want more than 0.")
	}
	switch {
	case p.Has("health.command") && p.Has("health.url"):
		p.fail("health.url", "Both command and url", "A health check has one of the two: remove the other.")
	case p.Has("health.command"):
		for _, name := range []string{"health.status", "health.body_contains"} {
			if p.Has(name) {
				p.fail(name, "Answer of a command", "%s is for a check with url. A command passes with exit code 0.", strings.TrimPrefix(name, "health."))
			}
		}
	case !p.Has("health.url"):
		p.fail("health", "Nothing to check", "Say what to check with command = [\"program\", \"argument\"] or url = \"http://…\".")
	default:
		p.checkURL()
	}
	if s := p.Int("health.status", 200); s < 100 || s > 599 {
		p.fail("health.status", "Not a status", "%d is not an HTTP status: want 100 to 599.", s)
	}
	return h
}

func (p *planner) checkURL() {
	text := strings.ReplaceAll(p.String("health.url"), "{port}", "1")
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.fail("health.url", "Not an address", "Want an address such as \"http://127.0.0.1:8080/healthz\".")
	case u.User != nil:
		p.fail("health.url", "Password in an address", "It would be written to the deploy's records. Use command, and pass the password in env.")
	}
}

func (p *planner) ports() *deploying.Ports {
	if len(p.Labels["slots"]) == 0 {
		return nil
	}
	ports := &deploying.Ports{Blue: p.Int("slots.blue", 0), Green: p.Int("slots.green", 0), File: p.String("slots.port_file")}
	for _, name := range []string{"slots.blue", "slots.green"} {
		if n := p.Int(name, 0); n < 1 || n > 65535 {
			p.fail(name, "Not a port", "%d is not a port: want 1 to 65535.", n)
		}
	}
	if ports.Blue == ports.Green {
		p.fail("slots.green", "Two slots on one port", "Both slots run at the same time: give each its own port.")
	}
	if first, _, _ := strings.Cut(ports.File, "/"); p.Has("slots.port_file") &&
		(!isLocal(ports.File) || slices.Contains([]string{".airbuild", "releases", "current", "current.txt", "blue", "green", "blue.txt", "green.txt"}, first) || strings.Contains(ports.File, "/")) {
		p.fail("slots.port_file", "Invalid port file", "%q is not the name of a file of its own in root: want a name such as \"port\".", ports.File)
	}
	return ports
}

// strategy refuses what is for the other strategy.
func (p *planner) strategy() {
	if p.StringOr("strategy", deploying.Symlink) == deploying.BlueGreen {
		if !p.Has("hooks.start") {
			p.fail("strategy", "Nothing starts the slot", "With blue_green the new version starts while the old one still serves: set hooks { start = [\"…\"] }.")
		}
		return
	}
	for _, name := range []string{"hooks.start", "hooks.stop", "hooks.switch", "slots.blue"} {
		if p.Has(name) {
			p.fail(name, "Slots without blue_green", "This is for strategy = \"blue_green\". Set that, or remove this.")
		}
	}
}

func isLocal(name string) bool {
	return path.Clean(name) == name && name != "." && !strings.Contains(name, `\`) && filepath.IsLocal(filepath.FromSlash(name))
}

// files renders the templates.
func (p *planner) files() (files []deploying.File) {
	common, diags := p.TemplateVars("vars")
	p.diags = append(p.diags, diags...)
	used, unknown := map[string]bool{}, []string{}
	for _, label := range p.Labels["template"] {
		f, names, missing := p.file(label, common)
		for _, n := range names {
			used[n] = true
		}
		unknown = append(unknown, missing...)
		files = append(files, f)
	}
	for _, key := range slices.Sorted(maps.Keys(common)) {
		if !used[key] {
			p.fail("vars", "Value is not used", "No template uses %q.%s Use it, or remove it.", key, tasks.DidYouMean(key, unknown))
		}
	}
	return files
}

// file renders one template. It returns which names the template refers to,
// and which of them have no value.
func (p *planner) file(label string, common map[string]cty.Value) (f deploying.File, names, missing []string) {
	at := func(attr string) string { return "template." + label + "." + attr }
	if !isLocal(label) {
		p.fail(at("source"), "Invalid path", "%q is not a file path in the version: write it with forward slashes, without . and .. in it.", label)
		return f, nil, nil
	}
	f = deploying.File{Path: label, Mode: p.mode(at("mode"), at("vars"))}
	src := p.Paths(at("source"))[0]
	if src.Ref != nil {
		p.fail(at("source"), "Template is made by another stage", "%s does not exist before the run, and templates are rendered when the run is planned. Keep the template in the project.", src.Path)
		return f, nil, nil
	}
	body, err := fs.ReadFile(p.Project.Files, src.Path)
	if err != nil {
		p.fail(at("source"), "Template cannot be read", "%v. The path is relative to the stage's dir.", err)
		return f, nil, nil
	}
	own, diags := p.TemplateVars(at("vars"))
	t, d := p.Project.ParseTemplate(src.Path, body)
	if p.diags = append(p.diags, append(diags, d...)...); d.HasErrors() {
		return f, nil, nil
	}
	vars := maps.Clone(common)
	maps.Copy(vars, own)
	names = t.Names()
	for _, n := range names {
		if _, given := vars[n]; !given {
			missing = append(missing, n)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if !slices.Contains(names, key) {
			p.fail(at("vars"), "Value is not used", "%s does not use %q.%s Use it, or remove it.", src.Path, key, tasks.DidYouMean(key, missing))
		}
	}
	text, d := t.Render(vars)
	p.diags = append(p.diags, d...)
	f.Text = []byte(text)
	// What a template gets of its own hides the common value of that name.
	return f, slices.DeleteFunc(names, func(n string) bool { _, hidden := own[n]; return hidden }), missing
}

func (p *planner) mode(attr, vars string) fs.FileMode {
	if !p.Has(attr) {
		if p.Values[vars].Sensitive || p.Values["vars"].Sensitive {
			return 0o600
		}
		return 0o644
	}
	n, err := strconv.ParseUint(p.String(attr), 8, 16)
	if err != nil || n > 0o777 || n&0o400 == 0 {
		p.fail(attr, "Invalid mode", "%q is not an octal mode that lets the owner read, such as \"0640\".", p.String(attr))
	}
	return fs.FileMode(n)
}
