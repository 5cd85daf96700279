package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
)

const (
	volumeMagic     = "airbuild-volume 1\n"
	volumeTableName = "volumes.json"
)

// A volumeTable is the same in all volumes of a set: which blobs are in which.
// It is not signed; what it is for is to name the volume that is missing.
type volumeTable struct {
	Bundle  string         `json:"bundle"`  // the root's digest, 64 digits
	Format  int            `json:"format"`  // 1
	Shared  []RootBlob     `json:"shared"`  // blobs that are in every volume
	Volumes [][]RootBlob   `json:"volumes"` // the others
	where   map[string]int // set by index: digest to number, from 1
}

func (t *volumeTable) index() {
	t.where = map[string]int{}
	for i, list := range t.Volumes {
		for _, b := range list {
			t.where[b.Digest] = i + 1
		}
	}
}

func decodeVolumeTable(b []byte) (*volumeTable, error) {
	t := &volumeTable{}
	if err := decodeCanonical(b, t); err != nil {
		return nil, refusef("%s: %w", volumeTableName, err)
	}
	if t.Format != 1 {
		return nil, refusef("%s has format %d; this airbuild reads 1", volumeTableName, t.Format)
	}
	if len(t.Volumes) == 0 || len(t.Volumes) > maxVolumes {
		return nil, refusef("%s lists %d volumes; 1 to %d are allowed", volumeTableName, len(t.Volumes), maxVolumes)
	}
	t.index()
	return t, nil
}

func volumeMark(n, of int) string { return fmt.Sprintf("volume-%03d-of-%03d", n, of) }

// volumeNumber returns the number in a name such as "x-001-of-003.tar", or zero.
func volumeNumber(name string) int {
	rest, of, ok := cutLast(strings.TrimSuffix(name, ".tar"), "-of-")
	_, number, found := cutLast(rest, "-")
	if !ok || !found || !isVolumeNumber(of) || !isVolumeNumber(number) {
		return 0
	}
	n, _ := strconv.Atoi(number)
	return n
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func isVolumeNumber(s string) bool {
	return (len(s) == 3 || len(s) == 4) && strings.Trim(s, "0123456789") == ""
}

// looksLikeVolume reports whether a file begins like a volume.
func looksLikeVolume(name string) bool {
	f, err := openRegular(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [tarBlock]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return false
	}
	member, _, err := parseTarHeader(b[:])
	return err == nil && strings.HasPrefix(member, "volume-")
}

// A volume is one open tar file.
type volume struct {
	file   *os.File
	name   string // its path
	number int    // from 1; zero if it could not be told
	size   int64
	small  map[string][]byte // members that are no blobs
	blobs  []member
}

// A member is a blob in a volume.
type member struct {
	digest action.Digest
	off    int64
}

// A place is where a volumeMedia has a blob.
type place struct {
	volume *volume
	off    int64
}

// A volumeMedia is a set of volumes.
type volumeMedia struct {
	volumes []*volume
	index   []byte
	table   *volumeTable
	places  map[action.Digest][]place
	damage  []*Damage // found while opening
}

func openVolumes(names []string) (*volumeMedia, error) {
	m := &volumeMedia{places: map[action.Digest][]place{}}
	for _, name := range names {
		v, err := openVolume(name, &m.damage)
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
func openVolume(name string, damage *[]*Damage) (*volume, error) {
	f, err := openRegular(name)
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
		v.number = volumeNumber(filepath.Base(name))
	}
	return v, nil
}

// scan reads all headers, and what is not a blob.
func (v *volume) scan() *Damage {
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
func (v *volume) scanMember(off int64, n int) (next int64, bad *Damage) {
	fail := func(format string, args ...any) (int64, *Damage) {
		return off, &Damage{File: v.name, Offset: off, Reason: fmt.Sprintf(format, args...)}
	}
	var header [tarBlock]byte
	if _, err := v.file.ReadAt(header[:], off); err != nil {
		return fail("the volume ends here, or cannot be read: %v", err)
	}
	name, size, err := parseTarHeader(header[:])
	switch {
	case err == errTarEnd:
		return v.scanEnd(off)
	case err != nil:
		return fail("%v", err)
	case n > maxPacks+maxFiles:
		return fail("the volume has more than %d members", n)
	case size > v.size-off-tarBlock:
		return fail("the volume is cut off: member %.100q has %d bytes, %d are left", name, size, v.size-off-tarBlock)
	}
	start := off + tarBlock
	padding := make([]byte, tarPadding(size))
	if _, err := v.file.ReadAt(padding, start+size); err != nil || !allZero(padding) {
		return fail("the padding behind member %.100q is damaged", name)
	}
	if err := v.take(name, start, size, n == 0); err != nil {
		return fail("%v", err)
	}
	return off + tarSize(size), nil
}

func (v *volume) scanEnd(off int64) (int64, *Damage) {
	trailer := make([]byte, tarTrailer+1)
	n, err := v.file.ReadAt(trailer, off)
	if n != tarTrailer || err != io.EOF || !allZero(trailer[:n]) {
		return off, &Damage{File: v.name, Offset: off, Reason: "the volume does not end as it should"}
	}
	if v.number == 0 {
		return off, &Damage{File: v.name, Offset: 0, Reason: "it is no volume of airbuild"}
	}
	return off, nil
}

// take notes one member.
func (v *volume) take(name string, start, size int64, first bool) error {
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
	limit := int64(tarBlock)
	switch {
	case first:
		if v.number = volumeNumber(name); v.number == 0 {
			return fmt.Errorf("its first member %.100q does not say which volume it is", name)
		}
	case name == oci.ImageLayoutFile:
	case name == oci.ImageIndexFile:
		limit = maxOCI
	case name == volumeTableName:
		limit = maxVolumeTable
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
	case first && string(b) != volumeMagic:
		return fmt.Errorf("it is of the version %.40q; this airbuild reads %q", b, volumeMagic)
	case name == oci.ImageLayoutFile && string(b) != layoutFile:
		return errors.New("oci-layout is not what it should be")
	}
	return nil
}

// agree finds what the volumes have in common, and those that belong to
// another set.
func (m *volumeMedia) agree() error {
	for _, v := range m.volumes {
		x, t := v.small[oci.ImageIndexFile], v.small[volumeTableName]
		if x == nil || t == nil {
			continue
		}
		if m.index == nil {
			table, err := decodeVolumeTable(t)
			if err != nil {
				m.damage = append(m.damage, &Damage{File: v.name, Offset: -1, Reason: err.Error()})
				continue
			}
			m.index, m.table = x, table
			m.first(v)
			continue
		}
		if !bytes.Equal(x, m.index) || !bytes.Equal(t, m.volumes[0].small[volumeTableName]) {
			m.damage = append(m.damage, &Damage{File: v.name, Offset: -1, Reason: "it belongs to another bundle or another set of volumes than " + m.volumes[0].name})
		}
	}
	if m.index == nil {
		errs := []error{refusef("open bundle: no volume is readable")}
		for _, d := range m.damage {
			errs = append(errs, d)
		}
		return errors.Join(errs...)
	}
	for n := range m.table.Volumes {
		if !m.hasVolume(n + 1) {
			m.damage = append(m.damage, m.missingVolume(n+1))
		}
	}
	return nil
}

// first puts v in front: the others are compared with it.
func (m *volumeMedia) first(v *volume) {
	for i := range m.volumes {
		if m.volumes[i] == v {
			m.volumes[0], m.volumes[i] = v, m.volumes[0]
		}
	}
}

func (m *volumeMedia) hasVolume(n int) bool {
	for _, v := range m.volumes {
		if v.number == n {
			return true
		}
	}
	return false
}

func (m *volumeMedia) missingVolume(n int) *Damage {
	return &Damage{File: m.volumeName(n), Offset: -1, Lost: true, Reason: fmt.Sprintf("volume %d of %d is missing", n, len(m.table.Volumes))}
}

// volumeName guesses the name of a volume from that of another.
func (m *volumeMedia) volumeName(n int) string {
	dir, base := filepath.Split(m.volumes[0].name)
	stem, _, ok := strings.Cut(base, fmt.Sprintf("-%03d-of-", m.volumes[0].number))
	if !ok {
		return volumeMark(n, len(m.table.Volumes)) + ".tar"
	}
	return dir + volumeFile(stem, n, len(m.table.Volumes))
}

func volumeFile(stem string, n, of int) string {
	return fmt.Sprintf("%s-%03d-of-%03d.tar", stem, n, of)
}

func (m *volumeMedia) Name() string {
	if len(m.volumes) == 1 {
		return m.volumes[0].name
	}
	return fmt.Sprintf("%s and %d more", m.volumes[0].name, len(m.volumes)-1)
}

func (m *volumeMedia) Index(ctx context.Context, limit int64) ([]byte, error) { return m.index, nil }

// Blob opens the first copy that is whole, where there are several.
func (m *volumeMedia) Blob(ctx context.Context, d action.Digest) (Blob, error) {
	list := m.places[d]
	if len(list) == 0 {
		return nil, m.lost(d)
	}
	for _, p := range list[:len(list)-1] {
		b := p.blob(d)
		if bad, err := hashBlob(ctx, b, d, nil); bad == nil && err == nil {
			return b, nil
		}
	}
	return list[len(list)-1].blob(d), nil
}

func (p place) blob(d action.Digest) *fileBlob {
	return &fileBlob{p.volume.file, p.volume.name, p.off, d.Size, func() error { return nil }}
}

// copies are all copies of a blob.
func (m *volumeMedia) copies(d action.Digest) []Blob {
	var list []Blob
	for _, p := range m.places[d] {
		list = append(list, p.blob(d))
	}
	return list
}

// lost says which volume should have a blob.
func (m *volumeMedia) lost(d action.Digest) *Damage {
	n := m.table.where["sha256:"+d.Hex()]
	switch {
	case n == 0:
		return &Damage{File: m.Name(), Offset: -1, Blob: d, Reason: "no volume has this blob", Lost: true}
	case !m.hasVolume(n):
		bad := m.missingVolume(n)
		bad.Blob = d
		return bad
	}
	return &Damage{File: m.volumeName(n), Offset: -1, Blob: d, Reason: fmt.Sprintf("volume %d of %d is damaged before this blob", n, len(m.table.Volumes)), Lost: true}
}

func (m *volumeMedia) Close() error {
	var errs []error
	for _, v := range m.volumes {
		errs = append(errs, v.file.Close())
	}
	return errors.Join(errs...)
}
