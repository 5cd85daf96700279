package load

import (
	"runtime"
	"sync/atomic"

	"github.com/sourcegraph/conc"
)

// Packages are loaded one after the other, in the order of their imports. What
// the files of a directory say hangs on nothing but the directory, so while one
// package is loaded, others that it imports are read ahead on the other
// processors: on a host that has not seen the project, reading is most of it.

// An ahead reads directories before they are asked for. All but the reading
// itself is done by the goroutine that loads.
type ahead struct {
	read  func(dir string, list []entry) []*fact
	slots chan struct{}
	stop  atomic.Bool
	wg    conc.WaitGroup
	begun map[string]*reading // nil for what was read by who asked
}

// A reading is done once, by who claims it.
type reading struct {
	claimed atomic.Bool
	done    chan struct{}
	known   []*fact
}

func newAhead(read func(string, []entry) []*fact) *ahead {
	return &ahead{read: read, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), begun: map[string]*reading{}}
}

// begin has a directory read, unless it was already.
func (a *ahead) begin(dir string, list []entry) {
	if _, ok := a.begun[dir]; ok || cap(a.slots) < 2 {
		return
	}
	r := &reading{done: make(chan struct{})}
	a.begun[dir] = r
	a.wg.Go(func() {
		a.slots <- struct{}{}
		defer func() { <-a.slots }()
		if !a.stop.Load() && r.claimed.CompareAndSwap(false, true) {
			defer close(r.done) // after a panic too: wg tells it
			r.known = a.read(dir, list)
		}
	})
}

// take returns what the files of a directory say, if that is read by now or
// about to be; otherwise it is the caller's to read, now and each time.
func (a *ahead) take(dir string) ([]*fact, bool) {
	r := a.begun[dir]
	if r == nil {
		return nil, false
	}
	if r.claimed.CompareAndSwap(false, true) {
		a.begun[dir] = nil
		return nil, false
	}
	<-r.done
	return r.known, r.known != nil
}

// end waits for what is being read; nothing more is begun.
func (a *ahead) end() {
	a.stop.Store(true)
	a.wg.Wait()
}
