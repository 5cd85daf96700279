package bundle

import (
	"context"
	"io"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/engine/sign"
)

// A Spec is what a bundle is to hold. The same Spec gives the same bytes, in
// whatever order its lists are, on every machine.
type Spec struct {
	Name       string            // of the line of bundles; see Root
	Sequence   int64             // see Root; the commit's time in seconds is a good one
	Created    time.Time         // in the root; the source's time is a good one
	Parents    []string          // digests of earlier bundles
	Metadata   map[string]string // of the bundle
	Optional   map[string]string // optional features
	Components []Component
	Base       *Base // leaves out what the receiver has; nil: everything is carried
	// Old are contents, with their digests, that may be ones of the base: new
	// contents that are like one of them are carried as what to do to it, if
	// the receiver can read that (see Base.ReadsPatches). Those that are not of
	// the base count as not given. They are part of what the bytes hang on.
	Old []Input
}

// A Component is a list of files under a name.
type Component struct {
	Name     string // see CheckComponentName
	Metadata map[string]string
	// Plain makes each file a blob of its own, as it is, so that programs that
	// know nothing of packs find it by its digest: what a bootstrap needs.
	Plain bool
	Files []Input
}

// An Input is a file that goes into a bundle.
type Input struct {
	Path       string // in the component
	Executable bool
	// Digest is that of the content where it is known; a file that turns out
	// to hold something else fails the creation. Zero: Create reads the file
	// twice, once to hash it.
	Digest action.Digest
	// Always has the content carried even where the receiver has it: for files
	// that a receiver merges with others or writes again, so that it may no
	// longer have them as they came.
	Always bool
	// Open gives the content. It may be called several times, and by
	// several goroutines for different inputs; of inputs with the same content
	// one may stand for all.
	Open func(context.Context) (io.ReadCloser, error)
}

// FileInput is a file on a disk.
func FileInput(path, file string, executable bool) Input {
	return Input{Path: path, Executable: executable, Open: func(context.Context) (io.ReadCloser, error) { return files.OpenRegular(file) }}
}

// CreateOptions say how a bundle is made. The zero value is a sane default.
type CreateOptions struct {
	PackSize int64 // of contents, in bytes; zero: DefaultPackSize. Changes the bytes.
	Jobs     int   // compressing at once; zero: one a processor. Changes nothing.
	// Replace allows another bundle in the directory to be replaced. Without,
	// it is an error; the same bundle never is.
	Replace  bool
	Progress progress.Func
}

// SealOptions say how a bundle is sealed.
type SealOptions struct {
	// Metadata is added to that of the bundle, in the place of values of the
	// same name. It changes the bundle's identity.
	Metadata map[string]string
	Keys     []*sign.SecretKey // none: the bundle stays unsigned
	// Time and Actor are those of the custody log's first event, "created".
	// It is written if there are keys, and signed by the first of them. The
	// zero Time is that of the bundle.
	Time  time.Time
	Actor string
}
