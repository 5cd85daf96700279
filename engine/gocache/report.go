package gocache

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/internal/inuse"
)

// A Report is what one Server tells the process that had it started. It passes
// between two processes of one program and lives as long as a step: it is no
// format.
type Report struct {
	Hits    map[ActionID]Kind `json:"hits"`
	Puts    map[ActionID]Kind `json:"puts"`
	Apart   map[ActionID]bool `json:"apart"`  // those of Hits and Puts that have a salt
	Failed  int               `json:"failed"` // puts that the store did not take
	Damaged []string          `json:"damaged"`
	Notes   []string          `json:"notes"`
}

// MarshalText and UnmarshalText make an ActionID a key of JSON objects.
func (id ActionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ActionID) UnmarshalText(b []byte) (err error) {
	*id, err = parseID(string(b))
	return err
}

// report says what was used so far.
func (s *Server) report() *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := newReport()
	r.Failed, r.Notes = s.failed, s.notes
	for id, u := range s.touched {
		if u.apart {
			r.Apart[id] = true
		}
		if u.put {
			r.Puts[id] = u.kind
		} else {
			r.Hits[id] = u.kind
		}
	}
	if s.Store != nil {
		for _, d := range s.Store.TakeDamaged() {
			r.Damaged = append(r.Damaged, d.Error()+"; "+d.Fate())
		}
	}
	return r
}

func newReport() *Report {
	return &Report{Hits: map[ActionID]Kind{}, Puts: map[ActionID]Kind{}, Apart: map[ActionID]bool{}}
}

// merge adds what another go command of the same step used.
func (r *Report) merge(o *Report) {
	for id, k := range o.Hits {
		if _, ours := r.Puts[id]; !ours {
			r.Hits[id] = k
		}
	}
	for id, k := range o.Puts {
		delete(r.Hits, id)
		r.Puts[id] = k
	}
	maps.Copy(r.Apart, o.Apart)
	r.Failed += o.Failed
	r.Damaged = append(r.Damaged, o.Damaged...)
	r.Notes = append(r.Notes, o.Notes...)
}

// count returns how many compiled packages are among the objects.
func count(objects map[ActionID]Kind) (n int) {
	for _, k := range objects {
		if k == Package {
			n++
		}
	}
	return n
}

// A process that serves has a file in the step's directory: openSuffix while
// it lives, doneSuffix with its Report when it has ended as it should.
const (
	openSuffix = ".open"
	doneSuffix = ".done"
)

// A Mark says that a Server is at work.
type Mark struct{ file *os.File }

// Begin marks in dir that a Server is at work.
func Begin(dir string) (*Mark, error) {
	f, err := os.CreateTemp(dir, "*"+openSuffix)
	if err != nil {
		return nil, fmt.Errorf("begin report: %w", err)
	}
	return &Mark{f}, nil
}

// End leaves r in the place of the mark.
func (m *Mark) End(r *Report) error {
	b, err := json.Marshal(r)
	if err == nil {
		_, err = m.file.Write(b)
	}
	name := m.file.Name()
	if err = errors.Join(err, m.file.Close()); err == nil {
		err = inuse.Rename(name, strings.TrimSuffix(name, openSuffix)+doneSuffix)
	}
	if err != nil {
		return fmt.Errorf("end report: %w", err)
	}
	return nil
}

// readReports merges the reports in dir. lost is how many Servers began and did
// not end as they should.
func readReports(dir string) (r *Report, lost int, err error) {
	r = newReport()
	files, err := os.ReadDir(dir)
	if err != nil {
		return r, 0, fmt.Errorf("read reports: %w", err)
	}
	for _, f := range files {
		if f.Name() == graphName {
			continue
		}
		if filepath.Ext(f.Name()) != doneSuffix {
			lost++
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return r, lost, fmt.Errorf("read reports: %w", err)
		}
		one := &Report{}
		if err := json.Unmarshal(b, one); err != nil {
			return r, lost, fmt.Errorf("read reports: %w", err)
		}
		r.merge(one)
	}
	return r, lost, nil
}
