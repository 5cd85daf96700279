package source

import (
	"runtime"
	"sync"
	"time"
)

// A watched is a path that git's result depends on, and how it was.
type watched struct {
	kind watchKind
	path string // absolute, or relative to the top of the work tree
	state
}

// A watchKind says what of a path matters.
type watchKind byte

const (
	// watchEntry: the file, link or directory itself. Of a directory that is
	// what names are in it, not what they hold.
	watchEntry  watchKind = iota
	watchTarget           // the same, of what the links at path lead to
	// watchPlace: that the same directory is there. What comes and goes in it
	// does not matter.
	watchPlace
	watchTargetPlace // the same, of what the links at path lead to
	watchKinds
)

// A state is what tells that something has not been written since. The zero
// state is that nothing is there.
type state struct {
	size, mtime, ctime int64 // bytes, nanoseconds
	inode, device      uint64
	mode               uint32 // as the system has it
}

// The racy window: what changed within it before it was looked at could
// change again without its times telling. Times without a fraction come from
// file systems that keep whole seconds, or two. The stat index has the same.
const (
	racyFine   = 20 * time.Millisecond
	racyCoarse = 2100 * time.Millisecond
)

// racy reports whether the state, seen at the given time or later, may have
// been followed by another that looks the same.
func (w *watched) racy(at time.Time) bool {
	if w.state == (state{}) || w.kind == watchPlace || w.kind == watchTargetPlace {
		return false
	}
	window := racyFine
	if w.ctime%int64(time.Second) == 0 {
		window = racyCoarse
	}
	return w.ctime >= at.Add(-window).UnixNano()
}

// lookAt returns how each of the paths is now. An error means that this
// cannot be told.
func lookAt(top string, list []watched) ([]state, error) {
	l, err := openLooker(top)
	if err != nil {
		return nil, err
	}
	defer l.close()
	const least = 64 // less is not worth a goroutine
	out := make([]state, len(list))
	share := max(least, (len(list)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	errs := make([]error, len(list)/share+1)
	var wg sync.WaitGroup
	for i := 0; i*share < len(list); i++ {
		from, to := i*share, min((i+1)*share, len(list))
		wg.Go(func() { errs[i] = l.all(list[from:to], out[from:to]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *looker) all(list []watched, out []state) error {
	for i := range list {
		kind := list[i].kind
		s, err := l.look(list[i].path, kind == watchTarget || kind == watchTargetPlace)
		if err != nil {
			return err
		}
		if kind == watchPlace || kind == watchTargetPlace {
			s = state{inode: s.inode, device: s.device, mode: s.mode & typeBits}
		}
		out[i] = s
	}
	return nil
}
