package store

import (
	"context"
	"time"
)

// Info says what is in a store. Sizes are in bytes of content; what the file
// system needs for it may be more, or with clones less.
type Info struct {
	Dir        string
	Version    string // "airbuild-store 1"
	Blobs      int
	BlobBytes  int64
	Entries    int
	EntryBytes int64
	Temps      int // files being written, or left by a killed process
	TempBytes  int64
	Oldest     time.Time // when the entry longest out of use was last used
	Newest     time.Time
}

// Info counts. It reads no file.
func (s *Disk) Info(ctx context.Context) (Info, error) {
	n := Info{Dir: s.Dir(), Version: firstLine(Version)}
	err := s.each(ctx, "cas", func(x stored) error {
		n.Blobs++
		n.BlobBytes += x.info.Size()
		return nil
	})
	if err != nil {
		return n, err
	}
	err = s.each(ctx, "ac", func(x stored) error {
		n.Entries++
		n.EntryBytes += x.info.Size()
		used := x.info.ModTime()
		if n.Oldest.IsZero() || used.Before(n.Oldest) {
			n.Oldest = used
		}
		if used.After(n.Newest) {
			n.Newest = used
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	return n, s.eachTemp(func(x stored) error {
		n.Temps++
		n.TempBytes += x.info.Size()
		return nil
	})
}
