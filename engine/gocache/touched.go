package gocache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/lists"
)

// A record says which entries the go commands of one step found or made, when
// it last ran. It is a blob, named by the one output of an entry under
// touchedKey:
//
//	airbuild-gocache-touched 1
//	cgo 0
//	<ActionID>          64 hexadecimal digits; sorted, each once
//	…
const (
	recordMagic = "airbuild-gocache-touched 1\n"
	recordPath  = "touched"
	maxRecord   = 64 << 20 // bytes; about a million entries
)

// A record's fields.
type record struct {
	cgo bool // the step compiles C: its objects hang on the host
	ids []ActionID
}

func (r record) encode() []byte {
	ids := slices.Clone(r.ids)
	slices.SortFunc(ids, func(a, b ActionID) int { return bytes.Compare(a[:], b[:]) })
	var b bytes.Buffer
	b.WriteString(recordMagic)
	if r.cgo {
		b.WriteString("cgo 1\n")
	} else {
		b.WriteString("cgo 0\n")
	}
	for _, id := range slices.Compact(ids) {
		b.WriteString(id.String() + "\n")
	}
	return b.Bytes()
}

func decodeRecord(b []byte) (record, error) {
	text, ok := strings.CutPrefix(string(b), recordMagic)
	if !ok {
		return record{}, fmt.Errorf("it begins with %q instead of %q", b[:min(len(b), len(recordMagic))], recordMagic)
	}
	var r record
	switch {
	case strings.HasPrefix(text, "cgo 0\n"):
	case strings.HasPrefix(text, "cgo 1\n"):
		r.cgo = true
	default:
		return r, errors.New("it does not say whether there is C in it")
	}
	for line := range strings.Lines(text[len("cgo 0\n"):]) {
		hex, ok := strings.CutSuffix(line, "\n")
		if !ok {
			return record{}, errors.New("its last line has no end")
		}
		id, err := parseID(hex)
		if err != nil {
			return record{}, err
		}
		if n := len(r.ids); n > 0 && bytes.Compare(r.ids[n-1][:], id[:]) >= 0 {
			return record{}, fmt.Errorf("%.12s is out of order", id)
		}
		r.ids = append(r.ids, id)
	}
	return r, nil
}

func parseID(s string) (ActionID, error) {
	h, err := action.ParseHash(s)
	return ActionID(h), err
}

// write stores r as what the step touched: first the blob, then the entry.
func (r record) write(ctx context.Context, s engine.Store, step action.Digest) error {
	d, err := s.Put(ctx, bytes.NewReader(r.encode()))
	if err == nil {
		err = s.PutResult(ctx, touchedKey(step), &action.Result{OutputFiles: []action.OutputFile{{Path: recordPath, Digest: d}}})
	}
	if err != nil {
		return fmt.Errorf("record what was compiled: %w", err)
	}
	return nil
}

// readRecord returns nil if there is no record, or none that can be read:
// running the step anew makes one.
func readRecord(ctx context.Context, s engine.Store, step action.Digest) (*record, error) {
	res, err := s.Result(ctx, touchedKey(step))
	var damaged *action.Damaged
	if errors.As(err, &damaged) || err == nil && (res == nil || len(res.OutputFiles) != 1 || res.OutputFiles[0].Path != recordPath) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was compiled: %w", err)
	}
	b, err := readBlob(ctx, s, res.OutputFiles[0].Digest)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was compiled: %w", err)
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, nil
	}
	return &r, nil
}

func readBlob(ctx context.Context, s engine.Store, d action.Digest) ([]byte, error) {
	if d.Size > maxRecord {
		return nil, fmt.Errorf("blob %s: %w: a record is not that long", d, fs.ErrNotExist)
	}
	return engine.ReadBlob(ctx, s, d)
}

// A Use is what the go commands of one step used of the compile cache, when it
// last ran.
type Use struct {
	// Known: there is a record. There is none if the step never ran with the
	// compile cache, or the record was pruned; running it again (--force)
	// makes one.
	Known bool
	// Cgo: the step compiles C. Go's names for such objects do not tell the
	// host's headers and libraries, so that none of them may travel.
	Cgo bool
	// Entries are those that may travel and are whole in the store, sorted by
	// ID. None if Cgo.
	Entries []Entry
	// Kept is how many are of use on this host only and stay here.
	Kept int
	// Lost is how many are no longer in the store.
	Lost int
}

// Touched returns what the step with the given key used: the gets that hit and
// the puts of all its go commands. Every Object of Entries is in the store,
// verified; so a bundle holds a step's packages if it has, of each Entry, the
// store's entry under Key and the blob Object.
func Touched(ctx context.Context, s engine.Store, step action.Digest) (Use, error) {
	r, err := readRecord(ctx, s, step)
	if err != nil || r == nil {
		return Use{}, err
	}
	u := Use{Known: true, Cgo: r.cgo}
	if r.cgo {
		u.Kept = len(r.ids)
		return u, nil
	}
	for _, id := range r.ids {
		e, ok, err := lookUp(ctx, s, id)
		switch {
		case err != nil:
			return u, err
		case !ok:
			u.Lost++
		case !e.Travels():
			u.Kept++
		default:
			u.Entries = append(u.Entries, e)
		}
	}
	return u, u.check(ctx, s)
}

// lookUp returns an entry of the store, whatever has become of its object.
func lookUp(ctx context.Context, s engine.Store, id ActionID) (e Entry, ok bool, err error) {
	res, err := s.Result(ctx, Key(id))
	var damaged *action.Damaged
	switch {
	case errors.As(err, &damaged), err == nil && res == nil:
		return e, false, nil
	case err != nil:
		return e, false, fmt.Errorf("look up package: %w", err)
	}
	e, err = entryOf(id, res)
	return e, err == nil, nil
}

// check takes out what has lost its object.
func (u *Use) check(ctx context.Context, s engine.Store) error {
	objects := lists.Map(u.Entries, func(e Entry) action.Digest { return e.Object })
	missing, err := s.Missing(ctx, objects)
	if err != nil {
		return fmt.Errorf("look up package: %w", err)
	}
	u.Entries = slices.DeleteFunc(u.Entries, func(e Entry) bool { return slices.Contains(missing, e.Object) })
	u.Lost += len(objects) - len(u.Entries)
	return nil
}
