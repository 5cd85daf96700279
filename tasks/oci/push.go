package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
)

const (
	pushTool    = "oci-push"
	pushVersion = "1"
)

// A pushTask copies images to registries. It is never cached: what lies in a
// registry is nothing that a key could know.
type pushTask struct{}

func (pushTask) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "oci_push",
		Traits: tasks.Traits{Traits: engine.Traits{SideEffects: true}},
		Doc:    "Pushes an image to registries. It runs every time and uploads only missing blobs.",
		Attrs: []tasks.Attr{
			{Name: "image", Kind: tasks.Path, Required: true, Doc: "Image to push: an OCI layout, as a directory or tar file."},
			{Name: "to", Kind: tasks.Strings, Required: true, Doc: "References to push to: `registry.example/app:v1.0`."},
			{Name: "username", Kind: tasks.String, Default: "credentials of `docker login` or `podman login`", Doc: "User name for the registry."},
			{Name: "password_env", Kind: tasks.String, Doc: "Environment variable with the user's password or token."},
			{Name: "plain_http", Kind: tasks.Bool, Default: "false; true for localhost", Doc: "Connects to the registry without TLS."},
			{Name: "output", Kind: tasks.Output, Default: "the stage's name with the cell, then .digests", Doc: "File that lists the pushed references, one per line: `registry.example/app@sha256:…`."},
		},
	}
}

// A pushSpec is what the tool is told, in the order of its JSON.
type pushSpec struct {
	Image       string   `json:"image"`
	To          []string `json:"to"`
	Username    string   `json:"username,omitempty"`
	PasswordEnv string   `json:"password_env,omitempty"`
	PlainHTTP   bool     `json:"plain_http,omitempty"`
	Output      string   `json:"output"`
	// Confirmed: the user allowed this run to send things out. The step is
	// never cached, so that it may stand here.
	Confirmed bool `json:"confirmed,omitempty"`
}

func (pushTask) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	sp := pushSpec{Username: b.String("username"), PasswordEnv: b.String("password_env"), PlainHTTP: b.Bool("plain_http", false), Confirmed: b.Project.Confirmed}
	for _, to := range b.Strings("to") {
		full, why := fullTag(to)
		if host, _, ok := strings.Cut(to, "/"); why == "" && (!ok || host != "localhost" && !strings.ContainsAny(host, ".:")) {
			why = "it names no registry: write HOST/NAME:TAG."
		}
		if why != "" {
			diags = append(diags, b.Error("to", "Not a place in a registry", fmt.Sprintf("%q: %s", to, why)))
			continue
		}
		sp.To = append(sp.To, full)
	}
	if len(b.Strings("to")) == 0 {
		diags = append(diags, b.Error("to", "Nowhere to push to", "to names no registry."))
	}
	switch {
	case b.Has("username") && !b.Has("password_env"):
		diags = append(diags, b.Error("username", "User without a password", "Name the environment variable that holds it with password_env."))
	case !b.Has("username") && b.Has("password_env"):
		diags = append(diags, b.Error("password_env", "Missing username", "Set username too."))
	case strings.ContainsAny(sp.PasswordEnv, "= \t\n\x00"):
		diags = append(diags, b.Error("password_env", "Name of a variable", "password_env is the name of an environment variable, such as \"REGISTRY_PASSWORD\", not its value."))
	}
	if b.Meta.Network != nil && !*b.Meta.Network {
		diags = append(diags, b.Error("", "Push without network", "oci_push sends to a registry: take sandbox { network = false } out."))
	}
	if diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	s.NoCache, s.Network = true, true
	addPassword(&s, b, sp.PasswordEnv)
	if in := b.Paths("image"); len(in) == 1 {
		sp.Image = in[0].Path
		tasks.AddInput(&s, in[0].Input())
	}
	b.AddRefs(&s)
	sp.Output = b.DistPath(b.StringOr("output", cellName(b)+".digests"))
	tasks.SetOutputs(&s, []string{sp.Output}, nil)
	return b.ToolStep(s, pushTool, pushVersion, sp, diags)
}

// addPassword hands the password to the tool as a secret: the stage's own
// variable, or one of airbuild's environment.
func addPassword(s *engine.Step, b *tasks.Block, name string) {
	named := func(v action.EnvVar) bool { return v.Name == name }
	if name == "" || slices.ContainsFunc(s.Secrets, named) {
		return
	}
	value, ok := b.Meta.Env[name]
	if !ok {
		value, ok = b.Project.Environ(name)
	}
	s.Command.Env = slices.DeleteFunc(s.Command.Env, named)
	if ok {
		s.Secrets = append(s.Secrets, action.EnvVar{Name: name, Value: value})
	}
}

// runPush sends images to registries.
func runPush(ctx context.Context, call *engine.ToolCall, sp *pushSpec) error {
	if !sp.Confirmed {
		return fmt.Errorf("push %s: this would send it to %s, which was not confirmed; run again with --yes (not needed in CI)", sp.Image, strings.Join(sp.To, ", "))
	}
	auth, err := sp.auth(call.Env)
	if err != nil {
		return fmt.Errorf("push %s: %w", sp.Image, err)
	}
	tmp, err := os.MkdirTemp(call.Dir, ".oci-")
	if err != nil {
		return fmt.Errorf("push %s: %w", sp.Image, err)
	}
	defer os.RemoveAll(tmp)
	ix, err := openLayout(ctx, tmp, call.In, sp.Image)
	if err != nil {
		return fmt.Errorf("push %s: %w", sp.Image, err)
	}
	var lines strings.Builder
	for _, to := range sp.To {
		digest, err := push(ctx, ix, to, sp, auth)
		if err != nil {
			return fmt.Errorf("push %s to %s: %w", sp.Image, to, err)
		}
		fmt.Fprintf(&lines, "%s@%s\n", to[:strings.LastIndex(to, ":")], digest)
		fmt.Fprintf(call.Log, "pushed %s %s\n", to, digest)
	}
	if err := os.WriteFile(filepath.Join(call.Dir, filepath.FromSlash(sp.Output)), []byte(lines.String()), 0o666); err != nil {
		return fmt.Errorf("write %s: %w", sp.Output, err)
	}
	return nil
}

// auth is who pushes: as the stage says, or as other programs logged in.
func (sp *pushSpec) auth(env []string) (remote.Option, error) {
	if sp.Username == "" {
		return remote.WithAuthFromKeychain(authn.DefaultKeychain), nil
	}
	for _, e := range env {
		if password, ok := strings.CutPrefix(e, sp.PasswordEnv+"="); ok && password != "" {
			return remote.WithAuth(&authn.Basic{Username: sp.Username, Password: password}), nil
		}
	}
	return nil, fmt.Errorf("the variable %s is not set; set it to the password of %s", sp.PasswordEnv, sp.Username)
}

// push sends what a layout holds to one name.
func push(ctx context.Context, ix v1.ImageIndex, to string, sp *pushSpec, auth remote.Option) (v1.Hash, error) {
	var opts []name.Option
	if sp.PlainHTTP {
		opts = append(opts, name.Insecure)
	}
	tag, err := name.NewTag(to, opts...)
	if err != nil {
		return v1.Hash{}, err
	}
	o := []remote.Option{remote.WithContext(ctx), auth, remote.WithUserAgent("airbuild")}
	what, err := single(ix)
	if err != nil {
		return v1.Hash{}, err
	}
	switch what := what.(type) {
	case v1.ImageIndex:
		if err := remote.WriteIndex(tag, what, o...); err != nil {
			return v1.Hash{}, err
		}
		return what.Digest()
	case v1.Image:
		if err := remote.Write(tag, what, o...); err != nil {
			return v1.Hash{}, err
		}
		return what.Digest()
	}
	return v1.Hash{}, errors.New("it is neither an image nor an index")
}

// single is the one image or index of a layout, whatever tags it has.
func single(ix v1.ImageIndex) (mutate.Appendable, error) {
	m, err := ix.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(m.Manifests) == 0 {
		return nil, errors.New("there is no image in it")
	}
	first := m.Manifests[0]
	for _, d := range m.Manifests[1:] {
		if d.Digest != first.Digest {
			return nil, errors.New("it holds several images; join them into one with an oci_image stage")
		}
	}
	if first.MediaType.IsIndex() {
		return ix.ImageIndex(first.Digest)
	}
	return ix.Image(first.Digest)
}
