package create

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// FinishOptions say how a bundle is finished.
type FinishOptions struct {
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

// Finish completes the bundle in a directory: adds what became known after Bundle,
// such as the rehearsal's outcome, begins the custody log, and signs the root's
// exact bytes. Earlier signatures go, because they were over other bytes. It
// reads no pack. index.json is replaced last, in one step.
func Finish(ctx context.Context, dir string, o FinishOptions) (*bundle.Root, error) {
	w := &layoutWriter{dir: dir}
	r, err := w.finish(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("finish bundle in %s: %w", dir, err)
	}
	return r, nil
}

func (w *layoutWriter) finish(ctx context.Context, o FinishOptions) (*bundle.Root, error) {
	b, err := bundle.Open(ctx, bundle.Trust{AllowUnsigned: true}, w.dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	w.old = b.LayoutBlobs()
	r := b.Root()
	maps.Copy(r.Metadata, o.Metadata)
	r.Custody = nil
	if len(o.Keys) > 0 {
		if err := w.beginCustody(r, o); err != nil {
			return nil, err
		}
	}
	root, err := r.Encode()
	if err != nil {
		return nil, err
	}
	var envelope *sign.Envelope
	if len(o.Keys) > 0 {
		if envelope, err = sign.NewEnvelope(format.RootType, root, o.Keys...); err != nil {
			return nil, err
		}
	}
	if err := w.publish(r, envelope); err != nil {
		return nil, err
	}
	return r, w.sweep(nil)
}

// beginCustody writes the log's first event. It is about the index, because the
// root, which names the log, is not known yet; the index stands for all
// contents.
func (w *layoutWriter) beginCustody(r *bundle.Root, o FinishOptions) error {
	e := custody.Event{Kind: custody.Created, Subject: r.Index.Digest, Name: r.Name, Time: r.Created, Actor: o.Actor}
	if !o.Time.IsZero() {
		e.Time = o.Time.UTC().Format(time.RFC3339)
	}
	line, err := custody.Encode(e, "", o.Keys[0])
	if err != nil {
		return err
	}
	d, err := w.blob(line)
	x := format.BlobOf(d)
	r.Custody = &x
	return err
}
