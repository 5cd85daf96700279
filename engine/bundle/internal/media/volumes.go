package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/lists"
)

// looksLikeVolume reports whether a file begins like a volume.
func looksLikeVolume(name string) bool {
	f, err := files.OpenRegular(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [format.TarBlock]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return false
	}
	member, _, err := format.ParseTarHeader(b[:])
	return err == nil && strings.HasPrefix(member, "volume-")
}

// A volume is one open tar file.
type volume struct {
	file   *os.File
	name   string // its path
	number int    // from 1; zero if it is not known
	size   int64
	small  map[string][]byte // members that are not blobs
	blobs  []member
}

// A member is a blob in a volume.
type member struct {
	digest action.Digest
	off    int64
}

// A place is where Volumes has a blob.
type place struct {
	volume *volume
	off    int64
}

// A Volumes is a set of volumes.
type Volumes struct {
	volumes []*volume
	index   []byte
	table   *format.VolumeTable
	places  map[action.Digest][]place
	Damage  []*format.Damage // found while opening
}

func openVolumes(names []string) (*Volumes, error) {
	m := &Volumes{places: map[action.Digest][]place{}}
	for _, name := range names {
		v, err := openVolume(name, &m.Damage)
		if err != nil {
			m.Close()
			return nil, err
		}
		m.volumes = append(m.volumes, v)
		for _, b := range v.blobs {
			m.places[b.digest] = append(m.places[b.digest], place{v, b.off})
		}
	}
	if err := m.agree(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// openVolume lists the members of a volume. Damage is recorded; what comes
// behind it is lost.
func openVolume(name string, damage *[]*format.Damage) (*volume, error) {
	f, err := files.OpenRegular(name)
	if err != nil {
		return nil, fmt.Errorf("open volume: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open volume: %w", err)
	}
	v := &volume{file: f, name: name, size: info.Size(), small: map[string][]byte{}}
	if bad := v.scan(); bad != nil {
		*damage = append(*damage, bad)
	}
	if v.number == 0 {
		v.number = format.VolumeNumber(filepath.Base(name))
	}
	return v, nil
}

// scan reads all headers, and what is not a blob.
func (v *volume) scan() *format.Damage {
	var off int64
	for n := 0; ; n++ {
		next, bad := v.scanMember(off, n)
		if bad != nil || next == off {
			return bad
		}
		off = next
	}
}

// scanMember returns where the next member begins, or off at the end.
func (v *volume) scanMember(off int64, n int) (next int64, bad *format.Damage) {
	fail := func(text string, args ...any) (int64, *format.Damage) {
		return off, &format.Damage{File: v.name, Offset: off, Reason: fmt.Sprintf(text, args...)}
	}
	var header [format.TarBlock]byte
	if _, err := v.file.ReadAt(header[:], off); err != nil {
		return fail("the volume ends here, or cannot be read: %v", err)
	}
	name, size, err := format.ParseTarHeader(header[:])
	switch {
	case err == format.ErrTarEnd:
		return v.scanEnd(off)
	case err != nil:
		return fail("%v", err)
	case n > format.MaxPacks+format.MaxFiles:
		return fail("the volume has more than %d members", n)
	case size > v.size-off-format.TarBlock:
		return fail("the volume is cut off: member %.100q has %d bytes, %d are left", name, size, v.size-off-format.TarBlock)
	}
	start := off + format.TarBlock
	padding := make([]byte, format.TarPadding(size))
	if _, err := v.file.ReadAt(padding, start+size); err != nil || !format.AllZero(padding) {
		return fail("the padding behind member %.100q is damaged", name)
	}
	if err := v.addMember(name, start, size, n == 0); err != nil {
		return fail("%v", err)
	}
	return off + format.TarSize(size), nil
}

func (v *volume) scanEnd(off int64) (int64, *format.Damage) {
	trailer := make([]byte, format.TarTrailer+1)
	n, err := v.file.ReadAt(trailer, off)
	if n != format.TarTrailer || err != io.EOF || !format.AllZero(trailer[:n]) {
		return off, &format.Damage{File: v.name, Offset: off, Reason: "the volume does not end as it should"}
	}
	if v.number == 0 {
		return off, &format.Damage{File: v.name, Offset: 0, Reason: "it is not a volume of airbuild"}
	}
	return off, nil
}

// addMember notes one member.
func (v *volume) addMember(name string, start, size int64, first bool) error {
	if first != strings.HasPrefix(name, "volume-") {
		return errors.New("it does not begin like a volume of airbuild")
	}
	if h, ok := strings.CutPrefix(name, oci.ImageBlobsDir+"/sha256/"); ok {
		hash, err := action.ParseHash(h)
		if err != nil {
			return err
		}
		v.blobs = append(v.blobs, member{action.Digest{Hash: hash, Size: size}, start})
		return nil
	}
	limit := int64(format.TarBlock)
	switch {
	case first:
		if v.number = format.VolumeNumber(name); v.number == 0 {
			return fmt.Errorf("its first member %.100q does not say which volume it is", name)
		}
	case name == oci.ImageLayoutFile:
	case name == oci.ImageIndexFile:
		limit = format.MaxOCI
	case name == format.VolumeTableName:
		limit = format.MaxVolumeTable
	default:
		return fmt.Errorf("member %.100q does not belong in a volume", name)
	}
	if _, ok := v.small[name]; ok || size > limit {
		return fmt.Errorf("member %.100q is there twice, or too large", name)
	}
	b := make([]byte, size)
	if _, err := v.file.ReadAt(b, start); err != nil {
		return err
	}
	v.small[name] = b
	switch {
	case first && string(b) != format.VolumeMagic:
		return fmt.Errorf("it is of the version %.40q; this airbuild reads %q", b, format.VolumeMagic)
	case name == oci.ImageLayoutFile && string(b) != format.LayoutFile:
		return errors.New("oci-layout is not what it should be")
	}
	return nil
}

// agree finds what the volumes have in common, and those that belong to
// another set.
func (m *Volumes) agree() error {
	for _, v := range m.volumes {
		x, t := v.small[oci.ImageIndexFile], v.small[format.VolumeTableName]
		if x == nil || t == nil {
			continue
		}
		if m.index == nil {
			table, err := format.DecodeVolumeTable(t)
			if err != nil {
				m.Damage = append(m.Damage, &format.Damage{File: v.name, Offset: -1, Reason: err.Error()})
				continue
			}
			m.index, m.table = x, table
			m.first(v)
			continue
		}
		if !bytes.Equal(x, m.index) || !bytes.Equal(t, m.volumes[0].small[format.VolumeTableName]) {
			m.Damage = append(m.Damage, &format.Damage{File: v.name, Offset: -1, Reason: "it belongs to another bundle or another set of volumes than " + m.volumes[0].name})
		}
	}
	if m.index == nil {
		errs := []error{format.Refusef("open bundle: no volume is readable")}
		for _, d := range m.Damage {
			errs = append(errs, d)
		}
		return errors.Join(errs...)
	}
	for n := range m.table.Volumes {
		if !m.hasVolume(n + 1) {
			m.Damage = append(m.Damage, m.missingVolume(n+1))
		}
	}
	return nil
}

// first puts v in front: the others are compared with it.
func (m *Volumes) first(v *volume) {
	for i := range m.volumes {
		if m.volumes[i] == v {
			m.volumes[0], m.volumes[i] = v, m.volumes[0]
		}
	}
}

func (m *Volumes) hasVolume(n int) bool {
	return slices.ContainsFunc(m.volumes, func(v *volume) bool { return v.number == n })
}

func (m *Volumes) missingVolume(n int) *format.Damage {
	return &format.Damage{File: m.volumeName(n), Offset: -1, Lost: true, Reason: fmt.Sprintf("volume %d of %d is missing", n, len(m.table.Volumes))}
}

// volumeName guesses the name of a volume from that of another.
func (m *Volumes) volumeName(n int) string {
	dir, base := filepath.Split(m.volumes[0].name)
	stem, _, ok := strings.Cut(base, fmt.Sprintf("-%03d-of-", m.volumes[0].number))
	if !ok {
		return format.VolumeMark(n, len(m.table.Volumes)) + ".tar"
	}
	return dir + format.VolumeFile(stem, n, len(m.table.Volumes))
}

func (m *Volumes) Name() string {
	if len(m.volumes) == 1 {
		return m.volumes[0].name
	}
	return fmt.Sprintf("%s and %d more", m.volumes[0].name, len(m.volumes)-1)
}

func (m *Volumes) Index(ctx context.Context, limit int64) ([]byte, error) { return m.index, nil }

// Blob opens the first copy that is whole, where there are several.
func (m *Volumes) Blob(ctx context.Context, d action.Digest) (Blob, error) {
	list := m.places[d]
	if len(list) == 0 {
		return nil, m.lost(d)
	}
	for _, p := range list[:len(list)-1] {
		b := p.blob(d)
		if bad, err := Verify(ctx, b, d, nil); bad == nil && err == nil {
			return b, nil
		}
	}
	return list[len(list)-1].blob(d), nil
}

func (p place) blob(d action.Digest) Blob {
	return NewBlob(p.volume.file, p.volume.name, p.off, d.Size, func() error { return nil })
}

// Copies are all copies of a blob.
func (m *Volumes) Copies(d action.Digest) []Blob {
	return lists.Map(m.places[d], func(p place) Blob { return p.blob(d) })
}

// lost says which volume should have a blob.
func (m *Volumes) lost(d action.Digest) *format.Damage {
	n := m.table.Volume(d)
	switch {
	case n == 0:
		return &format.Damage{File: m.Name(), Offset: -1, Blob: d, Reason: "no volume has this blob", Lost: true}
	case !m.hasVolume(n):
		bad := m.missingVolume(n)
		bad.Blob = d
		return bad
	}
	return &format.Damage{File: m.volumeName(n), Offset: -1, Blob: d, Reason: fmt.Sprintf("volume %d of %d is damaged before this blob", n, len(m.table.Volumes)), Lost: true}
}

func (m *Volumes) Close() error {
	return errors.Join(lists.Map(m.volumes, func(v *volume) error { return v.file.Close() })...)
}
