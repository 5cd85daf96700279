package bundle

import (
	"context"
	"errors"
	"fmt"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/sign"
)

// A Trust says whose bundles are taken.
type Trust struct {
	Keys []sign.PublicKey
	// Threshold is how many of the keys must have signed; zero is one.
	Threshold int
	// Admit says why a key that signed does not count, and nil if it does: for any
	// bundle at all if series is empty, which is asked before anything of the
	// bundle is read, and then for one of that series. Nil: all keys count.
	Admit func(key sign.PublicKey, series string) error
	// AllowUnsigned takes a bundle that too few of the keys signed. Damage is
	// still noticed, but not who made the bundle.
	AllowUnsigned bool
}

// A Bundle is one that is open for reading, and whose root was signed as a
// Trust demands, or need not be. Its methods may be called by many goroutines.
type Bundle struct {
	src       contents.Source
	bytes     []byte // of the root
	signers   []sign.PublicKey
	envelope  *sign.Envelope // nil: no signature at all
	manifest  *format.Manifest
	custody   []byte
	indexBlob []byte // the index as the bundle has it: compressed
}

// Open opens the bundle in paths: a directory with a layout, a directory with
// volumes, or volumes. The signatures are verified before anything else is
// looked at, then the index is read. Packs are not: see Verify. Callers must
// Close it.
func Open(ctx context.Context, trust Trust, paths ...string) (*Bundle, error) {
	m, err := media.Open(paths...)
	if err != nil {
		return nil, err
	}
	b, err := authenticate(ctx, trust, m)
	if err == nil {
		b.src.Root, err = format.DecodeRoot(b.bytes)
	}
	if err == nil {
		err = b.checkSigners(trust, b.src.Root.Name)
	}
	if err == nil {
		err = b.load(ctx)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("open bundle %s: %w", m.Name(), err)
	}
	return b, nil
}

// authenticate finds the root and verifies who signed it. Until that is done
// the root is nothing but bytes.
func authenticate(ctx context.Context, trust Trust, m Media) (*Bundle, error) {
	w, err := findManifest(ctx, m)
	if err != nil {
		return nil, err
	}
	b := &Bundle{src: contents.Source{Media: m}, manifest: w}
	if b.bytes, err = media.Read(ctx, m, w.Root); err != nil {
		return nil, err
	}
	if err := b.readEnvelopes(ctx); err != nil {
		return nil, err
	}
	return b, b.checkSigners(trust, "")
}

// findManifest returns the only bundle of a layout. What several manifests with
// one root say is put together: signatures may have come by different ways.
func findManifest(ctx context.Context, m Media) (*format.Manifest, error) {
	x, err := m.Index(ctx, format.MaxOCI)
	if err != nil {
		return nil, err
	}
	manifests, err := format.DecodeIndexJSON(x)
	if err != nil {
		return nil, err
	}
	var found *format.Manifest
	for _, d := range manifests {
		text, err := media.Read(ctx, m, d)
		if err != nil {
			return nil, err
		}
		w, err := format.DecodeManifest(text)
		switch {
		case err != nil:
			return nil, err
		case w == nil:
		case found == nil:
			found = w
		case found.Root != w.Root:
			return nil, format.Refusef("the layout holds several bundles: sha256:%s and sha256:%s", found.Root.Hex(), w.Root.Hex())
		default:
			found.Envelopes = append(found.Envelopes, w.Envelopes...)
		}
	}
	if found == nil {
		return nil, format.Refusef("the layout holds no bundle of airbuild")
	}
	return found, nil
}

// readEnvelopes collects the signatures over the root's bytes.
func (b *Bundle) readEnvelopes(ctx context.Context) error {
	for _, d := range b.manifest.Envelopes {
		text, err := media.Read(ctx, b.src.Media, d)
		if err != nil {
			return err
		}
		e, err := sign.ParseEnvelope(text)
		if err != nil {
			return format.Refusef("signature: %w", err)
		}
		if e.PayloadType != format.RootType || string(e.Payload) != string(b.bytes) {
			return format.Refusef("signature: it is over other bytes than those of the root manifest")
		}
		if b.envelope == nil {
			b.envelope = e
		} else {
			b.envelope.Signatures = append(b.envelope.Signatures, e.Signatures...)
		}
	}
	return nil
}

// checkSigners finds the keys that signed and count, for a series once that is
// known.
func (b *Bundle) checkSigners(t Trust, series string) error {
	if b.envelope == nil {
		if t.AllowUnsigned {
			return nil
		}
		return fmt.Errorf("%w: it has no signature", ErrUnsigned)
	}
	signers, err := b.envelope.VerifyAs(max(t.Threshold, 1), t.Keys, func(key sign.PublicKey) error {
		if t.Admit == nil {
			return nil
		}
		return t.Admit(key, series)
	})
	b.signers = signers
	if err == nil || t.AllowUnsigned && errors.Is(err, sign.ErrUnverified) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnsigned, err)
}

// load reads what the root names, except packs and files.
func (b *Bundle) load(ctx context.Context) (err error) {
	if c := b.src.Root.Custody; c != nil {
		d, err := c.Parse()
		if err != nil {
			return err
		}
		if b.custody, err = media.Read(ctx, b.src.Media, d); err != nil {
			return err
		}
	}
	d, err := b.src.Root.Index.Parse()
	if err != nil {
		return err
	}
	if d.Size > format.MaxIndex {
		return format.Refusef("the index has %d bytes; %d are allowed", d.Size, format.MaxIndex)
	}
	if b.indexBlob, err = media.Read(ctx, b.src.Media, d); err != nil {
		return err
	}
	b.src.Index, err = format.LoadIndex(b.indexBlob, b.src.Root)
	return err
}

// Close closes the media.
func (b *Bundle) Close() error { return b.src.Media.Close() }

// Digest is the identity of the bundle: 64 hexadecimal digits of the SHA-256 of
// the root's bytes.
func (b *Bundle) Digest() string { return format.Identity(b.bytes) }

// Root is the root manifest. It must not be changed.
func (b *Bundle) Root() *Root { return b.src.Root }

// RootBytes are the bytes that are signed. They must not be changed.
func (b *Bundle) RootBytes() []byte { return b.bytes }

// Signers are the trusted keys that signed the bundle. With
// Trust.AllowUnsigned there may be none.
func (b *Bundle) Signers() []sign.PublicKey { return b.signers }

// Media is where the bundle is.
func (b *Bundle) Media() Media { return b.src.Media }

// Contents is where the contents of the files are read from. It must not be
// changed.
func (b *Bundle) Contents() *contents.Source { return &b.src }

// Envelope has all signatures of the bundle, trusted or not; it is nil if there
// is none.
func (b *Bundle) Envelope() *sign.Envelope { return b.envelope }

// IndexBlob is the index as the bundle has it: compressed.
func (b *Bundle) IndexBlob() []byte { return b.indexBlob }

// CustodyBytes are those of the custody log in the bundle, or nil.
func (b *Bundle) CustodyBytes() []byte { return b.custody }

// LayoutBlobs are all blobs that belong to b and to nothing else, the OCI
// manifest first.
func (b *Bundle) LayoutBlobs() []action.Digest {
	list := []action.Digest{b.manifest.Digest, b.manifest.Root}
	list = append(list, b.manifest.Envelopes...)
	for _, x := range b.src.Root.Blobs() {
		if d, err := x.Parse(); err == nil {
			list = append(list, d)
		}
	}
	return list
}
