package deploy

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	deploying "github.com/airbuild/airbuild/engine/deploy"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// attrs are what a stage says, by the names of Block.Values.
type attrs map[string]any

// with is a copy with other values; nil takes one out.
func (a attrs) with(more attrs) attrs {
	out := attrs{}
	for _, m := range []attrs{a, more} {
		for k, v := range m {
			if out[k] = v; v == nil {
				delete(out, k)
			}
		}
	}
	return out
}

var project = fstest.MapFS{
	"host.tmpl":  {Data: []byte("host = ${host}\n")},
	"plain.tmpl": {Data: []byte("nothing\n")},
	"bad.tmpl":   {Data: []byte("${host")},
	"app/bin":    {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
	"app/data":   {Data: []byte("data")},
}

// block is a stage "site" with the given values, and with the blocks that they
// are in.
func block(root string, set attrs) *tasks.Block {
	b := tasktest.Block(Type, "site", project)
	b.Project.Root = "/project"
	b.Labels = map[string][]string{}
	all := attrs{"artifact": tasktest.Made("app"), "root": root, "version": "1.0"}.with(set)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch parts := strings.Split(name, "."); {
		case parts[0] == "template":
			label := strings.TrimSuffix(strings.TrimPrefix(name, "template."), "."+parts[len(parts)-1])
			if !slices.Contains(b.Labels["template"], label) {
				b.Labels["template"] = append(b.Labels["template"], label)
			}
		case len(parts) > 1:
			b.Labels[parts[0]] = []string{""}
		}
		if d, ok := all[name].(time.Duration); ok {
			tasktest.Set(b, name, d.String())
			v := b.Values[name]
			v.Duration = d
			b.Values[name] = v
			continue
		}
		tasktest.Set(b, name, all[name])
	}
	return b
}

func object(pairs ...string) cty.Value {
	m := map[string]cty.Value{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = cty.StringVal(pairs[i+1])
	}
	return cty.ObjectVal(m)
}

func specOf(t *testing.T, s engine.Step) (sp spec) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.Command.Arguments[2]), &sp); err != nil {
		t.Fatal(err)
	}
	return sp
}

var blueGreen = attrs{
	"strategy": "blue_green", "hooks.start": []string{"./app", "{port}"},
	"slots.blue": 8081, "slots.green": 8082, "slots.port_file": "port",
}

func TestPlan(t *testing.T) {
	s := tasktest.Step(t, task{}, block("/srv/site", blueGreen.with(attrs{
		"keep": 3, "unpack": []string{"dpkg-deb", "-x", "{artifact}", "{release}"}, "pointer": "file",
		"hooks.before": []string{"check"}, "hooks.after": []string{"restart", "{slot}"}, "hooks.on_rollback": []string{"tell"},
		"hooks.stop": []string{"stop"}, "hooks.switch": []string{"reload"}, "hooks.timeout": time.Minute,
		"health.url": "http://127.0.0.1:{port}/", "health.status": 204, "health.body_contains": "ok",
		"health.retries": 2, "health.interval": time.Second, "health.timeout": 3 * time.Second,
	})))
	want := spec{
		Step: "site", Root: "/srv/site", Version: "1.0", Artifact: "app", Keep: 3, Files: true,
		Unpack: []string{"dpkg-deb", "-x", "{artifact}", "{release}"},
		Plan: deploying.Plan{
			Strategy: deploying.BlueGreen,
			Hooks: deploying.Hooks{
				Before: []string{"check"}, After: []string{"restart", "{slot}"}, OnRollback: []string{"tell"},
				Start: []string{"./app", "{port}"}, Stop: []string{"stop"}, Switch: []string{"reload"}, Timeout: time.Minute,
			},
			Health: &deploying.Health{URL: "http://127.0.0.1:{port}/", Status: 204, Contains: "ok", Retries: 2, Interval: time.Second, Timeout: 3 * time.Second},
			Ports:  &deploying.Ports{Blue: 8081, Green: 8082, File: "port"},
		},
	}
	if got := specOf(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if s.Mode != engine.InProcess || !s.NoCache || s.Network || len(s.Command.OutputPaths) != 0 {
		t.Errorf("%+v", s)
	}
	if !slices.Contains(s.After, 7) && !slices.ContainsFunc(s.Inputs, func(i engine.Input) bool { return i.Step == 7 }) {
		t.Errorf("it does not wait for its artifact: %+v", s)
	}

	// What is not said has its default, and a root below the project is one.
	got := specOf(t, tasktest.Step(t, task{}, block("srv", attrs{"health.command": []string{"true"}})))
	want = spec{Step: "site", Root: filepath.FromSlash("/project/srv"), Version: "1.0", Artifact: "app", Keep: deploying.DefaultKeep, Plan: deploying.Plan{
		Strategy: deploying.Symlink, Health: &deploying.Health{Command: []string{"true"}, Retries: 10, Interval: defaultInterval},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults: %+v\nwant %+v", got, want)
	}
}

// identity is what is hashed of a step: its command, inputs and facts.
func identity(s engine.Step) string {
	return fmt.Sprint(s.Command.Arguments, s.Command.Env, s.Command.WorkingDirectory, s.Inputs, s.Facts)
}

// The step is another one for all that changes what is installed, and how it is
// put to work; not for what is told to people, or how long it may take.
func TestIdentity(t *testing.T) {
	base := blueGreen.with(attrs{"health.url": "http://127.0.0.1:{port}/"})
	plan := func(b *tasks.Block) string { return identity(tasktest.Step(t, task{}, b)) }
	same := plan(block("/srv/site", base))
	for name, more := range map[string]attrs{
		"version": {"version": "1.1"}, "artifact": {"artifact": tasktest.Made("app2")}, "root": {"root": "/srv/other"},
		"keep": {"keep": 9}, "strip": {"strip": 1}, "pointer": {"pointer": "file"}, "unpack": {"unpack": []string{"tar"}},
		"hook": {"hooks.after": []string{"x"}}, "hook time": {"hooks.timeout": time.Hour}, "slots": {"slots.blue": 9000}, "port file": {"slots.port_file": nil},
		"url": {"health.url": "http://127.0.0.1:{port}/up"}, "status": {"health.status": 204}, "retries": {"health.retries": 0}, "no check": {"health.url": nil},
	} {
		if plan(block("/srv/site", base.with(more))) == same {
			t.Errorf("%s: it is the same step", name)
		}
	}
	for name, change := range map[string]func(*tasks.Block){
		"description": func(b *tasks.Block) { b.Description = "x" },
		"timeout":     func(b *tasks.Block) { b.Meta.Timeout = time.Hour },
		"retries":     func(b *tasks.Block) { b.Meta.Retries = 3 },
		"default": func(b *tasks.Block) {
			tasktest.Set(b, "pointer", "link")
			tasktest.Set(b, "keep", deploying.DefaultKeep)
		},
		"yes": func(b *tasks.Block) { b.Project.Confirmed = true },
	} {
		b := block("/srv/site", base)
		change(b)
		if got := plan(b); got != same {
			t.Errorf("%s: it is another step:\n%s\n%s", name, got, same)
		}
	}
}

// Every mistake is told where it stands.
func TestMistakes(t *testing.T) {
	tmpl := func(more attrs) attrs {
		return attrs{"template.etc/site.conf.source": tasktest.Files("host.tmpl"), "template.etc/site.conf.vars": object("host", "h")}.with(more)
	}
	for _, tt := range []struct {
		at, want string
		set      attrs
	}{
		{"root", "Directory of the system", attrs{"root": "/usr/lib/x"}},
		{"root", "Invalid directory", attrs{"root": "../x"}},
		{"root", "Invalid directory", attrs{"root": "."}},
		{"version", "Invalid version", attrs{"version": "a/b"}},
		{"version", "Invalid version", attrs{"version": strings.Repeat("1", 129)}},
		{"version", "Invalid version", attrs{"version": ""}},
		{"keep", "Number too small", attrs{"keep": 0}},
		{"strip", "Number too small", attrs{"strip": -1}},
		{"strip", "Strip with unpack", attrs{"strip": 1, "unpack": []string{"tar"}}},
		{"unpack", "Nothing to run", attrs{"unpack": []string{}}},
		{"hooks.after", "Nothing to run", attrs{"hooks.after": []string{""}}},
		{"hooks.timeout", "Invalid time limit", attrs{"hooks.timeout": -time.Second}},
		{"hooks.after", `Did you mean "slot"?`, attrs{"hooks.after": []string{"x", "{slots}"}}},
		{"hooks.start", "Slots without blue_green", attrs{"hooks.start": []string{"x"}}},
		{"slots.blue", "Slots without blue_green", attrs{"slots.blue": 1, "slots.green": 2}},
		{"strategy", "Nothing starts the slot", attrs{"strategy": "blue_green"}},
		{"slots.green", "Two slots on one port", blueGreen.with(attrs{"slots.green": 8081})},
		{"slots.blue", "Not a port", blueGreen.with(attrs{"slots.blue": 0})},
		{"slots.green", "Not a port", blueGreen.with(attrs{"slots.green": 65536})},
		{"slots.port_file", "Invalid port file", blueGreen.with(attrs{"slots.port_file": "../port"})},
		{"slots.port_file", "Invalid port file", blueGreen.with(attrs{"slots.port_file": "current"})},
		{"health", "Nothing to check", attrs{"health.retries": 1}},
		{"health.url", "Both command and url", attrs{"health.url": "http://h/", "health.command": []string{"x"}}},
		{"health.url", "Not an address", attrs{"health.url": "127.0.0.1:80"}},
		{"health.url", "Password in an address", attrs{"health.url": "http://a:b@h/"}},
		{"health.status", "Not a status", attrs{"health.url": "http://h/", "health.status": 99}},
		{"health.status", "Answer of a command", attrs{"health.command": []string{"x"}, "health.status": 200}},
		{"health.body_contains", "Answer of a command", attrs{"health.command": []string{"x"}, "health.body_contains": "x"}},
		{"health.retries", "Number too small", attrs{"health.command": []string{"x"}, "health.retries": -1}},
		{"health.timeout", "Invalid time limit", attrs{"health.command": []string{"x"}, "health.timeout": time.Duration(0)}},
		{"template.etc/site.conf.vars", "Value is not used", tmpl(attrs{"template.etc/site.conf.vars": object("host", "h", "more", "x")})},
		{"vars", `No template uses "hots". Did you mean "host"?`, tmpl(attrs{"template.etc/site.conf.vars": nil, "vars": object("hots", "h")})},
		{"template.etc/site.conf.source", "Template cannot be read", tmpl(attrs{"template.etc/site.conf.source": tasktest.Files("none.tmpl")})},
		{"template.etc/site.conf.source", "Template is made by another stage", tmpl(attrs{"template.etc/site.conf.source": tasktest.Made("host.tmpl")})},
		{"template.etc/site.conf.mode", "Invalid mode", tmpl(attrs{"template.etc/site.conf.mode": "0999"})},
		{"template.etc/site.conf.mode", "Invalid mode", tmpl(attrs{"template.etc/site.conf.mode": "0111"})},
		{"template.../x.source", "Invalid path", attrs{"template.../x.source": tasktest.Files("plain.tmpl")}},
	} {
		tasktest.WantErrorAt(t, task{}, block("/srv/site", tt.set), tt.at, tt.want)
	}
}

// A mistake in a template is told where it stands in the template.
func TestTemplateMistakes(t *testing.T) {
	for file, want := range map[string]string{"host.tmpl": "host.tmpl:1", "bad.tmpl": "bad.tmpl:1"} {
		b := block("/srv/site", attrs{"template.a.source": tasktest.Files(file)})
		_, diags := task{}.Plan(b)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), want) {
			t.Errorf("%s: %v", file, diags)
		}
	}
}

// What is secret goes to the tool in memory: neither the command nor an input
// names it, and the log masks it.
func TestSecretsStayOut(t *testing.T) {
	b := block("/srv/site", attrs{"template.etc/site.conf.source": tasktest.Files("host.tmpl"), "template.etc/site.conf.vars": object("host", "hunter2")})
	v := b.Values["template.etc/site.conf.vars"]
	v.Sensitive = true
	b.Values["template.etc/site.conf.vars"] = v
	b.Meta.Env, b.Meta.Secrets = map[string]string{"TOKEN": "hunter3"}, map[string]string{"TOKEN": "hunter3"}
	cfg := &Config{}
	s := tasktest.Step(t, task{}, b)
	if text := identity(s); strings.Contains(text, "hunter") {
		t.Errorf("the command has it: %s", text)
	}
	if !slices.Contains(s.Mask, "hunter2") || !slices.Equal(specOf(t, s).SecretEnv, []string{"TOKEN"}) {
		t.Errorf("mask %q, variables %q", s.Mask, specOf(t, s).SecretEnv)
	}
	l, err := s.Discoverer.Discover(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []deploying.File{{Path: "etc/site.conf", Mode: 0o600, Text: []byte("host = hunter2\n")}}
	if got := l.Private.(rendered).files; !reflect.DeepEqual(got, want) {
		t.Errorf("for the tool: %+v", got)
	}
	target, err := cfg.TargetOf(&s)
	if err != nil || !slices.Contains(target.Mask, "hunter2") || !slices.Contains(target.Mask, "hunter3") || !slices.Contains(target.Env, "TOKEN=hunter3") {
		t.Errorf("%v, mask %q", err, target.Mask)
	}
	// Where it would be recorded it is refused.
	b = block("/srv/site", attrs{"hooks.after": []string{"curl", "-u", "hunter2"}})
	v = b.Values["hooks.after"]
	v.Sensitive = true
	b.Values["hooks.after"] = v
	tasktest.WantError(t, task{}, b, "Sensitive value")
}

func TestTargetOfAnotherStep(t *testing.T) {
	if _, err := (&Config{}).TargetOf(&engine.Step{Name: "x", Type: "exec", Command: action.Command{Arguments: []string{"a", "b", "c"}}}); err == nil {
		t.Error("an exec has a root")
	}
}

// The tool installs what the stage says, and tells what came of it.
func TestDeploys(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("current is a link here")
	}
	root := filepath.Join(t.TempDir(), "site")
	cfg := &Config{Environment: "prod"}
	run := func(version string, set attrs) (deploying.Outcome, error) {
		s := tasktest.Step(t, task{}, block(root, attrs{"version": version, "template.etc/site.conf.source": tasktest.Files("host.tmpl"), "template.etc/site.conf.vars": object("host", version)}.with(set)))
		l, err := s.Discoverer.Discover(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, log, err := tasktest.RunPrivate(t, Tools(cfg), s, project, l.Private)
		if t.Failed() {
			t.Log(log)
		}
		out, _ := cfg.Outcome("site")
		return out, err
	}
	cfg.DryRun = true
	if out, err := run("1.0", nil); err != nil || !out.Changed {
		t.Errorf("dry run: %+v, %v", out, err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("a dry run makes the root")
	}
	cfg.DryRun = false
	if out, err := run("1.0", nil); err != nil || out.Serves != out.Release || !strings.HasPrefix(out.Serves, "1.0-") {
		t.Fatalf("%+v, %v", out, err)
	}
	for name, want := range map[string]fs.FileMode{"bin": 0o755, "data": 0o644, "etc/site.conf": 0o644} {
		if info, err := os.Stat(filepath.Join(root, "current", name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if out, err := run("1.1", attrs{"health.command": []string{"false"}, "health.retries": 0}); err == nil || !strings.HasPrefix(out.Serves, "1.0-") || out.Back == "" {
		t.Errorf("one that is not healthy: %+v, %v", out, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "current", "etc", "site.conf")); string(b) != "host = 1.0\n" {
		t.Errorf("after it: %q, %v", b, err)
	}
	// A plan of another run was not listed for this one.
	s := tasktest.Step(t, task{}, block(root, nil))
	if _, _, err := tasktest.Run(t, Tools(&Config{}), s, project); err == nil || !strings.Contains(err.Error(), "was not prepared") {
		t.Errorf("without a look-up: %v", err)
	}
}
