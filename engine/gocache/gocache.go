// Package gocache keeps the compiled packages of the go command in the store:
// it is the other side of GOCACHEPROG, the protocol by which the go command
// lets another program keep its build cache (cmd/go/internal/cacheprog in every
// Go tree is the contract).
//
//	go step ──► go ──stdin/stdout──► Server (a process of airbuild) ──► store
//	   ▲                                  │
//	   └── Cache: environment, report ◄───┘ one Report a process
//
// A Cache decorates the executor and the launcher of the go command. Each go
// command that a step starts then starts a Server, which answers from the
// store, and tells at its end what was used. From that the Cache counts for the
// summary, and records for `bundle create` what the step touched: see Touched.
//
// Nothing of it is in any key, and nothing of it may change a result or fail a
// build: an object is used only if its content is what the entry says, and on
// any trouble the answer is a miss.
//
// docs/formats.md, "The compile cache", gives the bytes of what is stored.
package gocache

import (
	"context"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// Store is what the compile cache needs of a store beside the API's verbs. It
// must not be pruned while it is open: the go command opens files of it by name
// until it ends.
type Store interface {
	engine.Store
	// PutFile stores the file at path. Its digest must be want.
	PutFile(ctx context.Context, path string, want action.Digest) (action.Digest, error)
	// BlobFile is the file that holds a blob of the store. Nobody may write to it.
	BlobFile(action.Digest) string
	// TakeDamaged returns what was found damaged, and thrown away, since the
	// last call.
	TakeDamaged() []*action.Damaged
}
