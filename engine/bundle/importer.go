package bundle

import (
	"time"

	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/engine/sign"
)

// ImportOptions say where a bundle goes.
type ImportOptions struct {
	// Cache is the cache directory; "carried" below it is Import's. It is
	// locked, so that of two imports the second waits for the first.
	Cache string
	// Sink returns where a component goes, and nil if it is not wanted. It is
	// called once for each component, with all of them known to be sound.
	Sink func(component string) (Sink, error)
	// AllowOlder takes a bundle after a newer one of the same name.
	AllowOlder bool
	Jobs       int // decompressing and storing at once; zero: one a processor
	Progress   progress.Func
	// Key signs the event in the custody log; nil: the event is not signed.
	Key   *sign.SecretKey
	Actor string
	Time  time.Time // of the event; zero: now
}

// An Imported says what Import did.
type Imported struct {
	Digest  string
	Already bool  // it was imported before; nothing was done
	Files   int   // that were stored
	Bytes   int64 // of them
	Kept    int   // files that were there already
	Resumed bool  // an interrupted import was taken up again
}
