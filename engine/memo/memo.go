// Package memo remembers what the inputs of steps were found to be, together with
// everything that was observed of the workspace to find it. While all of that is
// unchanged, the same value would be found again.
//
// An entry can be exported for other hosts and other checkouts, where it is used
// if the same observations are true there.
package memo

import (
	"cmp"
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A Query is the SHA-256 of everything that a value depends on besides what was
// observed of the workspace.
type Query [sha256.Size]byte

// A Workspace is what observations are checked against: a *tree.Workspace that
// reports to no Recorder.
type Workspace interface {
	observed
	// Generation differs after every change that was reported to the workspace.
	Generation() uint64
}

// A Memo is the entries of one workspace by their queries. Its methods are safe
// for use by several goroutines. Losing entries costs time only.
type Memo struct {
	// Workspace is set before the first Get, and once: what was found to be
	// unchanged is not checked again in the same generation.
	Workspace Workspace

	file string
	load func() // reads the file, once

	mu      sync.Mutex
	entries map[Query]*entry
	size    int64 // of the file
	damaged bool  // the file must be rewritten
}

// An entry is a value, valid while its dependencies are unchanged.
type entry struct {
	value   []byte
	table   []*dependency // of the frame that the entry is in
	numbers []byte        // the dependencies' places in table, n of them, as in the file
	n       int
	fresh   bool // not in the file
	used    bool // by this process
}

// A dependency is an observation that entries share. checked is four times the
// generation of the workspace in which it was last checked, plus the outcome.
type dependency struct {
	observation
	checked atomic.Uint64
}

// The outcomes of a check.
const (
	changed = iota
	unchanged
	checking // a goroutine is about to know
)

// Open returns the entries that are kept in a workspace's state directory, and
// begins to read them in the background.
func Open(state string) *Memo {
	m := newMemo(filepath.Join(state, "answers"))
	go m.load()
	return m
}

func newMemo(file string) *Memo {
	m := &Memo{file: file, entries: map[Query]*entry{}}
	m.load = sync.OnceFunc(func() {
		b, err := os.ReadFile(file)
		m.size = int64(len(b))
		m.damaged = err != nil || !decodeFile(b, fileMagic, m.entries)
	})
	return m
}

// Get returns the value of a query if there is one and everything that it depends
// on is unchanged.
func (m *Memo) Get(q Query) ([]byte, bool) {
	e := m.entry(q)
	if e == nil || !m.isValid(e) {
		return nil, false
	}
	m.mu.Lock()
	e.used = true
	m.mu.Unlock()
	return e.value, true
}

// Has reports whether there is an entry for the query, valid or not.
func (m *Memo) Has(q Query) bool { return m.entry(q) != nil }

func (m *Memo) entry(q Query) *entry {
	m.load()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[q]
}

func (m *Memo) put(q Query, e *entry) {
	m.load()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[q] = e
}

// Put keeps the value of a query. It must depend on nothing but the query and what
// r recorded. It is not kept if r saw something that it cannot record, such as a
// link.
func (m *Memo) Put(q Query, value []byte, r *Recorder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.incomplete {
		return
	}
	list := make([]observation, 0, len(r.seen))
	for _, o := range r.seen {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b observation) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind))
	})
	e := &entry{value: value, n: len(list), fresh: true, used: true}
	for i := range list {
		e.table = append(e.table, &dependency{observation: list[i]})
		e.numbers = append(e.numbers, byte(min(i, 1)))
	}
	m.put(q, e)
}

// Dependencies are checked by several goroutines, so many by each at a time.
const checkChunk = 128

// isValid checks the entry's dependencies, many at a time. The first that has
// changed ends it.
func (m *Memo) isValid(e *entry) bool {
	generation := m.Workspace.Generation()
	var rest []*dependency
	valid := true
	e.each(func(d *dependency) bool {
		switch d.checked.Load() {
		case 4*generation + unchanged:
		case 4*generation + changed:
			valid = false
		default:
			rest = append(rest, d)
		}
		return valid
	})
	if !valid {
		return false
	}
	var next atomic.Int64
	var failed atomic.Bool
	check := func() {
		// Other entries share these dependencies, and may be checked at this
		// moment: what another goroutine is checking comes last.
		var others []*dependency
		for !failed.Load() {
			from := int(next.Add(checkChunk)) - checkChunk
			if from >= len(rest) {
				break
			}
			for _, d := range rest[from:min(from+checkChunk, len(rest))] {
				switch old := d.checked.Load(); {
				case old == 4*generation+checking || old>>2 != generation && !d.checked.CompareAndSwap(old, 4*generation+checking):
					others = append(others, d)
				case !m.check(d, generation):
					failed.Store(true)
					return
				}
			}
		}
		for _, d := range others {
			if failed.Load() || !m.check(d, generation) {
				failed.Store(true)
				return
			}
		}
	}
	var helpers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(rest)/checkChunk) - 1 {
		helpers.Go(check)
	}
	check()
	helpers.Wait()
	return !failed.Load()
}

// check reports whether a dependency is unchanged. It looks at the workspace unless
// another goroutine has done so in this generation.
func (m *Memo) check(d *dependency, generation uint64) bool {
	switch d.checked.Load() {
	case 4*generation + unchanged:
		return true
	case 4*generation + changed:
		return false
	}
	outcome := uint64(changed)
	if d.holds(m.Workspace) {
		outcome = unchanged
	}
	d.checked.Store(4*generation + outcome)
	return outcome == unchanged
}
