package publish

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A Ledger remembers what was published where, one JSON object a line. To lose
// it costs the comparison of contents, and nothing else; lines that cannot be
// read are passed over.
type Ledger struct {
	name string
	mu   sync.Mutex
	seen map[string]string // place to SHA-256, the latest
}

// A line is one of the ledger's.
type line struct {
	Format int       `json:"format"` // 1
	Place  string    `json:"place"`
	SHA256 string    `json:"sha256"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
}

// OpenLedger reads the ledger in a file, which need not be there.
func OpenLedger(name string) (*Ledger, error) {
	l := &Ledger{name: name, seen: map[string]string{}}
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	for text := range bytes.Lines(b) {
		var e line
		if json.Unmarshal(text, &e) == nil && e.Format == 1 {
			l.seen[e.Place] = e.SHA256
		}
	}
	return l, nil
}

// Known reports whether a digest was the last that was published at a place.
func (l *Ledger) Known(place, sha256 string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[place] == sha256
}

// Note remembers that an item is published at a place.
func (l *Ledger) Note(item Item, place string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[place] == item.SHA256 {
		return nil
	}
	b, err := json.Marshal(line{1, place, item.SHA256, item.Size, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(l.name), 0o777); err != nil {
		return fmt.Errorf("remember what was published: %w", err)
	}
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return fmt.Errorf("remember what was published: %w", err)
	}
	// The break in front ends what a crash left of a line.
	_, err = f.Write(append(append([]byte("\n"), b...), '\n'))
	if err := cmp.Or(err, f.Close()); err != nil {
		return fmt.Errorf("remember what was published: %w", err)
	}
	l.seen[place] = item.SHA256
	return nil
}
