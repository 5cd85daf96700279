package bundle

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
)

// layoutFile is the content of oci-layout.
const layoutFile = `{"imageLayoutVersion":"1.0.0"}`

// blobPath is where a layout has a blob.
func blobPath(d action.Digest) string {
	return oci.ImageBlobsDir + "/sha256/" + d.Hex()
}

// A wrapper is the OCI image manifest around a root, as far as it is used. It
// is transport and not trusted: what it names is compared with digests that
// are.
type wrapper struct {
	manifest action.Digest
	root     action.Digest
	seals    []action.Digest // envelopes
	listed   map[string]bool // digests of all layers
}

// encodeWrapper returns the OCI manifest of a bundle and the index.json of a
// layout with nothing else.
func encodeWrapper(r *Root, root action.Digest, seals []action.Digest) (manifest, index []byte, err error) {
	m := oci.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    oci.MediaTypeImageManifest,
		ArtifactType: RootType,
		Config:       descriptor(RootType, rootBlob(root)),
		Layers:       []oci.Descriptor{},
		Annotations:  map[string]string{oci.AnnotationTitle: r.Name, oci.AnnotationCreated: r.Created},
	}
	for _, d := range seals {
		m.Layers = append(m.Layers, descriptor(EnvelopeType, rootBlob(d)))
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
	if manifest, err = encodeCanonical(m); err != nil {
		return nil, nil, err
	}
	if len(manifest) > maxOCI {
		return nil, nil, refusef("the OCI manifest has %d bytes; %d are allowed. Make larger packs", len(manifest), maxOCI)
	}
	d := descriptor(oci.MediaTypeImageManifest, rootBlob(action.Of(manifest)))
	d.ArtifactType = RootType
	d.Annotations = map[string]string{oci.AnnotationRefName: refName(r.Name)}
	index, err = encodeCanonical(oci.Index{
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

// decodeIndexJSON returns the image manifests that a layout's index.json names.
func decodeIndexJSON(b []byte) ([]action.Digest, error) {
	var x oci.Index
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, refusef("index.json: %w", err)
	}
	var list []action.Digest
	for _, m := range x.Manifests {
		if m.MediaType != oci.MediaTypeImageManifest {
			continue
		}
		d, err := RootBlob{Digest: string(m.Digest), Size: m.Size}.blob()
		switch {
		case err != nil:
			return nil, refusef("index.json: %w", err)
		case d.Size > maxOCI:
			return nil, refusef("index.json names a manifest of %d bytes; %d are allowed", d.Size, maxOCI)
		}
		list = append(list, d)
	}
	if len(list) > 64 {
		return nil, refusef("index.json names %d manifests; 64 are allowed", len(list))
	}
	return list, nil
}

// decodeWrapper reads an OCI manifest. The result is nil if it is not that of
// a bundle.
func decodeWrapper(b []byte) (*wrapper, error) {
	var m oci.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, refusef("OCI manifest: %w", err)
	}
	if m.Config.MediaType != RootType {
		return nil, nil
	}
	w := &wrapper{manifest: action.Of(b), listed: map[string]bool{}}
	var err error
	if w.root, err = fromDescriptor(m.Config, maxRoot); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		w.listed[string(l.Digest)] = true
		if l.MediaType != EnvelopeType {
			continue
		}
		d, err := fromDescriptor(l, 2*maxRoot)
		if err != nil {
			return nil, err
		}
		w.seals = append(w.seals, d)
	}
	if len(w.seals) > maxEnvelopes {
		return nil, refusef("OCI manifest names %d signatures; %d are allowed", len(w.seals), maxEnvelopes)
	}
	return w, nil
}

func fromDescriptor(x oci.Descriptor, limit int64) (action.Digest, error) {
	d, err := RootBlob{Digest: string(x.Digest), Size: x.Size}.blob()
	switch {
	case err != nil:
		return d, refusef("OCI manifest: %w", err)
	case d.Size > limit:
		return d, refusef("OCI manifest names a blob of %d bytes where %d are allowed", d.Size, limit)
	}
	return d, nil
}
