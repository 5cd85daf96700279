package store

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/inuse"
)

// A Report is what Verify has found so far.
type Report struct {
	Blobs    int
	Bytes    int64 // of the blobs
	Entries  int
	Damaged  []*action.Damaged // removed, unless it says otherwise
	Dangling []Dangling        // likewise
	// Pins that cannot be read, and pinned results that are no longer there
	// whole. The pins stay as they are.
	DamagedPins []*DamagedPin
	LostPins    []LostPin
}

// OK reports whether all was as it should be.
func (r *Report) OK() bool {
	return len(r.Damaged)+len(r.Dangling)+len(r.DamagedPins)+len(r.LostPins) == 0
}

// A Dangling is an entry that names a blob which is not there. It would have
// been a miss, so that it is removed. Key has no size: an entry's name does
// not tell it.
type Dangling struct {
	Key  action.Digest
	Blob action.Digest // the first one missing
	Kept string        // as action.Damaged has it
}

// Fate says what became of it.
func (d *Dangling) Fate() string { return (&action.Damaged{Kept: d.Kept}).Fate() }

// Verify hashes every blob and checks every entry and what it names. Damaged
// blobs and entries, and entries that name a missing blob, are removed and
// reported; so a second Verify finds none of it. Pins are checked last. Other processes may use the
// store meanwhile. progress, which may be nil, is called now and then from
// one goroutine at a time; it must not keep the Report's lists. Memory grows
// with the damage, not with the store.
func (s *Disk) Verify(ctx context.Context, progress func(Report)) (Report, error) {
	v := &verifier{s: s, progress: progress}
	err := v.blobs(ctx)
	if err == nil {
		err = v.entries(ctx)
	}
	if err == nil {
		v.report.DamagedPins, v.report.LostPins, err = s.checkPins(ctx)
	}
	return v.report, err
}

type verifier struct {
	s        *Disk
	progress func(Report)
	mu       sync.Mutex // guards report and calls of progress
	report   Report
}

func (v *verifier) add(f func(*Report)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.report)
	if v.progress != nil {
		v.progress(v.report)
	}
}

func (v *verifier) blobs(ctx context.Context) error {
	p := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(runtime.GOMAXPROCS(0))
	err := v.s.each(ctx, "cas", func(x stored) error {
		p.Go(func(ctx context.Context) error { return v.blob(ctx, x) })
		return nil
	})
	if poolErr := p.Wait(); poolErr != nil {
		return poolErr
	}
	return err
}

func (v *verifier) blob(ctx context.Context, x stored) error {
	_, bad, err := v.s.rehash(ctx, x.digest)
	if err != nil {
		return err
	}
	v.add(func(r *Report) {
		r.Blobs++
		r.Bytes += x.info.Size()
		if bad != nil {
			r.Damaged = append(r.Damaged, bad)
		}
	})
	return nil
}

func (v *verifier) entries(ctx context.Context) error {
	return v.s.each(ctx, "ac", func(x stored) error {
		dangling, bad, err := v.entry(ctx, x)
		if err != nil {
			return err
		}
		v.add(func(r *Report) {
			r.Entries++
			if bad != nil {
				r.Damaged = append(r.Damaged, bad)
			}
			if dangling != nil {
				r.Dangling = append(r.Dangling, *dangling)
			}
		})
		return nil
	})
}

// entry returns how an entry lacks a blob, or is damaged.
func (v *verifier) entry(ctx context.Context, x stored) (_ *Dangling, bad *action.Damaged, err error) {
	r, info, err := v.s.readEntry(x.digest)
	if errors.As(err, &bad) {
		return nil, bad, nil
	}
	if r == nil || err != nil {
		return nil, nil, err
	}
	missing, err := v.s.firstMissing(ctx, r)
	if err != nil || missing.IsZero() {
		return nil, nil, err
	}
	if now, err := os.Lstat(x.name); err != nil || !os.SameFile(now, info) {
		return nil, nil, nil // replaced or gone meanwhile
	}
	d := &Dangling{Key: x.digest, Blob: missing}
	if err := inuse.RemoveAll(x.name); err != nil {
		d.Kept = err.Error()
	}
	return d, nil, nil
}
