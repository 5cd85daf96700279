package format

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
)

// LayoutFile is the content of oci-layout.
const LayoutFile = `{"imageLayoutVersion":"1.0.0"}`

// BlobPath is where a layout has a blob.
func BlobPath(d action.Digest) string {
	return oci.ImageBlobsDir + "/sha256/" + d.Hex()
}

// A Manifest is the OCI image manifest around a root, as far as it is used. It
// is transport and not trusted: what it names is compared with digests that
// are.
type Manifest struct {
	Digest    action.Digest
	Root      action.Digest
	Envelopes []action.Digest // envelopes
	Listed    map[string]bool // digests of all layers
}

// EncodeManifest returns the OCI manifest of a bundle and the index.json of a
// layout with nothing else.
func EncodeManifest(r *Root, root action.Digest, envelopes []action.Digest) (manifest, index []byte, err error) {
	m := oci.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    oci.MediaTypeImageManifest,
		ArtifactType: RootType,
		Config:       descriptor(RootType, BlobOf(root)),
		Layers:       []oci.Descriptor{},
		Annotations:  map[string]string{oci.AnnotationTitle: r.Name, oci.AnnotationCreated: r.Created},
	}
	for _, d := range envelopes {
		m.Layers = append(m.Layers, descriptor(EnvelopeType, BlobOf(d)))
	}
	if r.Custody != nil {
		m.Layers = append(m.Layers, descriptor(CustodyType, *r.Custody))
	}
	m.Layers = append(m.Layers, descriptor(IndexType, r.Index.RootBlob))
	for _, f := range r.Files {
		m.Layers = append(m.Layers, descriptor(FileType, f))
	}
	for _, p := range r.Packs {
		m.Layers = append(m.Layers, descriptor(PackType, p))
	}
	if manifest, err = EncodeCanonical(m); err != nil {
		return nil, nil, err
	}
	if len(manifest) > MaxOCI {
		return nil, nil, Refusef("the OCI manifest has %d bytes; %d are allowed. Make larger packs", len(manifest), MaxOCI)
	}
	d := descriptor(oci.MediaTypeImageManifest, BlobOf(action.Of(manifest)))
	d.ArtifactType = RootType
	d.Annotations = map[string]string{oci.AnnotationRefName: refName(r.Name)}
	index, err = EncodeCanonical(oci.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: oci.MediaTypeImageIndex,
		Manifests: []oci.Descriptor{d},
	})
	return manifest, index, err
}

func descriptor(mediaType string, b RootBlob) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.Digest(b.Digest), Size: b.Size}
}

// refName is the tag of a bundle in its layout: its name, if that can be one.
func refName(name string) string {
	for i := range len(name) {
		c := name[i]
		word := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return "bundle"
		}
	}
	return name
}

// DecodeIndexJSON returns the image manifests that a layout's index.json names.
func DecodeIndexJSON(b []byte) ([]action.Digest, error) {
	var x oci.Index
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, Refusef("index.json: %w", err)
	}
	var list []action.Digest
	for _, m := range x.Manifests {
		if m.MediaType != oci.MediaTypeImageManifest {
			continue
		}
		d, err := RootBlob{Digest: string(m.Digest), Size: m.Size}.Parse()
		switch {
		case err != nil:
			return nil, Refusef("index.json: %w", err)
		case d.Size > MaxOCI:
			return nil, Refusef("index.json names a manifest of %d bytes; %d are allowed", d.Size, MaxOCI)
		}
		list = append(list, d)
	}
	if len(list) > 64 {
		return nil, Refusef("index.json names %d manifests; 64 are allowed", len(list))
	}
	return list, nil
}

// DecodeManifest reads an OCI manifest. The result is nil if it is not that of
// a bundle.
func DecodeManifest(b []byte) (*Manifest, error) {
	var m oci.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, Refusef("OCI manifest: %w", err)
	}
	if m.Config.MediaType != RootType {
		return nil, nil
	}
	w := &Manifest{Digest: action.Of(b), Listed: map[string]bool{}}
	var err error
	if w.Root, err = fromDescriptor(m.Config, MaxRoot); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		w.Listed[string(l.Digest)] = true
		if l.MediaType != EnvelopeType {
			continue
		}
		d, err := fromDescriptor(l, 2*MaxRoot)
		if err != nil {
			return nil, err
		}
		w.Envelopes = append(w.Envelopes, d)
	}
	if len(w.Envelopes) > maxEnvelopes {
		return nil, Refusef("OCI manifest names %d signatures; %d are allowed", len(w.Envelopes), maxEnvelopes)
	}
	return w, nil
}

func fromDescriptor(x oci.Descriptor, limit int64) (action.Digest, error) {
	d, err := RootBlob{Digest: string(x.Digest), Size: x.Size}.Parse()
	switch {
	case err != nil:
		return d, Refusef("OCI manifest: %w", err)
	case d.Size > limit:
		return d, Refusef("OCI manifest names a blob of %d bytes where %d are allowed", d.Size, limit)
	}
	return d, nil
}
