package format

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"

	"github.com/airbuild/airbuild/engine/action"
)

// A Receipt says what a host has, for a delta.
type Receipt struct {
	bundles  []string
	have     *digestSet
	Features []string // critical ones that the host's airbuild reads, sorted
}

// NewReceipt returns the receipt of a host that has imported bundles and has
// these contents.
func NewReceipt(bundles []string, have map[[32]byte]bool, features ...string) *Receipt {
	bundles = append([]string{}, bundles...) // never null
	slices.Sort(bundles)
	return &Receipt{bundles: bundles, have: newDigestSet(have), Features: features}
}

// Has reports whether the host has a content.
func (r *Receipt) Has(d action.Digest) bool { return r.have.has(d.Hash, d.Size) }

// Reads reports whether the host's airbuild is known to read a critical feature.
func (r *Receipt) Reads(feature string) bool { return slices.Contains(r.Features, feature) }

// shortHash is how much of a hash a receipt has, in bytes: half. Two contents
// that agree in it are not to be found by chance or by any effort; and if they
// were, nothing would be lost: the importer looks for whole digests before it
// copies anything.
const shortHash = 16

// MaxReceipt bounds a receipt, in bytes.
const MaxReceipt = 128 << 20

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

// WriteTo writes the receipt: canonical JSON and a line feed.
func (r *Receipt) WriteTo(w io.Writer) (int64, error) {
	raw := make([]byte, 0, len(r.have.list)*shortHash)
	for _, h := range r.have.list {
		raw = append(raw, h[:]...)
	}
	b, err := EncodeCanonical(receiptFile{Bundles: r.bundles, Contents: base64.StdEncoding.EncodeToString(raw), Features: r.Features, Format: receiptFormat(r.Features), Type: receiptType})
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

// DecodeReceipt reads the bytes of a receipt.
func DecodeReceipt(b []byte) (*Receipt, error) {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return nil, Refusef("read receipt: it is cut off")
	}
	var f receiptFile
	if err := DecodeCanonical(b[:len(b)-1], &f); err != nil {
		return nil, Refusef("read receipt: %w", err)
	}
	out, err := f.decode()
	if err != nil {
		return nil, Refusef("read receipt: %w", err)
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
	return &Receipt{bundles: f.Bundles, have: s, Features: f.Features}, nil
}

// Bundles are the digests of the bundles that the host has imported.
func (r *Receipt) Bundles() []string { return r.bundles }

// Contents is how many contents the host has.
func (r *Receipt) Contents() int { return len(r.have.list) }
