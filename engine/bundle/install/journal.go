package install

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

const journalMagic = "airbuild-import 1"

// A journal is a file that says how far an import is: lines of text,
//
//	airbuild-import 1
//	sink <component> <ID, quoted>
//	pack <number>       all that ends in it or before it is on the disk
//
// flushed line by line. It saves reading again what is there; what it says is
// only believed of sinks that are the same as before. Losing it costs time.
type journal struct {
	name  string
	f     *os.File
	packs int               // how many from the first on are on the disk
	sinks map[string]string // of the earlier attempt
}

// openJournal reads the journal of a bundle, if there is one. It is written to
// after begin.
func openJournal(cache, digest string) (*journal, error) {
	j := &journal{name: filepath.Join(journalDir(cache), digest), sinks: map[string]string{}}
	f, err := os.Open(j.name)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if !lines.Scan() || lines.Text() != journalMagic {
		return j, nil
	}
	for lines.Scan() {
		var name, id string
		var pack int
		if n, _ := fmt.Sscanf(lines.Text(), "sink %s %q", &name, &id); n == 2 {
			j.sinks[name] = id
		} else if n, _ := fmt.Sscanf(lines.Text(), "pack %d", &pack); n == 1 && pack >= 0 && pack < format.MaxPacks {
			j.packs = max(j.packs, pack+1)
		}
	}
	return j, nil
}

// began reports whether an earlier attempt left something.
func (j *journal) began() bool { return len(j.sinks) > 0 }

// begin starts the journal of this attempt. The packs of the earlier one still
// count if the sinks are the same.
func (j *journal) begin(sinks map[string]string, names []string) error {
	same := true
	var b strings.Builder
	fmt.Fprintln(&b, journalMagic)
	for _, name := range names {
		fmt.Fprintf(&b, "sink %s %q\n", name, sinks[name])
		same = same && j.sinks[name] == sinks[name]
	}
	if same && j.packs > 0 {
		fmt.Fprintf(&b, "pack %d\n", j.packs-1)
	}
	if err := os.MkdirAll(filepath.Dir(j.name), 0o777); err != nil {
		return fmt.Errorf("begin journal: %w", err)
	}
	err := files.WriteBytes(filepath.Dir(j.name), filepath.Base(j.name), []byte(b.String()))
	if err == nil {
		j.f, err = os.OpenFile(j.name, os.O_WRONLY|os.O_APPEND, 0o666)
	}
	if err != nil {
		return fmt.Errorf("begin journal: %w", err)
	}
	return nil
}

// pack notes that all up to a pack is on the disk.
func (j *journal) pack(n int) error {
	_, err := fmt.Fprintf(j.f, "pack %d\n", n)
	if err == nil {
		err = j.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// close closes the journal. done removes it.
func (j *journal) close(done bool) error {
	var err error
	if j.f != nil {
		err = j.f.Close()
	}
	if done {
		if gone := os.Remove(j.name); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}
