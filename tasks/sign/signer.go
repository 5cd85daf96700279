package sign

import (
	"context"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks"
)

// KeyAttrs are the attributes that say which key signs, for every stage type
// that signs.
func KeyAttrs() []tasks.Attr {
	return []tasks.Attr{
		{Name: "key", Kind: tasks.String, Doc: "Name of a key in the keyring (`airbuild key new`)."},
		{Name: "key_file", Kind: tasks.String, Doc: "Path of a secret key file; it may be outside the project. The public key is expected next to it."},
		{Name: "key_env", Kind: tasks.String, Doc: "Name of an environment variable that holds the text of a secret key. Neither its value nor a hash of it is stored."},
		{Name: "public_key", Kind: tasks.String, Default: "that of the secret key", Doc: "The public key: its text (`RWQ…`) or a file of the project. Signatures by other keys are rejected, and hosts without the secret key use signatures from the cache."},
	}
}

// PlanKey reads KeyAttrs for a step that signs. The secret is taken out of the
// step, and the InputDiscoverer makes the public key a fact of it and tells Key which key
// it is.
func (c *Config) PlanKey(b *tasks.Block, s *engine.Step) (engine.InputDiscoverer, hcl.Diagnostics) {
	l, diags := planKey(b)
	if diags.HasErrors() {
		return nil, diags
	}
	hideKey(s, b, l.from)
	return l, diags
}

// Key is the secret key of the step that PlanKey planned, opened; a password
// is asked for once a run.
func (c *Config) Key(ctx context.Context, call *engine.ToolCall) (*signing.SecretKey, error) {
	p, err := tasks.Private[planned](call)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, p)
}
