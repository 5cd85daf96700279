package eval

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/dsl"
)

// A Scope is an evaluated module: the user's, or one instance of an embedded
// file.
type Scope struct {
	*dsl.Scope
	Context *hcl.EvalContext
	Dir     string               // the default of dir
	Params  map[string]hcl.Range // of an embedded file: where the user set a parameter
	Use     string               // the embedded pipeline; "" for the user's file
}

// Blame returns the range that a mistake in expr is shown at: the user's own
// attribute, where an embedded file does no more than hand it on.
func (s *Scope) Blame(expr hcl.Expression) hcl.Range {
	if len(s.Params) > 0 {
		if t, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() && t.RootName() == "var" {
			if name, _, ok := SecondName(t); ok {
				if r, set := s.Params[name]; set {
					return r
				}
			}
		}
	}
	return expr.Range()
}
