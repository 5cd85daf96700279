package format

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// The media types of a bundle's blobs. A reader finds its way by those of the
// root and the envelopes alone; the others are for people and for tools.
const (
	RootType     = "application/vnd.airbuild.bundle.v1+json"
	IndexType    = "application/vnd.airbuild.index.v1+zstd"
	PackType     = "application/vnd.airbuild.pack.v1+zstd"
	FileType     = "application/vnd.airbuild.file.v1"
	CustodyType  = "application/vnd.airbuild.custody.v1"
	EnvelopeType = "application/vnd.dsse.envelope.v1+json"
)

// FormatVersion is the format of root manifests that this package writes, and
// the only one that it reads.
const FormatVersion = 1

// A Root is the root manifest. Its canonical JSON is what is signed, and the
// digest of that is the identity of the bundle. Everything else in the bundle
// depends on it by digest.
type Root struct {
	Format   int    `json:"format"`   // FormatVersion
	Name     string `json:"name"`     // of the series of bundles, such as the project and pipeline
	Sequence int64  `json:"sequence"` // newer bundles of a series have no smaller one
	Created  string `json:"created"`  // RFC 3339, UTC, whole seconds
	Features struct {
		// Critical are features that a reader must know; Optional are those
		// that it may ignore, with a value each.
		Critical []string          `json:"critical"`
		Optional map[string]string `json:"optional"`
	} `json:"features"`
	Metadata   map[string]string `json:"metadata"` // of the bundle, such as the rehearsal's outcome
	Parents    []string          `json:"parents"`  // bundles that came before, by digest (64 digits); for people
	Base       *RootBase         `json:"base,omitempty"`
	Components []RootComponent   `json:"components"` // by name
	Index      RootIndex         `json:"index"`
	Packs      []RootBlob        `json:"packs"`
	Files      []RootBlob        `json:"files"` // contents that are blobs of their own, by digest
	Custody    *RootBlob         `json:"custody,omitempty"`
}

// A RootBlob names a blob of the layout.
type RootBlob struct {
	Digest string `json:"digest"` // "sha256:" and 64 digits
	Size   int64  `json:"size"`   // in bytes
}

// A RootIndex names the index, which is compressed.
type RootIndex struct {
	RootBlob
	Raw int64 `json:"raw"` // its size before compression, in bytes
}

// A RootComponent sums a component up; the index lists its files.
type RootComponent struct {
	Name     string            `json:"name"`
	Files    int               `json:"files"`
	Bytes    int64             `json:"bytes"`   // of the files
	Carried  int64             `json:"carried"` // bytes of those whose content is in this bundle
	Metadata map[string]string `json:"metadata"`
}

// A RootBase says what a delta needs to be at the receiver.
type RootBase struct {
	Bundles  []string `json:"bundles"`  // that were imported there, by digest; for people
	Contents int      `json:"contents"` // how many contents are left out
	Bytes    int64    `json:"bytes"`    // of them
}

// Parse returns the blob that b names.
func (b RootBlob) Parse() (action.Digest, error) {
	h, ok := strings.CutPrefix(b.Digest, "sha256:")
	if !ok {
		return action.Digest{}, Refusef("digest %.80q is not of SHA-256", b.Digest)
	}
	hash, err := action.ParseHash(h)
	if err != nil {
		return action.Digest{}, Refusef("%w", err)
	}
	if b.Size < 0 || b.Size > MaxPack {
		return action.Digest{}, Refusef("blob sha256:%.12s… has a size of %d bytes; up to %d are allowed", h, b.Size, int64(MaxPack))
	}
	return action.Digest{Hash: hash, Size: b.Size}, nil
}

// BlobOf names a blob.
func BlobOf(d action.Digest) RootBlob {
	return RootBlob{Digest: "sha256:" + d.Hex(), Size: d.Size}
}

// Encode returns the canonical bytes of r, after it was checked like that of a
// stranger.
func (r *Root) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b, err := EncodeCanonical(r)
	if err == nil && len(b) > MaxRoot {
		err = fmt.Errorf("root manifest has %d bytes; %d are allowed", len(b), MaxRoot)
	}
	return b, err
}

// DecodeRoot reads a root manifest. Errors wrap ErrRefused.
func DecodeRoot(b []byte) (*Root, error) {
	if len(b) > MaxRoot {
		return nil, Refusef("root manifest has %d bytes; %d are allowed", len(b), MaxRoot)
	}
	if err := knowsFormat(b); err != nil {
		return nil, err
	}
	r := &Root{}
	if err := DecodeCanonical(b, r); err != nil {
		return nil, Refusef("root manifest: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// check refuses a root that no writer would make.
func (r *Root) check() error {
	switch {
	case r.Format != FormatVersion:
		return Refusef("bundle has format %d; this airbuild reads %d", r.Format, FormatVersion)
	case CheckPath(r.Name) != nil || strings.Contains(r.Name, "/") || len(r.Name) > 100:
		return Refusef("bundle's name %.120q: want up to 100 bytes that can be a file name", r.Name)
	case r.Sequence < 0:
		return Refusef("bundle's sequence is negative")
	case len(r.Components) == 0 || len(r.Components) > maxComponents:
		return Refusef("bundle has %d components; 1 to %d are allowed", len(r.Components), maxComponents)
	case len(r.Packs) > MaxPacks:
		return Refusef("bundle has %d packs; %d are allowed", len(r.Packs), MaxPacks)
	case r.Index.Raw < 0 || r.Index.Raw > MaxIndex:
		return Refusef("the index has %d bytes; %d are allowed", r.Index.Raw, MaxIndex)
	case r.Features.Critical == nil || r.Features.Optional == nil || r.Metadata == nil || r.Parents == nil || r.Packs == nil || r.Files == nil:
		return Refusef("root manifest has a list that is null")
	}
	if at, err := time.Parse(time.RFC3339, r.Created); err != nil || at.UTC().Format(time.RFC3339) != r.Created {
		return Refusef("bundle's time %.40q is not RFC 3339 in UTC", r.Created)
	}
	if unknown := unknownFeatures(r.Features.Critical); len(unknown) > 0 {
		return Refusef("bundle needs features that this airbuild does not know: %.200s. Use a newer airbuild", strings.Join(unknown, ", "))
	}
	if !slices.IsSorted(r.Features.Critical) || len(slices.Compact(slices.Clone(r.Features.Critical))) != len(r.Features.Critical) {
		return Refusef("root manifest has critical features that are out of order or named twice")
	}
	if err := r.checkBundles(); err != nil {
		return err
	}
	if err := r.checkBlobs(); err != nil {
		return err
	}
	return r.checkComponents()
}

func (r *Root) checkBundles() error {
	lists := [][]string{r.Parents}
	if b := r.Base; b != nil {
		if b.Bundles == nil || b.Contents < 0 || b.Contents > MaxFiles || b.Bytes < 0 {
			return Refusef("bundle's base is malformed")
		}
		lists = append(lists, b.Bundles)
	}
	for _, list := range lists {
		for _, digest := range list {
			if _, err := action.ParseHash(digest); err != nil {
				return Refusef("bundle it is based on: %w", err)
			}
		}
	}
	return nil
}

func (r *Root) checkBlobs() error {
	seen := map[[32]byte]bool{}
	for _, b := range r.Blobs() {
		d, err := b.Parse()
		if err != nil {
			return err
		}
		if seen[d.Hash] {
			return Refusef("root manifest names blob sha256:%s twice", d.Hex())
		}
		seen[d.Hash] = true
	}
	if r.Custody != nil && r.Custody.Size > maxCustody {
		return Refusef("custody log has %d bytes; %d are allowed", r.Custody.Size, maxCustody)
	}
	return nil
}

func (r *Root) checkComponents() error {
	last := ""
	for _, c := range r.Components {
		if err := CheckComponentName(c.Name); err != nil {
			return err
		}
		switch {
		case c.Name <= last:
			return Refusef("component %q is out of order or occurs twice", c.Name)
		case c.Files < 0 || c.Files > MaxFiles:
			return Refusef("component %q has %d files; %d are allowed", c.Name, c.Files, MaxFiles)
		case c.Bytes < 0 || c.Carried < 0 || c.Carried > c.Bytes:
			return Refusef("component %q has impossible sizes", c.Name)
		case c.Metadata == nil:
			return Refusef("component %q has no metadata", c.Name)
		}
		for k, v := range c.Metadata {
			if len(k) > maxPathElement || len(v) > maxMetadata {
				return Refusef("component %q has metadata %.40q that is too long", c.Name, k)
			}
		}
		last = c.Name
	}
	return nil
}

// unknownFeatures are those of a list of critical features that this package
// does not know.
func unknownFeatures(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(f string) bool { return f == FeaturePatches })
}

// Blobs are all that r names, in the order of the layers of the OCI manifest.
func (r *Root) Blobs() []RootBlob {
	var list []RootBlob
	if r.Custody != nil {
		list = append(list, *r.Custody)
	}
	list = append(list, r.Index.RootBlob)
	list = append(list, r.Files...)
	return append(list, r.Packs...)
}

// Carried is how many bytes the blobs of the bundle have.
func (r *Root) Carried() int64 {
	var n int64
	for _, b := range r.Blobs() {
		n += b.Size
	}
	return n
}

// Component returns the component of that name, or nil.
func (r *Root) Component(name string) *RootComponent {
	for i := range r.Components {
		if r.Components[i].Name == name {
			return &r.Components[i]
		}
	}
	return nil
}

// Identity is the identity of a bundle with these root bytes.
func Identity(root []byte) string {
	d := action.Of(root)
	return hex.EncodeToString(d.Hash[:])
}

// knowsFormat refuses a root of another format before its fields are looked at,
// which may be others.
func knowsFormat(b []byte) error {
	var v struct {
		Format   int `json:"format"`
		Features struct {
			Critical []string `json:"critical"`
		} `json:"features"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return Refusef("root manifest: %w", err)
	}
	if v.Format != FormatVersion {
		return Refusef("bundle has format %d; this airbuild reads %d. Use an airbuild that knows it", v.Format, FormatVersion)
	}
	if unknown := unknownFeatures(v.Features.Critical); len(unknown) > 0 {
		return Refusef("bundle needs features that this airbuild does not know: %.200q. Use a newer airbuild", unknown)
	}
	return nil
}
