package bundle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"

	"github.com/airbuild/airbuild/engine/action"
)

// shortHash is how much of a hash a receipt has, in bytes: half. Two contents
// that agree in it are not to be found by chance or by any effort; and if they
// were, nothing would be lost: the importer looks for whole digests before it
// copies anything.
const shortHash = 16

// maxReceipt bounds a receipt, in bytes.
const maxReceipt = 128 << 20

// A digestSet is a sorted list of short hashes.
type digestSet struct{ list [][shortHash]byte }

func newDigestSet(hashes map[[32]byte]bool) *digestSet {
	s := &digestSet{}
	for h := range hashes {
		s.list = append(s.list, [shortHash]byte(h[:shortHash]))
	}
	slices.SortFunc(s.list, compareShort)
	s.list = slices.Compact(s.list)
	return s
}

func compareShort(a, b [shortHash]byte) int { return bytes.Compare(a[:], b[:]) }

func (s *digestSet) has(hash [32]byte, size int64) bool {
	_, ok := slices.BinarySearchFunc(s.list, [shortHash]byte(hash[:shortHash]), compareShort)
	return ok
}

// A receiptFile is the canonical JSON of a receipt.
type receiptFile struct {
	Bundles  []string `json:"bundles"`  // digests of imported bundles, sorted
	Contents string   `json:"contents"` // base64 of the short hashes, sorted
	// Features are critical features that the host's airbuild reads, sorted:
	// of format 2. A receipt without any is of format 1.
	Features []string `json:"features,omitempty"`
	Format   int      `json:"format"`
	Type     string   `json:"type"` // "airbuild-receipt"
}

const receiptType = "airbuild-receipt"

func makeReceipt(ctx context.Context, cache string, sink func(component string) (Sink, error), stays func(*Carried) bool) (*Receipt, error) {
	carried, err := listCarried(cache)
	if err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	r := &Receipt{bundles: []string{}, features: []string{FeaturePatches}}
	have := map[[32]byte]bool{}
	for i := range carried {
		c := &carried[i]
		r.bundles = append(r.bundles, c.Digest)
		if stays != nil && !stays(c) {
			continue
		}
		x, err := c.index(cache)
		if err != nil {
			return nil, fmt.Errorf("make receipt: %w", err)
		}
		for p := range x.parts {
			if err := addHeld(ctx, &x.parts[p], sink, have); err != nil {
				return nil, fmt.Errorf("make receipt: component %s: %w", x.parts[p].name, err)
			}
		}
	}
	slices.Sort(r.bundles)
	r.have = newDigestSet(have)
	return r, nil
}

// addHeld adds the contents of a component that are still there and stay.
func addHeld(ctx context.Context, p *part, sink func(string) (Sink, error), have map[[32]byte]bool) error {
	if !Kept(p.name) {
		return nil
	}
	s, err := sink(p.name)
	if err != nil || s == nil {
		return err
	}
	holder, _ := s.(Holder)
	for _, f := range p.files {
		// What is late are entries, and the next run may replace any of them.
		if have[f.Digest.Hash] || s.Late(f) {
			continue
		}
		var there bool
		if holder != nil {
			there, err = holder.Holds(ctx, f.Digest)
		} else {
			there, err = s.Has(ctx, f, true)
		}
		if err != nil {
			return err
		}
		if there {
			have[f.Digest.Hash] = true
		}
	}
	return nil
}

// WriteTo writes the receipt: canonical JSON and a line feed.
func (r *Receipt) WriteTo(w io.Writer) (int64, error) {
	raw := make([]byte, 0, len(r.have.list)*shortHash)
	for _, h := range r.have.list {
		raw = append(raw, h[:]...)
	}
	b, err := encodeCanonical(receiptFile{Bundles: r.bundles, Contents: base64.StdEncoding.EncodeToString(raw), Features: r.features, Format: receiptFormat(r.features), Type: receiptType})
	if err != nil {
		return 0, fmt.Errorf("write receipt: %w", err)
	}
	n, err := w.Write(append(b, '\n'))
	if err != nil {
		return int64(n), fmt.Errorf("write receipt: %w", err)
	}
	return int64(n), nil
}

// receiptFormat is the oldest format that can say which features there are.
func receiptFormat(features []string) int {
	if len(features) == 0 {
		return 1
	}
	return 2
}

func readReceipt(r io.Reader) (*Receipt, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxReceipt+1))
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	if len(b) > maxReceipt {
		return nil, refusef("read receipt: it has more than %d bytes", maxReceipt)
	}
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return nil, refusef("read receipt: it is cut off")
	}
	var f receiptFile
	if err := decodeCanonical(b[:len(b)-1], &f); err != nil {
		return nil, refusef("read receipt: %w", err)
	}
	out, err := f.decode()
	if err != nil {
		return nil, refusef("read receipt: %w", err)
	}
	return out, nil
}

func (f *receiptFile) decode() (*Receipt, error) {
	if f.Type != receiptType || f.Format < 1 || f.Format > 2 || f.Format != receiptFormat(f.Features) || f.Bundles == nil {
		return nil, fmt.Errorf("it is of type %.40q and format %d; this airbuild reads %q 1 and 2", f.Type, f.Format, receiptType)
	}
	for i, name := range f.Features {
		if i > 0 && f.Features[i-1] >= name {
			return nil, fmt.Errorf("its features are out of order")
		}
	}
	for i, d := range f.Bundles {
		if _, err := action.ParseHash(d); err != nil {
			return nil, err
		}
		if i > 0 && f.Bundles[i-1] >= d {
			return nil, fmt.Errorf("its bundles are out of order")
		}
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(f.Contents)
	if err != nil || len(raw)%shortHash != 0 || base64.StdEncoding.EncodeToString(raw) != f.Contents {
		return nil, fmt.Errorf("its list of contents is damaged")
	}
	s := &digestSet{list: make([][shortHash]byte, len(raw)/shortHash)}
	for i := range s.list {
		s.list[i] = [shortHash]byte(raw[i*shortHash:])
		if i > 0 && compareShort(s.list[i-1], s.list[i]) >= 0 {
			return nil, fmt.Errorf("its contents are out of order")
		}
	}
	return &Receipt{bundles: f.Bundles, have: s, features: f.Features}, nil
}

// Bundles are the digests of the bundles that the host has imported.
func (r *Receipt) Bundles() []string { return r.bundles }

// Contents is how many contents the host has.
func (r *Receipt) Contents() int { return len(r.have.list) }

func assume(b *Bundle) *Base {
	have := map[[32]byte]bool{}
	for i := range b.index.parts {
		p := &b.index.parts[i]
		if !Kept(p.name) {
			continue
		}
		for _, f := range p.files {
			have[f.Digest.Hash] = true
		}
	}
	return &Base{bundles: []string{b.Digest()}, has: func(hash [32]byte, _ int64) bool { return have[hash] }}
}

// sortTargets orders targets by content.
func sortTargets(list []target) {
	slices.SortStableFunc(list, func(a, b target) int { return cmp.Compare(a.file.content, b.file.content) })
}
