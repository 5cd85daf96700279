package dsl

import "github.com/hashicorp/hcl/v2"

// Related is the Extra of a diagnostic that has more than one place, such as
// both of two declarations. WriteDiagnostics shows them all.
type Related []Place

// A Place is one of them.
type Place struct {
	Range hcl.Range
	Note  string // what is there: "declared first"
}
