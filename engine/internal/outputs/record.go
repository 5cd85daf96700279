package outputs

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/paths"
)

// recordName is the file that holds the record of outputs outside dist. What a run
// is about to write is first appended to recordLog, so that a killed run leaves
// nothing unrecorded; the next run merges the log at its end. The files of an
// output directory are listed in a file of their own below recordLists, which is
// read only when the directory changes.
const (
	recordName  = "made.json"
	recordLog   = "made.log"
	recordLists = "made"
)

// recordVersion is of all three.
const recordVersion = 1

// lockName is the lock for all records of a workspace.
const lockName = "outputs.lock"

// A record is the content of the file.
type record struct {
	Version int `json:"version"`
	// Files are the outputs by Airbuildfile, then by path as declared. They
	// belong to the file and not to a pipeline: any of its steps may see them.
	Files map[string]map[string]entry `json:"files,omitempty"`
}

// An entry is one output.
type entry struct {
	ID    string `json:"id,omitempty"`  // of its content; of a directory empty while it is written
	Was   string `json:"was,omitempty"` // of the content of a file before that, in case it was not written
	Dir   bool   `json:"dir,omitempty"`
	Owned bool   `json:"owned,omitempty"` // a directory that is wholly the step's own
	Found bool   `json:"found,omitempty"` // something was there before airbuild wrote it
}

// A recordedFile is a file or link of an output.
type recordedFile struct {
	Path  string `json:"path"`
	ID    string `json:"id"`
	Was   string `json:"was,omitempty"`
	Found bool   `json:"found,omitempty"`
}

// A logLine is a line of the log.
type logLine struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	Path    string `json:"path"`
	entry
}

// linkID identifies a link, as the digest does a file.
func linkID(target string) string { return "-> " + target }

func loadRecord(state string) *record {
	rec := &record{}
	if b, err := inuse.ReadFile(filepath.Join(state, recordName)); err == nil {
		if json.Unmarshal(b, rec) != nil || rec.Version != recordVersion {
			rec = &record{}
		}
	}
	rec.Version = recordVersion
	rec.readLog(filepath.Join(state, recordLog))
	return rec
}

// of returns the outputs of an Airbuildfile.
func (rec *record) of(file string) map[string]entry {
	m := rec.Files[file]
	if m == nil {
		if rec.Files == nil {
			rec.Files = map[string]map[string]entry{}
		}
		m = map[string]entry{}
		rec.Files[file] = m
	}
	return m
}

// readLog merges what killed and unfinished runs logged. A line that cannot be
// read was cut off, and what it is about was not written.
func (rec *record) readLog(name string) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l logLine
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Version == recordVersion {
			rec.of(l.File)[l.Path] = l.entry
		}
	}
}

// save writes the record and removes the log, which is in it.
func (rec *record) save(state string) error {
	maps.DeleteFunc(rec.Files, func(_ string, m map[string]entry) bool { return len(m) == 0 })
	b, err := json.Marshal(rec)
	if err == nil {
		err = writeRecord(filepath.Join(state, recordName), b)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(state, recordLog)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mergeLog merges the log, if there is one, into the record.
func mergeLog(state string) error {
	if _, err := os.Lstat(filepath.Join(state, recordLog)); err != nil {
		return nil
	}
	return loadRecord(state).save(state)
}

func listFile(state, file, output string) string {
	sum := sha256.Sum256([]byte(file + "\x00" + output))
	return filepath.Join(state, recordLists, hex.EncodeToString(sum[:]))
}

// filesOf returns the files of a recorded output.
func filesOf(state, file, output string, e entry) []recordedFile {
	if !e.Dir {
		return []recordedFile{{Path: output, ID: e.ID, Was: e.Was, Found: e.Found}}
	}
	var list []recordedFile
	if b, err := inuse.ReadFile(listFile(state, file, output)); err == nil {
		json.Unmarshal(b, &list)
	}
	return slices.DeleteFunc(list, func(f recordedFile) bool { return !paths.Local(f.Path) })
}

// A ledger is the record as the workers of a run share it. Any goroutine may call
// its methods.
type ledger struct {
	w    *tree.Workspace
	file string // the Airbuildfile

	mu  sync.Mutex // guards rec
	rec *record
}

// get returns what is recorded of an output.
func (l *ledger) get(output string) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.rec.of(l.file)[output]
	return e, ok
}

// filesOf returns the files of an output that is recorded as e.
func (l *ledger) filesOf(output string, e entry) []recordedFile {
	return filesOf(l.w.State(), l.file, output, e)
}

// append records an output in the log.
func (l *ledger) append(output string, e entry) error {
	b, err := json.Marshal(logLine{Version: recordVersion, File: l.file, Path: output, entry: e})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rec.of(l.file)[output] = e
	// Another process may be merging the log.
	lockErr := l.w.Exclusive(lockName, func() { err = appendTo(filepath.Join(l.w.State(), recordLog), append(b, '\n')) })
	if err = errors.Join(err, lockErr); err != nil {
		return fmt.Errorf("record outputs: %w", err)
	}
	return nil
}

// putList records the files of an output directory.
func (l *ledger) putList(output string, list []recordedFile) error {
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	name := listFile(l.w.State(), l.file, output)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("record outputs: %w", err)
	}
	return writeRecord(name, b)
}

func appendTo(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func writeRecord(name string, b []byte) error {
	if err := atomicfile.Write(name, b, atomicfile.Options{Perm: 0o600}); err != nil {
		return fmt.Errorf("record outputs: %w", err)
	}
	return nil
}
