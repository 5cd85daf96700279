package bundle

import "github.com/airbuild/airbuild/engine/action"

// A File is one file of a component.
type File struct {
	Path       string // slash-separated, passed CheckPath
	Digest     action.Digest
	Executable bool

	content int // in the index
}
