// Package tree turns files into Merkle directories and back.
package tree

import (
	"github.com/airbuild/airbuild/engine/action"
)

// A Source says where the bytes of one input file can be read.
type Source struct {
	// Path is an absolute file of the workspace; empty if the bytes are in
	// the store or inline.
	Path   string
	Inline []byte // where Path is empty and Blob is false
	Blob   bool   // in the store, under the file's digest
}

// A File is a regular file of a Tree.
type File struct {
	Path       string // slash-separated, relative to the root
	Digest     action.Digest
	Executable bool
	Source     Source
}

// A Link is a symbolic link of a Tree.
type Link struct{ Path, Target string }

// A Tree is a directory of files, sorted by path, with its Merkle form.
type Tree struct {
	Files []File   // sorted by Path
	Links []Link   // sorted by Path
	Empty []string // directories that hold nothing, sorted
	Root  action.Digest
	// Dirs are the canonical bytes of every Directory, by digest.
	Dirs map[action.Digest][]byte
}
