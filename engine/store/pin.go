package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/canonjson"
)

// A Pin keeps results from being pruned until it is taken away. It is a file
// in pins, named like the pin:
//
//	pinMagic                              15 bytes
//	SHA-256 of the rest, in hexadecimal   64 bytes, and a line feed
//	a JSON object with the fields below, and a line feed
type Pin struct {
	Name    string    `json:"name"`
	Project string    `json:"project"` // absolute path of the project that it was made in
	Targets []string  `json:"targets"` // what was asked for there
	Time    time.Time `json:"time"`    // when it was made; UTC, whole seconds
	Results []Pinned  `json:"results"`
}

// A Pinned is one result of a Pin.
type Pinned struct {
	Step string `json:"step"`
	Key  string `json:"key"` // of the action: "<hash>/<size>"
}

const pinMagic = "airbuild-pin-1\n"

const pinHeader = len(pinMagic) + 2*sha256.Size + 1

// maxPin bounds what is read of a pin, in bytes.
const maxPin = 64 << 20

// A DamagedPin is a pin that cannot be read, so that it is not known what it
// keeps: nothing is pruned while there is one.
type DamagedPin struct {
	Name   string
	Reason string
}

func (e *DamagedPin) Error() string { return fmt.Sprintf("pin %s is damaged: %s", e.Name, e.Reason) }

// ErrNoPin says that there is no pin of that name.
var ErrNoPin = errors.New("there is no such pin")

// CheckPinName refuses names that could be more than a plain file name on any
// system: 1 to 100 letters, digits, dots, dashes and underscores of ASCII, and
// no dot at either end.
func CheckPinName(name string) error {
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	if name == "" || len(name) > 100 || !plain || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
		return fmt.Errorf("pin name %q: want at most 100 letters, digits, dashes, underscores, and dots inside", name)
	}
	return nil
}

// pins are the files in pins.
type pins struct {
	files   layout
	entries *entries
}

// PutPin records p, in the place of an older pin of that name. Each of its
// results must be there whole; the error says which is not. The caller has the
// store open, so that nothing is pruned meanwhile. The file is on the disk
// when PutPin returns.
func (s *pins) PutPin(ctx context.Context, p *Pin) error {
	if err := CheckPinName(p.Name); err != nil {
		return err
	}
	for _, x := range p.Results {
		why, err := s.lostPinned(ctx, x)
		if err != nil {
			return fmt.Errorf("pin %s: %w", p.Name, err)
		}
		if why != "" {
			return fmt.Errorf("pin %s: %s: %s", p.Name, x.Step, why)
		}
	}
	b, err := encodePin(p)
	if err != nil {
		return fmt.Errorf("pin %s: %w", p.Name, err)
	}
	if err := s.write(p.Name, b); err != nil {
		return fmt.Errorf("pin %s: %w", p.Name, err)
	}
	return nil
}

// write writes the file of a pin.
func (s *pins) write(name string, b []byte) error {
	f, err := s.files.create(atomicfile.Options{Perm: 0o644, Sync: true})
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Commit(s.files.pinFile(name))
}

// Unpin takes a pin away, damaged or not. The error is ErrNoPin if there is
// none.
func (s *pins) Unpin(name string) error {
	if err := CheckPinName(name); err != nil {
		return err
	}
	err := os.Remove(s.files.pinFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoPin
	}
	if err != nil {
		return fmt.Errorf("unpin %s: %w", name, err)
	}
	return nil
}

// Pins returns the pins by name, and those that cannot be read.
func (s *pins) Pins() (pins []*Pin, damaged []*DamagedPin, err error) {
	files, err := os.ReadDir(filepath.Join(s.files.Dir(), "pins"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list pins: %w", err)
	}
	for _, f := range files {
		p, err := s.Pin(f.Name())
		var bad *DamagedPin
		switch {
		case err == nil:
			pins = append(pins, p)
		case errors.As(err, &bad):
			damaged = append(damaged, bad)
		case !errors.Is(err, ErrNoPin): // else taken away meanwhile
			return nil, nil, err
		}
	}
	return pins, damaged, nil
}

// Pin reads one pin. The error is ErrNoPin or a *DamagedPin, or says why the
// file could not be read.
func (s *pins) Pin(name string) (*Pin, error) {
	f, _, err := openRegular(s.files.pinFile(name))
	var odd *oddFileError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("pin %s: %w", name, ErrNoPin)
	case errors.As(err, &odd):
		return nil, &DamagedPin{name, odd.Error()}
	case err != nil:
		return nil, fmt.Errorf("read pin: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPin+1))
	if err != nil {
		return nil, fmt.Errorf("read pin: %w", err)
	}
	p, err := decodePin(b)
	if err == nil && p.Name != name {
		err = fmt.Errorf("it is that of %q", p.Name)
	}
	if err != nil {
		return nil, &DamagedPin{name, err.Error()}
	}
	return p, nil
}

func encodePin(p *Pin) ([]byte, error) {
	body, err := canonjson.Compact(p)
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	if pinHeader+len(body) > maxPin {
		return nil, fmt.Errorf("%d results are too many for one pin", len(p.Results))
	}
	sum := sha256.Sum256(body)
	return append([]byte(pinMagic+hex.EncodeToString(sum[:])+"\n"), body...), nil
}

func decodePin(b []byte) (*Pin, error) {
	switch {
	case len(b) > maxPin:
		return nil, fmt.Errorf("it has more than %d bytes", maxPin)
	case len(b) < pinHeader:
		return nil, fmt.Errorf("it has only %d bytes", len(b))
	case !bytes.HasPrefix(b, []byte(pinMagic)):
		return nil, fmt.Errorf("it begins with %q instead of %q", firstLine(string(b)), firstLine(pinMagic))
	}
	sum := sha256.Sum256(b[pinHeader:])
	if string(b[len(pinMagic):pinHeader]) != hex.EncodeToString(sum[:])+"\n" {
		return nil, errors.New("its checksum does not fit")
	}
	p := &Pin{}
	dec := json.NewDecoder(bytes.NewReader(b[pinHeader:]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return nil, err
	}
	if err := CheckPinName(p.Name); err != nil {
		return nil, err
	}
	for _, x := range p.Results {
		if _, err := action.ParseDigest(x.Key); err != nil {
			return nil, fmt.Errorf("result of %s: %w", x.Step, err)
		}
	}
	return p, nil
}

// lostPinned says why a pinned result would be no hit, or "".
func (s *pins) lostPinned(ctx context.Context, x Pinned) (why string, err error) {
	key, err := action.ParseDigest(x.Key)
	if err != nil {
		return "", err
	}
	r, _, err := s.entries.readEntry(key)
	var bad *action.Damaged
	switch {
	case errors.As(err, &bad):
		return bad.Error(), nil
	case err != nil:
		return "", err
	case r == nil:
		return "its result is not in the store", nil
	}
	missing, err := s.entries.blobs.firstMissing(ctx, r)
	if err != nil || missing.IsZero() {
		return "", err
	}
	return fmt.Sprintf("blob %.12s of its result is not in the store", missing.Hex()), nil
}

// pinned returns the keys of all pins. A damaged pin is an error: what it
// keeps must not be taken for unpinned.
func (s *pins) pinned() ([]action.Digest, error) {
	pins, damaged, err := s.Pins()
	if err != nil {
		return nil, err
	}
	if len(damaged) > 0 {
		return nil, damaged[0]
	}
	var keys []action.Digest
	for _, p := range pins {
		for _, x := range p.Results {
			key, err := action.ParseDigest(x.Key)
			if err != nil {
				return nil, &DamagedPin{p.Name, err.Error()}
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// A LostPin is a pinned result that the store no longer has whole.
type LostPin struct{ Pin, Step, Why string }

// checkPins returns the damaged pins and the pinned results that are no hits.
// The files stay: only the user can say what they were to keep.
func (s *pins) checkPins(ctx context.Context) (damaged []*DamagedPin, lost []LostPin, err error) {
	pins, damaged, err := s.Pins()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range pins {
		for _, x := range p.Results {
			why, err := s.lostPinned(ctx, x)
			if err != nil {
				return nil, nil, err
			}
			if why != "" {
				lost = append(lost, LostPin{p.Name, x.Step, why})
			}
		}
	}
	return damaged, lost, nil
}
