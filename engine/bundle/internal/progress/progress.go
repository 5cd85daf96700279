// Package progress counts how far an operation on a bundle is.
package progress

import "sync"

// The phases of a Progress.
const (
	PhaseHash    = "hash"    // files are read, to know what there is
	PhasePatch   = "patch"   // new contents are held against old ones
	PhasePack    = "pack"    // contents are compressed and written
	PhaseVolumes = "volumes" // volumes are written
	PhaseVerify  = "verify"  // blobs are read
	PhaseCheck   = "check"   // import looks at what is there already
	PhaseImport  = "import"  // contents are read and stored
	PhaseFlush   = "flush"   // waiting for the disk
	PhasePublish = "publish" // entries and the reference are written
)

// A Progress is how far an operation is. Bytes and Total count what is read;
// Total does not change within a phase.
type Progress struct {
	Phase             string
	Bytes, Total      int64
	Files, TotalFiles int
}

// A Func is called now and then, by one goroutine at a time. It must
// return soon. Nil is allowed.
type Func func(Progress)

// reportEvery is how many bytes go by between two reports.
const reportEvery = 4 << 20

// A Meter counts for a Func.
type Meter struct {
	mu       sync.Mutex // held while f runs, so that reports come in order
	f        Func
	p        Progress
	reported int64
}

// NewMeter begins a phase. files is how many files it has, if that is known.
func NewMeter(f Func, phase string, total int64, files int) *Meter {
	m := &Meter{f: f, p: Progress{Phase: phase, Total: total, TotalFiles: files}}
	m.report()
	return m
}

func (m *Meter) report() {
	if m.f != nil {
		m.reported = m.p.Bytes
		m.f(m.p)
	}
}

// Add counts bytes.
func (m *Meter) Add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Bytes += n
	if m.p.Bytes-m.reported >= reportEvery {
		m.report()
	}
}

// File counts a file.
func (m *Meter) File() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Files++
}

// End reports the last state.
func (m *Meter) End() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report()
}
