package format

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

const (
	VolumeMagic     = "airbuild-volume 1\n"
	VolumeTableName = "volumes.json"
)

// A VolumeTable is the same in all volumes of a set: which blobs are in which.
// It is not signed; what it is for is to name the volume that is missing.
type VolumeTable struct {
	Bundle  string         `json:"bundle"`  // the root's digest, 64 digits
	Format  int            `json:"format"`  // 1
	Shared  []RootBlob     `json:"shared"`  // blobs that are in every volume
	Volumes [][]RootBlob   `json:"volumes"` // the others
	where   map[string]int // set by index: digest to number, from 1
}

func (t *VolumeTable) index() {
	t.where = map[string]int{}
	for i, list := range t.Volumes {
		for _, b := range list {
			t.where[b.Digest] = i + 1
		}
	}
}

// DecodeVolumeTable reads a table. Errors wrap ErrRefused.
func DecodeVolumeTable(b []byte) (*VolumeTable, error) {
	t := &VolumeTable{}
	if err := DecodeCanonical(b, t); err != nil {
		return nil, Refusef("%s: %w", VolumeTableName, err)
	}
	if t.Format != 1 {
		return nil, Refusef("%s has format %d; this airbuild reads 1", VolumeTableName, t.Format)
	}
	if len(t.Volumes) == 0 || len(t.Volumes) > MaxVolumes {
		return nil, Refusef("%s lists %d volumes; 1 to %d are allowed", VolumeTableName, len(t.Volumes), MaxVolumes)
	}
	t.index()
	return t, nil
}

// VolumeMark is the name of the first member of volume n, which says what it is.
func VolumeMark(n, of int) string { return fmt.Sprintf("volume-%03d-of-%03d", n, of) }

// VolumeNumber returns the number in a name such as "x-001-of-003.tar", or zero.
func VolumeNumber(name string) int {
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

// VolumeFile is the name of the file of volume n.
func VolumeFile(stem string, n, of int) string {
	return fmt.Sprintf("%s-%03d-of-%03d.tar", stem, n, of)
}

// Volume is the number of the volume that has a blob, from 1; zero if none has.
func (t *VolumeTable) Volume(d action.Digest) int { return t.where["sha256:"+d.Hex()] }
