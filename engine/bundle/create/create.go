// Package create makes bundles: from files to a directory with an OCI layout,
// finished and signed, and from there to volumes.
package create

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// A Spec is what a bundle is to hold. The same Spec gives the same bytes, in
// whatever order its lists are, on every machine.
type Spec struct {
	Name       string            // of the series of bundles; see Root
	Sequence   int64             // see Root; the commit's time in seconds is a good one
	Created    time.Time         // in the root; the source's time is a good one
	Parents    []string          // digests of earlier bundles
	Metadata   map[string]string // of the bundle
	Optional   map[string]string // optional features
	Components []Component
	Base       *Base // leaves out what the receiver has; nil: everything is in the bundle
	// Old are contents, with their digests, that may be ones of the base: new
	// contents that are like one of them are included as patches, if
	// the receiver can read that (see Base.ReadsPatches). Those that are not of
	// the base count as not given. The bytes of the bundle depend on them.
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
	// to hold something else fails Bundle. Zero: Bundle reads the file
	// twice, once to hash it.
	Digest action.Digest
	// Always includes the content even where the receiver has it: for files
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

// Options say how a bundle is made. The zero value is a sane default.
type Options struct {
	PackSize int64 // of contents, in bytes; zero: DefaultPackSize. Changes the bytes.
	Jobs     int   // compressing at once; zero: one per CPU. Changes nothing.
	// Replace allows another bundle in the directory to be replaced. Without,
	// it is an error; the same bundle never is.
	Replace  bool
	Progress bundle.ProgressFunc
}

// Bundle makes a bundle in a directory: an OCI image layout, not signed yet
// (see Finish). Other files in the directory are left alone. The Spec
// is checked before anything is written.
//
// On disk: blobs are written to temporary files, flushed and renamed; then the
// OCI manifest; index.json last, so that a directory with an index.json holds
// all of a bundle. What an interrupted Bundle of the same Spec finished is used
// again, after its bytes were verified.
func Bundle(ctx context.Context, dir string, spec Spec, o Options) (_ *bundle.Root, err error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	o.PackSize = cmp.Or(o.PackSize, bundle.DefaultPackSize)
	if o.PackSize < 1 || o.PackSize > format.MaxPack/2 {
		return nil, fmt.Errorf("create bundle: packs of %d bytes: want 1 to %d", o.PackSize, int64(format.MaxPack/2))
	}
	p, err := newPlan(ctx, dir, spec, o)
	if err != nil {
		return nil, fmt.Errorf("create bundle: %w", err)
	}
	defer func() { err = errors.Join(err, p.close()) }()
	r := newRoot(spec, p)
	if _, err := withBlanks(*r).Encode(); err != nil {
		return nil, fmt.Errorf("create bundle: %w", err)
	}
	w := &layoutWriter{dir: dir}
	if err := w.create(ctx, r, p, o); err != nil {
		return nil, fmt.Errorf("create bundle in %s: %w", dir, err)
	}
	return r, nil
}

// newRoot is the root as far as it is known before any pack is.
func newRoot(spec Spec, p *plan) *bundle.Root {
	r := &bundle.Root{
		Format: format.FormatVersion, Name: spec.Name, Sequence: spec.Sequence,
		Created:  spec.Created.UTC().Format(time.RFC3339),
		Metadata: orEmpty(spec.Metadata), Parents: append([]string{}, spec.Parents...), Base: p.base,
		Packs: []bundle.RootBlob{}, Files: []bundle.RootBlob{},
	}
	slices.Sort(r.Parents)
	r.Features.Critical, r.Features.Optional = []string{}, orEmpty(spec.Optional)
	if p.x.Patched() > 0 {
		r.Features.Critical = append(r.Features.Critical, format.FeaturePatches)
	}
	for i := range p.x.Components {
		t := &p.x.Components[i]
		total, included := p.x.Size(t)
		r.Components = append(r.Components, bundle.RootComponent{Name: t.Name, Files: len(t.Files), Bytes: total, Carried: included, Metadata: orEmpty(p.comps[i].Metadata)})
	}
	for _, c := range p.x.Contents {
		if c.Kind == format.ContentPlain {
			r.Files = append(r.Files, format.BlobOf(c.Digest))
		}
	}
	return r
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// withBlanks puts something in the place of what is not known yet, so that what
// the caller gave can be checked before anything is written.
func withBlanks(r bundle.Root) *bundle.Root {
	r.Index = bundle.RootIndex{RootBlob: format.BlobOf(action.Of(nil)), Raw: int64(len(format.IndexMagic))}
	return &r
}
