package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// These say why a fetch was refused: nothing was verified that should be used.
var (
	// ErrChanged says that a relay has other content than when the download
	// began, or than its index says.
	ErrChanged = errors.New("refused: the bundle on the relay has changed")
	// ErrDamaged says that what came does not have the checksum of the relay's
	// index, also at a second try.
	ErrDamaged = errors.New("refused: damaged on the relay or on the way")
)

// ErrSpace says that FetchOptions.Free has too few bytes.
var ErrSpace = errors.New("not enough space")

// FetchOptions say how to fetch. The zero value is for a relay without tokens
// whose certificate, if it has one, the system trusts.
type FetchOptions struct {
	Token string // sent as a bearer token; a password in the URL counts too
	CA    []byte // PEM: certificates to trust instead of the system's
	// Fingerprint is the SHA-256 of the one certificate to trust, for a relay
	// that made its own.
	Fingerprint string

	MaxBytes int64 // refuse a bundle that is larger; zero: no limit
	// Free, which may be nil, says how many bytes are free for files in a
	// directory: what is missing must fit before anything is fetched.
	Free func(dir string) (int64, error)
	// Progress, which may be nil, is called now and then, from one goroutine.
	Progress func(Progress)
	// Retry, which may be nil, is told why something is tried again, and when.
	Retry func(err error, after time.Duration)

	// Attempts is how often in a row something may fail without a byte gained.
	// Zero: 8, which with the pauses between is about a minute.
	Attempts int
	// Stall is how long the relay may take for the next bytes. Zero: a minute.
	Stall time.Duration
	// MaxWait is how long to wait for a relay that says it is busy, on the
	// whole. Zero: half an hour.
	MaxWait time.Duration

	pause func(context.Context, time.Duration) error // of tests
}

// Progress says how far a fetch is. Done counts what was there already.
type Progress struct {
	File        string // slash-separated path of the file under way
	Done, Total int64  // bytes
}

// Fetched says what a Fetch did.
type Fetched struct {
	Index    *Index
	Received int64 // bytes of content that came over the network
	Kept     int64 // bytes that earlier tries had left
}

// Fetch downloads the bundle at rawURL (http://relay/bundles/NAME/) into dir,
// which is made if it is not there. What an earlier call left there is kept:
// whole files are hashed again, and a file that was cut off goes on where it
// was. A cut connection, a relay that restarts or is busy is tried again, with
// growing pauses. If the relay has other content than when the download began,
// the error is ErrChanged, and dir is as it was.
//
// On disk: the state file with the index first, which is what a later call goes
// by; then each file under its name with a suffix, synced, hashed and renamed
// when it is whole; the state file is removed last. A crash leaves no file
// under its own name that is not whole. Two calls with one dir do not run at
// once.
//
// The index bounds what is written: its paths are below dir on every system,
// and no file gets more bytes than it says. That the bundle is what its signer
// made is for its own verification to say.
func Fetch(ctx context.Context, rawURL, dir string, o FetchOptions) (*Fetched, error) {
	o.defaults()
	c, err := newClient(rawURL, o)
	if err != nil {
		return nil, fmt.Errorf("fetch bundle: %w", err)
	}
	defer c.http.CloseIdleConnections()
	s, err := openStaging(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("fetch bundle: %w", err)
	}
	defer s.close()
	f := &fetch{o: o, c: c, s: s}
	if err := f.run(ctx); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", c.base.Redacted(), err)
	}
	return &f.done, nil
}

func (o *FetchOptions) defaults() {
	o.Attempts = cmp.Or(o.Attempts, 8)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	o.MaxWait = cmp.Or(o.MaxWait, 30*time.Minute)
	if o.pause == nil {
		o.pause = ctxio.Wait
	}
}

// A fetch is one call of Fetch.
type fetch struct {
	o    FetchOptions
	c    *client
	s    *staging
	done Fetched
	at   int64         // bytes of Progress
	busy time.Duration // waited for a busy relay
}

func (f *fetch) run(ctx context.Context) error {
	x, err := f.index(ctx)
	if err != nil {
		return err
	}
	f.done.Index = x
	if err := f.s.begin(f.c.base.Redacted(), x); err != nil {
		return err
	}
	todo, err := f.survey(ctx, x)
	if err != nil {
		return err
	}
	for _, file := range todo {
		if err := f.file(ctx, file); err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
	}
	return f.s.end()
}

// index asks for the list of files.
func (f *fetch) index(ctx context.Context) (*Index, error) {
	var x *Index
	err := f.retry(ctx, func() (bool, error) {
		b, err := f.c.index(ctx)
		if err != nil {
			return false, err
		}
		x, err = parseIndex(b)
		return false, err
	})
	switch {
	case err != nil:
		return nil, err
	case len(x.Files) == 0:
		return nil, errors.New("it has no files")
	case f.o.MaxBytes > 0 && x.Size > f.o.MaxBytes:
		return nil, fmt.Errorf("it has %s, and at most %s are allowed", size(x.Size), size(f.o.MaxBytes))
	}
	return x, nil
}

// survey finds what is there already, and returns what is not whole.
func (f *fetch) survey(ctx context.Context, x *Index) (todo []File, err error) {
	need := int64(0)
	for _, file := range x.Files {
		f.tell(file.Path)
		whole, part, err := f.s.look(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		if whole {
			f.at += file.Size
			f.done.Kept += file.Size
			continue
		}
		need += file.Size - part
		todo = append(todo, file)
	}
	if f.o.Free == nil {
		return todo, nil
	}
	free, err := f.o.Free(f.s.dir)
	if err != nil {
		return nil, err
	}
	if free < need {
		return nil, fmt.Errorf("%w: %s are still to come, and %s has room for %s", ErrSpace, size(need), f.s.dir, size(free))
	}
	return todo, nil
}

// file fetches what is missing of a file. Content that is not what the index
// says is thrown away and fetched once more.
func (f *fetch) file(ctx context.Context, file File) error {
	for try := 0; ; try++ {
		before := f.at
		p, err := f.s.part(ctx, file)
		if err != nil {
			return err
		}
		if try == 0 {
			f.done.Kept += p.n
		}
		f.at += p.n
		err = f.retry(ctx, func() (bool, error) {
			n := p.n
			err := f.c.into(ctx, file, p, func() { f.at = before + p.n; f.tell(file.Path) })
			if p.n > n {
				f.done.Received += p.n - n
			}
			f.at = before + p.n
			return p.n > n, err
		})
		if err == nil {
			err = p.finish()
		}
		p.close()
		if errors.Is(err, ErrDamaged) && try == 0 {
			f.at = before
			f.announce(err, 0)
			continue
		}
		return err
	}
}

func (f *fetch) tell(file string) {
	if f.o.Progress != nil {
		f.o.Progress(Progress{file, f.at, f.done.Index.Size})
	}
}

func (f *fetch) announce(err error, after time.Duration) {
	if f.o.Retry != nil {
		f.o.Retry(err, after)
	}
}

// The first and the longest pause between two tries.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
)

// retry calls try, which reports whether something was gained, until it
// succeeds, fails for good, or failed too often in a row.
func (f *fetch) retry(ctx context.Context, try func() (bool, error)) error {
	wait := firstPause
	for failed := 1; ; {
		gained, err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		var again *againError
		if !errors.As(err, &again) {
			return err
		}
		if gained {
			failed, wait = 1, firstPause
		}
		after := jitter(wait)
		switch {
		case again.after > 0:
			after = min(again.after, lastPause*2)
			if f.busy += after; f.busy > f.o.MaxWait {
				return fmt.Errorf("waited %v for the relay: %w", f.o.MaxWait, err)
			}
		case failed >= f.o.Attempts:
			return fmt.Errorf("tried %d times: %w.\nThe part already downloaded is kept: repeat the command to resume", failed, err)
		default:
			failed++
			wait = min(wait*2, lastPause)
		}
		f.announce(err, after)
		if err := f.o.pause(ctx, after); err != nil {
			return err
		}
	}
}

// An againError is a failure that may pass. after is when the relay says to come
// again, or zero.
type againError struct {
	err   error
	after time.Duration
}

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// passes reports whether a status may be another one later.
func passes(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
