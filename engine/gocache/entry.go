package gocache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// An ActionID is the go command's name for a piece of work: a hash of all that
// it hangs on. The go command alone knows how it comes about.
type ActionID [sha256.Size]byte

// String returns 64 lower-case hexadecimal digits.
func (id ActionID) String() string { return hex.EncodeToString(id[:]) }

// The arguments of the pseudo-commands that keys of this package are made of.
// Their number is the version of what the entry means.
const (
	objectTool  = "airbuild:gocache"
	touchedTool = "airbuild:gocache-touched"
	keyVersion  = "2"
)

// Key is the digest under which the store keeps what the go command put under
// id: that of an Action which nobody runs and nobody stores. Go's own hash is
// not the key itself, because the Action is what makes it one of ours, and what
// a server of the Remote Execution API expects.
func Key(id ActionID) action.Digest { return pseudoKey(objectTool, id.String()) }

// A Salt tells apart entries of one ActionID: those of packages that depend on
// files which the go command does not look at. It is a hash of these files.
type Salt [sha256.Size]byte

// keyOf is Key for an entry that holds only where the files are as salt says;
// the zero Salt is for entries that always hold.
func keyOf(id ActionID, salt Salt) action.Digest {
	if salt == (Salt{}) {
		return Key(id)
	}
	return Key(id.salted(salt))
}

// salted stands for id where the files are as salt says. A record of a step
// names such an entry by it, as it names others by their ActionIDs.
func (id ActionID) salted(salt Salt) ActionID {
	return sha256.Sum256(slices.Concat([]byte("airbuild salted 1\n"), id[:], salt[:]))
}

// touchedKey is the key of the record of what a step touched.
func touchedKey(step action.Digest) action.Digest { return pseudoKey(touchedTool, step.String()) }

// pseudoKey is the digest of the Action of a Command that has no inputs.
func pseudoKey(tool string, names ...string) action.Digest {
	c := action.Command{Arguments: append([]string{tool, keyVersion}, names...)}
	a := action.Action{Command: action.Of(c.Marshal()), InputRoot: action.Of(nil)}
	return action.Of(a.Marshal())
}

// A Kind says what an object is, as far as that matters. It is the path of the
// output in the entry's Result.
type Kind string

const (
	// Package is a compiled package.
	Package Kind = "package.a"
	// Index is an index of a module's or a directory's files. Its ActionID is
	// made of an absolute path and of times of files, so that it is of no use
	// elsewhere.
	Index Kind = "module.index"
	// Other is anything else: output of compilers, facts of vet, results of
	// tests.
	Other Kind = "object"
)

// What objects begin with, by kind. The first is ar's; the second is that of
// cmd/go/internal/modindex, which raises the number behind it.
var (
	packageMagic = []byte("!<arch>\n")
	indexMagic   = []byte("go index v")
)

// kindHead is how much of an object kindOf wants to see, in bytes.
const kindHead = 16

// kindOf tells the kind of an object by its beginning.
func kindOf(head []byte) Kind {
	switch {
	case bytes.HasPrefix(head, packageMagic):
		return Package
	case bytes.HasPrefix(head, indexMagic):
		return Index
	}
	return Other
}

// An Entry is what the go command put under an ActionID. Object is the digest
// of its bytes; its hash is what the go command calls the OutputID.
type Entry struct {
	ID     ActionID
	Object action.Digest
	Kind   Kind
	// Time is when it was put. The go command takes a test's result for too
	// old by it (`go clean -testcache`).
	Time time.Time
}

// Key is the digest of the store's entry.
func (e Entry) Key() action.Digest { return Key(e.ID) }

// Travels reports whether the entry is of use on another host.
func (e Entry) Travels() bool { return e.Kind != Index }

// result is the Result that stands for e in the store.
func (e Entry) result() *action.Result {
	return &action.Result{
		OutputFiles: []action.OutputFile{{Path: string(e.Kind), Digest: e.Object}},
		Metadata:    action.Metadata{ExecutionCompleted: e.Time.UTC()},
	}
}

// entryOf reads what result wrote. Anything else under the key is an error:
// entries come from media too.
func entryOf(id ActionID, r *action.Result) (Entry, error) {
	if r.ExitCode != 0 || len(r.OutputFiles) != 1 || len(r.OutputDirectories)+len(r.OutputSymlinks) != 0 {
		return Entry{}, errors.New("it is not the result of a put")
	}
	f := r.OutputFiles[0]
	e := Entry{ID: id, Object: f.Digest, Kind: Kind(f.Path), Time: r.Metadata.ExecutionCompleted}
	switch e.Kind {
	case Package, Index, Other:
		return e, nil
	}
	return Entry{}, fmt.Errorf("it holds %q, which is not an object kind", f.Path)
}
