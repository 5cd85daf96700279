package create

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// RecordName is the name of the record of an unfinished bundle.
const RecordName = recordName

// RecordLine is what a record has of a pack of a bundle.
func RecordLine(b *bundle.Bundle, pack int) ([]byte, error) {
	d, err := b.Contents().Pack(pack)
	if err != nil {
		return nil, err
	}
	x := b.Contents().Index
	recipe := x.Recipe(pack)
	m := finishedPack{Recipe: hex.EncodeToString(recipe[:]), Digest: d.String()}
	first, end := x.BlocksOf(pack)
	for _, k := range x.Blocks[first:end] {
		m.Blocks = append(m.Blocks, finishedBlock{k.Stored, k.Method == format.BlockZstd})
	}
	return json.Marshal(m)
}

// MakePatch writes the patch that makes text of a base.
func MakePatch(w io.Writer, base, text []byte) error {
	return newBaseMap(gearTable(), base).write(w, bytes.NewReader(text), int64(len(text)))
}

// Nearest is nearest.
var Nearest = nearest

// MaxSketched is maxSketched.
const MaxSketched = maxSketched
