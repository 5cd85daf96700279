package bundle

import (
	"context"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sign"
)

// A Trust says whose bundles are taken.
type Trust struct {
	Keys []sign.PublicKey
	// Threshold is how many of the keys must have signed; zero is one.
	Threshold int
	// Admit says why a key that signed does not count, and nil if it does: for any
	// bundle at all if series is empty, which is asked before anything of the
	// bundle is read, and then for one of that series. Nil: all keys count.
	Admit func(key sign.PublicKey, series string) error
	// AllowUnsigned takes a bundle that too few of the keys signed. Damage is
	// still noticed, but not who made the bundle.
	AllowUnsigned bool
}

// A Media is where the blobs of a bundle are: a directory, volumes, or a
// server. Nothing that it gives is trusted. Its methods may be called by many
// goroutines.
type Media interface {
	// Name says what it is, to people.
	Name() string
	// Index returns the layout's index.json, of at most limit bytes.
	Index(ctx context.Context, limit int64) ([]byte, error)
	// Blob opens a blob. The error is a *Damage, with Lost set if the blob is
	// not there, or another one of reading. That the blob has the size that d
	// says is checked; its hash is not.
	Blob(ctx context.Context, d action.Digest) (Blob, error)
	Close() error
}

// A Blob is an open blob of a Media.
type Blob interface {
	ReadAt(b []byte, off int64) (int, error)
	Close() error
	// Place says which file byte off of the blob is in, and where.
	Place(off int64) (file string, offset int64)
}

// A Bundle is one that is open for reading, and whose root was signed as a
// Trust demands, or need not be. Its methods may be called by many goroutines.
type Bundle struct {
	media   Media
	root    *Root
	bytes   []byte // of the root
	signers []sign.PublicKey
	sealed  *sign.Envelope // nil: no signature at all
	wrapper *wrapper
	custody []byte
	stored  []byte // the index as it is carried
	index   *index
}

// Open opens the bundle in paths: a directory with a layout, a directory with
// volumes, or volumes. The signatures are verified before anything else is
// looked at, then the index is read. Packs are not: see Verify. Callers must
// Close it.
func Open(ctx context.Context, trust Trust, paths ...string) (*Bundle, error) {
	m, err := OpenMedia(paths...)
	if err != nil {
		return nil, err
	}
	b, err := OpenFrom(ctx, trust, m)
	if err != nil {
		m.Close()
		return nil, err
	}
	return b, nil
}

// OpenMedia finds the layout or the volumes in paths. See Open.
func OpenMedia(paths ...string) (Media, error) { return openMedia(paths) }

// OpenFrom opens the bundle of a Media, which Close of the Bundle closes; on an
// error it stays open.
func OpenFrom(ctx context.Context, trust Trust, m Media) (*Bundle, error) {
	return openFrom(ctx, trust, m)
}

// Close closes the media.
func (b *Bundle) Close() error { return b.media.Close() }

// Digest is the identity of the bundle: 64 hexadecimal digits of the SHA-256 of
// the root's bytes.
func (b *Bundle) Digest() string { return hexOf(b.bytes) }

// Root is the root manifest. It must not be changed.
func (b *Bundle) Root() *Root { return b.root }

// RootBytes are the bytes that are signed. They must not be changed.
func (b *Bundle) RootBytes() []byte { return b.bytes }

// Signers are the trusted keys that signed the bundle. With
// Trust.AllowUnsigned there may be none.
func (b *Bundle) Signers() []sign.PublicKey { return b.signers }

// Media is where the bundle is.
func (b *Bundle) Media() Media { return b.media }
