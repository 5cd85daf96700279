package bundling

import "github.com/airbuild/airbuild/engine/bundle"

// An Inspection is a bundle in words and as JSON.
type Inspection struct {
	Digest     string               `json:"digest"`
	Root       *bundle.Root         `json:"root"`
	Signers    []string             `json:"signers"`
	Components []InspectedComponent `json:"components"`
}

type InspectedComponent struct {
	Name     string            `json:"name"`
	Files    int               `json:"files"`
	Bytes    int64             `json:"bytes"`
	Carried  int64             `json:"carried"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Paths    []inspectedFile   `json:"paths,omitempty"`
}

type inspectedFile struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

func Inspect(b *bundle.Bundle, files bool) Inspection {
	in := Inspection{Digest: b.Digest(), Root: b.Root(), Signers: SignerIDs(b), Components: []InspectedComponent{}}
	for _, c := range b.Root().Components {
		ic := InspectedComponent{Name: c.Name, Files: c.Files, Bytes: c.Bytes, Carried: c.Carried, Metadata: c.Metadata}
		if files {
			for f := range b.Files(c.Name) {
				ic.Paths = append(ic.Paths, inspectedFile{f.Path, f.Digest.Hex(), f.Digest.Size})
			}
		}
		in.Components = append(in.Components, ic)
	}
	return in
}

// A VerifyReport is what bundle verify writes as JSON.
type VerifyReport struct {
	OK      bool     `json:"ok"`
	Digest  string   `json:"digest"`
	Name    string   `json:"name"`
	Signers []string `json:"signers"` // key ids
	Blobs   int      `json:"blobs"`
	Bytes   int64    `json:"bytes"`
	Damage  []damage `json:"damage"`
	Missing []string `json:"missing"` // digests
	// Unmade is how many contents, of how many bytes, are only to be made of
	// what the receiver has, and were not looked at.
	Unmade      int   `json:"unmade,omitempty"`
	UnmadeBytes int64 `json:"unmade_bytes,omitempty"`
}

type damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // -1: the whole file
	Digest string `json:"digest,omitempty"`
	Reason string `json:"reason"`
	Lost   bool   `json:"lost"`
}

func ReportOf(b *bundle.Bundle, r *bundle.Report) VerifyReport {
	v := VerifyReport{
		OK: r.OK(), Digest: b.Digest(), Name: b.Root().Name, Signers: SignerIDs(b),
		Blobs: r.Blobs, Bytes: r.Bytes, Damage: []damage{}, Missing: []string{},
		Unmade: r.Patched, UnmadeBytes: r.PatchedBytes,
	}
	for _, d := range r.Damage {
		row := damage{File: d.File, Offset: d.Offset, Reason: d.Reason, Lost: d.Lost}
		if !d.Blob.IsZero() {
			row.Digest = d.Blob.Hex()
		}
		v.Damage = append(v.Damage, row)
	}
	for _, d := range r.Missing {
		v.Missing = append(v.Missing, d.Hex())
	}
	return v
}

func SignerIDs(b *bundle.Bundle) []string {
	ids := []string{}
	for _, key := range b.Signers() {
		ids = append(ids, key.ID().String())
	}
	return ids
}

// A diffReport is what bundle diff writes as JSON.
type diffReport struct {
	Components []diffComponent `json:"components"` // those that differ
}

type diffComponent struct {
	Name     string     `json:"name"`
	Added    bool       `json:"added"`
	Removed  bool       `json:"removed"`
	Metadata []string   `json:"metadata"` // names of values that differ
	Files    []diffFile `json:"files"`
}

type diffFile struct {
	Path string         `json:"path"`
	Old  *inspectedFile `json:"old"` // null: added
	New  *inspectedFile `json:"new"` // null: removed
}

func DiffReport(d *bundle.Difference) diffReport {
	out := diffReport{Components: []diffComponent{}}
	for _, c := range d.Components {
		diff := diffComponent{Name: c.Name, Added: c.Added, Removed: c.Removed, Metadata: append([]string{}, c.Metadata...), Files: []diffFile{}}
		for _, f := range c.Files {
			t := diffFile{Old: inspected(f.Old), New: inspected(f.New)}
			if f.New != nil {
				t.Path = f.New.Path
			} else {
				t.Path = f.Old.Path
			}
			diff.Files = append(diff.Files, t)
		}
		out.Components = append(out.Components, diff)
	}
	return out
}

func inspected(f *bundle.File) *inspectedFile {
	if f == nil {
		return nil
	}
	return &inspectedFile{f.Path, f.Digest.Hex(), f.Digest.Size}
}
