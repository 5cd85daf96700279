package bundle

import (
	"context"
	"errors"
	"fmt"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sign"
)

func openFrom(ctx context.Context, trust Trust, m Media) (*Bundle, error) {
	b, err := authenticate(ctx, trust, m)
	if err == nil {
		b.root, err = DecodeRoot(b.bytes)
	}
	if err == nil {
		err = b.checkSigners(trust, b.root.Name)
	}
	if err == nil {
		err = b.load(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", m.Name(), err)
	}
	return b, nil
}

// authenticate finds the root and verifies who signed it. Until that is done
// the root is nothing but bytes.
func authenticate(ctx context.Context, trust Trust, m Media) (*Bundle, error) {
	w, err := findWrapper(ctx, m)
	if err != nil {
		return nil, err
	}
	b := &Bundle{media: m, wrapper: w}
	if b.bytes, err = readBlob(ctx, m, w.root); err != nil {
		return nil, err
	}
	if err := b.readSeals(ctx); err != nil {
		return nil, err
	}
	return b, b.checkSigners(trust, "")
}

// findWrapper returns the only bundle of a layout. What several manifests with
// one root say is put together: signatures may have come by different ways.
func findWrapper(ctx context.Context, m Media) (*wrapper, error) {
	x, err := m.Index(ctx, maxOCI)
	if err != nil {
		return nil, err
	}
	manifests, err := decodeIndexJSON(x)
	if err != nil {
		return nil, err
	}
	var found *wrapper
	for _, d := range manifests {
		text, err := readBlob(ctx, m, d)
		if err != nil {
			return nil, err
		}
		w, err := decodeWrapper(text)
		switch {
		case err != nil:
			return nil, err
		case w == nil:
		case found == nil:
			found = w
		case found.root != w.root:
			return nil, refusef("the layout holds several bundles: sha256:%s and sha256:%s", found.root.Hex(), w.root.Hex())
		default:
			found.seals = append(found.seals, w.seals...)
		}
	}
	if found == nil {
		return nil, refusef("the layout holds no bundle of airbuild")
	}
	return found, nil
}

// readSeals collects the signatures over the root's bytes.
func (b *Bundle) readSeals(ctx context.Context) error {
	for _, d := range b.wrapper.seals {
		text, err := readBlob(ctx, b.media, d)
		if err != nil {
			return err
		}
		e, err := sign.ParseEnvelope(text)
		if err != nil {
			return refusef("signature: %w", err)
		}
		if e.PayloadType != RootType || string(e.Payload) != string(b.bytes) {
			return refusef("signature: it is over other bytes than those of the root manifest")
		}
		if b.sealed == nil {
			b.sealed = e
		} else {
			b.sealed.Signatures = append(b.sealed.Signatures, e.Signatures...)
		}
	}
	return nil
}

// checkSigners finds the keys that signed and count, for a series once that is
// known.
func (b *Bundle) checkSigners(t Trust, series string) error {
	if b.sealed == nil {
		if t.AllowUnsigned {
			return nil
		}
		return fmt.Errorf("%w: it has no signature", ErrUnsigned)
	}
	signers, err := b.sealed.VerifyAs(max(t.Threshold, 1), t.Keys, func(key sign.PublicKey) error {
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
	if c := b.root.Custody; c != nil {
		d, err := c.blob()
		if err != nil {
			return err
		}
		if b.custody, err = readBlob(ctx, b.media, d); err != nil {
			return err
		}
	}
	d, err := b.root.Index.blob()
	if err != nil {
		return err
	}
	if d.Size > maxIndex {
		return refusef("the index has %d bytes; %d are allowed", d.Size, maxIndex)
	}
	if b.stored, err = readBlob(ctx, b.media, d); err != nil {
		return err
	}
	b.index, err = loadIndex(b.stored, b.root)
	return err
}

// loadIndex decodes the index blob of a root.
func loadIndex(stored []byte, r *Root) (*index, error) {
	d, err := newDecoder(r.Index.Raw, 1)
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	defer d.Close()
	raw, err := decodeFrame(d, stored, r.Index.Raw)
	if err != nil {
		return nil, refusef("index: %w", err)
	}
	x, err := decodeIndex(raw)
	if err != nil {
		return nil, err
	}
	return x, x.check(r)
}

// pack returns the blob of a pack.
func (b *Bundle) pack(i int) (action.Digest, error) { return b.root.Packs[i].blob() }
