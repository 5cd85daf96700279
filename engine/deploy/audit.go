package deploy

import (
	"bufio"
	"bytes"
	"cmp"
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

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// ErrBroken is what errors wrap that say that an audit log was changed.
var ErrBroken = errors.New("the audit log was changed after it was written")

// Results of audit entries.
const (
	Deployed   = "deployed"    // the release serves
	RolledBack = "rolled_back" // an earlier one serves, because somebody wanted it
	Returned   = "returned"    // the release failed, and an earlier one serves again
	Failed     = "failed"      // nothing changed, or what is said in detail
	Repaired   = "repaired"    // what a crash left half done was ended
	Removed    = "removed"     // the release was one too many
)

// An Entry is a line of the audit log. Each holds the SHA-256 of the line
// before it, so that no line can be changed or taken out of the middle.
type Entry struct {
	Seq         int       `json:"seq"` // from 1
	Time        time.Time `json:"time"`
	Who         string    `json:"who"`
	Deploy      string    `json:"deploy"`
	Environment string    `json:"environment,omitempty"`
	Result      string    `json:"result"`
	Release     string    `json:"release"`
	Version     string    `json:"version,omitempty"`
	Digest      string    `json:"digest,omitempty"`   // of the installed tree
	Artifact    string    `json:"artifact,omitempty"` // what it was made of
	Serves      string    `json:"serves,omitempty"`   // the release that serves now
	Detail      string    `json:"detail,omitempty"`
	Prev        string    `json:"prev"` // SHA-256 of the line before without its line break; zeros for the first
}

const maxEntry = 64 << 10 // bytes of a line

// record appends an entry about a release.
func (d *deployment) record(result string, rel *Release, detail error) error {
	name := d.dir.private("audit.log")
	before, head, size, err := readAudit(name)
	if err != nil {
		return err
	}
	serves, _, err := d.dir.pointers.release(current)
	if err != nil {
		serves = ""
	}
	e := Entry{
		Seq: len(before) + 1, Time: d.Now().UTC(), Who: d.Who, Deploy: d.Name, Environment: d.Environment,
		Result: result, Release: rel.ID, Version: rel.Version, Digest: rel.Digest, Artifact: rel.Artifact,
		Serves: serves, Prev: head,
	}
	if detail != nil {
		e.Detail = strings.ToValidUTF8(d.mask(detail.Error()), "?")
		if len(e.Detail) > maxEntry/8 {
			e.Detail = strings.ToValidUTF8(e.Detail[:maxEntry/8], "") + "…"
		}
	}
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	// Half a line of a crash is written over.
	if err = f.Truncate(size); err == nil {
		_, err = f.WriteAt(append(b, '\n'), size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := cmp.Or(err, f.Close()); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(name))
}

// readAudit reads a log and checks its chain. Half a line at the end, which a
// crash leaves, is as if it were not there.
func readAudit(name string) (entries []Entry, head string, size int64, err error) {
	head = strings.Repeat("0", 2*sha256.Size)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, head, 0, nil
	}
	if err != nil {
		return nil, "", 0, fmt.Errorf("read audit log: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, maxEntry)
	for {
		line, err := in.ReadSlice('\n')
		if err == io.EOF {
			return entries, head, size, nil
		}
		if err != nil {
			return nil, "", 0, fmt.Errorf("read audit log %s: line %d: %w", name, len(entries)+1, err)
		}
		size += int64(len(line))
		e, err := readEntry(line[:len(line)-1])
		if err != nil {
			return nil, "", 0, fmt.Errorf("read audit log %s: line %d: %w: %w", name, len(entries)+1, ErrBroken, err)
		}
		if e.Prev != head || e.Seq != len(entries)+1 {
			return nil, "", 0, fmt.Errorf("read audit log %s: line %d: %w: it does not follow the line before it", name, len(entries)+1, ErrBroken)
		}
		sum := sha256.Sum256(line[:len(line)-1])
		head = hex.EncodeToString(sum[:])
		entries = append(entries, e)
	}
}

func readEntry(line []byte) (e Entry, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err = d.Decode(&e); err == nil && d.More() {
		err = errors.New("text after the entry")
	}
	return e, err
}

// History returns what was done to a root, the oldest first. An error that
// wraps ErrBroken says that the log was changed.
func History(root string) ([]Entry, error) {
	entries, _, _, err := readAudit(filepath.Join(root, privateDir, "audit.log"))
	return entries, err
}
