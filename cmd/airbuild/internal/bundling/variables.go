package bundling

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// A variables is what of this run's variables a run elsewhere needs to
// plan the same: for the rehearsal all of it, for the other side's people the
// names, and the values of those that are not sensitive.
type variables struct {
	env   []string             // "NAME=VALUE", for the rehearsal
	files []carry.RehearsalVar // in the order of --var-file; --var last
	names []string             // variables that were given a value
	plain map[string]string    // values of names that are no secrets and came as text
	pass  []string             // environment variables that steps take
}

// variablesOf finds out who gave which variable its value. Nothing of it
// goes into an argument list, which everybody on the host can read.
func variablesOf(p *project.Project, ids []engine.StepID) (*variables, error) {
	g := &variables{plain: map[string]string{}}
	a := &p.Options
	vars, err := a.Variables()
	if err != nil {
		return nil, err
	}
	inFiles := map[string]bool{}
	for _, name := range a.VarFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, exit.UsageError("--var-file: %w", err)
		}
		for _, v := range assigned(name, text) {
			inFiles[v] = true
		}
		g.files = append(g.files, carry.RehearsalVar{Ext: filepath.Ext(name), Text: text})
	}
	var last strings.Builder
	for _, v := range sortedVariables(p) {
		text, flag := vars[v.Name]
		env, value := variableEnv(a.LookupEnv, v)
		switch {
		case flag:
			setText(&last, v, text)
		case inFiles[v.Name]:
		case env != "":
			g.env = append(g.env, env+"="+value)
			text = value
		default:
			continue
		}
		g.names = append(g.names, v.Name)
		if !v.Sensitive && (flag || env != "" && !inFiles[v.Name]) {
			g.plain[v.Name] = text
		}
	}
	if len(vars) > 0 {
		g.files = append(g.files, carry.RehearsalVar{Ext: ".hcl", Text: []byte(last.String())})
	}
	passedEnv(p, ids, g)
	return g, nil
}

func sortedVariables(p *project.Project) []*dsl.Variable {
	var all []*dsl.Variable
	for _, v := range p.Plan.Module.Variables {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *dsl.Variable) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// variableEnv is the environment variable that gives v its value, unless flags
// and files do; "" for none.
func variableEnv(lookup func(string) (string, bool), v *dsl.Variable) (name, value string) {
	if value, ok := lookup(dsl.EnvPrefix + v.Name); ok {
		return dsl.EnvPrefix + v.Name, value
	}
	if v.Env != "" {
		if value, ok := lookup(v.Env); ok && value != "" {
			return v.Env, value
		}
	}
	return "", ""
}

// setText writes a value that came as text the way that a file has it: text for
// what takes text, an expression for lists and maps.
func setText(file *strings.Builder, v *dsl.Variable, text string) {
	if v.Type == cty.DynamicPseudoType || v.Type.IsPrimitiveType() {
		text = dsl.Quote(text)
	}
	fmt.Fprintf(file, "%s = %s\n", v.Name, text)
}

// assigned are the names that a file of variables gives values to. What is
// wrong with the file, planning has said.
func assigned(name string, text []byte) []string {
	var file *hcl.File
	if strings.HasSuffix(name, ".json") {
		file, _ = json.Parse(text, name)
	} else {
		file, _ = hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	}
	if file == nil || file.Body == nil {
		return nil
	}
	attrs, _ := file.Body.JustAttributes()
	var names []string
	for _, attr := range attrs {
		names = append(names, attr.Name)
	}
	return names
}

// passedEnv adds what steps take of the environment (pass_env): the variables
// of their processes that have the value that they have here.
func passedEnv(p *project.Project, ids []engine.StepID, g *variables) {
	seen := map[string]bool{}
	for _, id := range p.Plan.Graph.Closure(ids) {
		step := &p.Plan.Graph.Steps[id]
		for _, v := range slices.Concat(step.Command.Env, step.Secrets) {
			if seen[v.Name] || ofTheHost(v) {
				continue
			}
			if value, ok := p.Options.LookupEnv(v.Name); ok && value == v.Value {
				seen[v.Name] = true
				g.pass = append(g.pass, v.Name)
				g.env = append(g.env, v.Name+"="+v.Value)
			}
		}
	}
	slices.Sort(g.pass)
	slices.Sort(g.env)
}

// ofTheHost reports whether a variable is one that the rehearsal has of its own,
// or that the Go steps set by themselves.
func ofTheHost(v action.EnvVar) bool {
	switch v.Name {
	case "HOME", "PATH", "TMPDIR", "LANG", "TZ", "AIRBUILD_CACHE", "CGO_ENABLED":
		return true
	}
	return strings.HasPrefix(v.Name, "GO")
}

// metadata is what the bundle says of variables.
func (g *variables) metadata(environment string) map[string]string {
	m := map[string]string{}
	if environment != "" {
		m["environment"] = environment
	}
	if len(g.names) > 0 {
		m["variables"] = strings.Join(g.names, " ")
	}
	for name, value := range g.plain {
		if len(value) <= maxValue {
			m[valuePrefix+name] = value
		}
	}
	if len(g.pass) > 0 {
		m["pass-env"] = strings.Join(g.pass, " ")
	}
	return m
}

const (
	valuePrefix = "variable." // of metadata that holds a variable's value
	maxValue    = 1 << 10     // bytes of a value that is in metadata
)

// RunLine is the command that makes on this side what the bundle was made for,
// and what it needs beside.
func RunLine(meta map[string]string) (line string, needs []string) {
	words := []string{"airbuild", "run"}
	if file := meta["file"]; file != "" {
		words = append(words, "--file", ShellWord(file))
	}
	for _, t := range strings.Fields(meta["targets"]) {
		words = append(words, ShellWord(t))
	}
	if env := meta["environment"]; env != "" {
		words = append(words, "--environment", ShellWord(env))
	}
	for _, name := range strings.Fields(meta["variables"]) {
		if value, ok := meta[valuePrefix+name]; ok {
			words = append(words, "--var", ShellWord(name+"="+value))
		} else {
			needs = append(needs, fmt.Sprintf("the value of the variable %q is not in the bundle: set %s%s, or give --var-file", name, dsl.EnvPrefix, name))
		}
	}
	for _, name := range strings.Fields(meta["pass-env"]) {
		needs = append(needs, fmt.Sprintf("steps take %s from the environment: set it to the same value", name))
	}
	return strings.Join(append(words, "--offline"), " "), needs
}

// ShellWord quotes a word for a shell where it must be.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./=:,+@%", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
