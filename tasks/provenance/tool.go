package provenance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks/gobinary"
	"github.com/airbuild/airbuild/tasks/sign"
)

// A tool writes the statement of a spec.
type tool struct{ keys *sign.Config }

func (t tool) run(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	text, err := sp.statement(ctx, call.In)
	if err != nil {
		return err
	}
	if sp.Signed {
		if text, err = t.sign(ctx, call, text); err != nil {
			return fmt.Errorf("sign %s: %w", sp.Output, err)
		}
	}
	if err := os.WriteFile(filepath.Join(call.Dir, filepath.FromSlash(sp.Output)), append(text, '\n'), 0o666); err != nil {
		return fmt.Errorf("write %s: %w", sp.Output, err)
	}
	return nil
}

func (t tool) sign(ctx context.Context, call *engine.ToolCall, text []byte) ([]byte, error) {
	key, err := t.keys.Key(ctx, call)
	if err != nil {
		return nil, err
	}
	e, err := signing.NewEnvelope(signing.PayloadStatement, text, key)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(call.Log, "signed with key %s\n", key.Public().ID()); err != nil {
		return nil, err
	}
	return e.Encode()
}

func (sp *spec) statement(ctx context.Context, in fs.FS) ([]byte, error) {
	p := &Predicate{RunDetails: RunDetails{Builder{sp.Builder}}}
	p.BuildDefinition.BuildType = buildType
	if err := sp.parameters(in, &p.BuildDefinition); err != nil {
		return nil, err
	}
	sums, err := gobinary.Sums(in, sp.Sums...)
	if err != nil {
		return nil, err
	}
	seen := map[string]Dependency{}
	var subjects []signing.Subject
	for _, name := range sp.Files {
		more, err := subjectsOf(in, name)
		if err != nil {
			return nil, fmt.Errorf("state %s: %w", name, err)
		}
		subjects = append(subjects, more...)
		what, err := gobinary.Find(ctx, in, name)
		if err != nil {
			return nil, err
		}
		for i := range what.Programs {
			prog := &what.Programs[i]
			for _, m := range prog.Modules(sums) {
				d := dependency(m)
				seen[d.URI] = d
			}
			seen["toolchain "+prog.Info.GoVersion] = toolchain(prog)
		}
		for _, b := range what.Bases {
			seen["base "+b] = Dependency{URI: "oci:" + b, Name: "base image", Digest: sha256Of(strings.TrimPrefix(b, "sha256:"))}
		}
	}
	list := []Dependency{}
	if sp.Commit != "" {
		list = append(list, Dependency{URI: sp.sourceURI(), Digest: map[string]string{"gitCommit": sp.Commit}, Name: "source"})
	}
	var rest []Dependency
	for _, d := range seen {
		rest = append(rest, d)
	}
	slices.SortFunc(rest, func(a, b Dependency) int { return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.Name, b.Name)) })
	p.BuildDefinition.ResolvedDependencies = append(list, rest...)
	return encode(subjects, p)
}

// sourceURI is the repository in the words of SPDX and SLSA.
func (sp *spec) sourceURI() string {
	if sp.Source == "" || strings.HasPrefix(sp.Source, "git+") {
		return sp.Source
	}
	return "git+" + sp.Source
}

func toolchain(p *gobinary.Program) Dependency {
	version, _, _ := strings.Cut(p.Info.GoVersion, " ")
	return Dependency{URI: "pkg:generic/go@" + strings.TrimPrefix(version, "go"), Name: "toolchain " + p.Info.GoVersion}
}

func (sp *spec) parameters(in fs.FS, b *BuildDefinition) error {
	for i, f := range sp.Recipe {
		d := Dependency{URI: f.Name, Digest: sha256Of(f.SHA256)}
		if i == 0 {
			b.ExternalParameters.Airbuildfile = d
		} else {
			b.ExternalParameters.Includes = append(b.ExternalParameters.Includes, d)
		}
	}
	uncommitted, err := fs.ReadFile(in, uncommittedName(sp.Actions))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", uncommittedName(sp.Actions), err)
	}
	b.ExternalParameters.Dirty = sp.Dirty || len(uncommitted) > 0
	for _, v := range sp.Vars {
		if b.ExternalParameters.Variables == nil {
			b.ExternalParameters.Variables = map[string]json.RawMessage{}
		}
		b.ExternalParameters.Variables[v.Name] = json.RawMessage(v.Value)
	}
	text, err := fs.ReadFile(in, sp.Actions)
	var list []made
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", sp.Actions, err)
	}
	b.InternalParameters.Actions = []Action{}
	for _, m := range list {
		b.InternalParameters.Actions = append(b.InternalParameters.Actions, Action{m.Step, m.Type, sha256Of(m.Action)})
	}
	if sp.Host == "" {
		return nil
	}
	sum, err := action.OfFile(in.Open(sp.Host))
	if err != nil {
		return fmt.Errorf("read %s: %w", sp.Host, err)
	}
	b.InternalParameters.Host = &Dependency{Name: "host fingerprint", Digest: sha256Of(sum.Hex())}
	return nil
}

// maxIndex bounds the index of an image that is read, in bytes.
const maxIndex = 4 << 20

// subjectsOf is a file by its SHA-256, or what the index of an image names.
func subjectsOf(in fs.FS, name string) ([]signing.Subject, error) {
	info, err := fs.Stat(in, name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		sum, err := action.OfFile(in.Open(name))
		return []signing.Subject{{Name: path.Base(name), Digest: sha256Of(sum.Hex())}}, err
	}
	f, err := in.Open(path.Join(name, "index.json"))
	if err != nil {
		return nil, errors.New("it is a directory, and no image in OCI layout; name its files")
	}
	defer f.Close()
	var ix struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&ix); err != nil {
		return nil, fmt.Errorf("read index.json: %w", err)
	}
	var list []signing.Subject
	for _, m := range ix.Manifests {
		sum, ok := strings.CutPrefix(m.Digest, "sha256:")
		if !ok || len(sum) != 64 {
			return nil, fmt.Errorf("its index names %q, which is not a SHA-256", m.Digest)
		}
		s := signing.Subject{Name: path.Base(name), Digest: sha256Of(sum)}
		if !slices.ContainsFunc(list, func(o signing.Subject) bool { return o.Digest["sha256"] == sum }) {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("there is no image in it")
	}
	return list, nil
}
