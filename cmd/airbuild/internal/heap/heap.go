// Package heap paces the garbage collector for programs that end soon.
package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapStart is how much is allocated, in bytes, before the first collection of
// garbage: most commands end without one. heapRoom is what may be allocated
// from one collection to the next beside as much as was found in use: a plan of
// ten thousand steps needs two collections instead of eight.
const (
	heapStart = 64 << 20
	heapRoom  = 32 << 20
)

// leastHeap is when Go collects first with GOGC=100.
const leastHeap = 4 << 20

// Pace sets the collector so. Whoever sets GOGC or GOMEMLIMIT
// decides alone.
func Pace(lookupEnv func(string) (string, bool)) {
	for _, name := range [...]string{"GOGC", "GOMEMLIMIT"} {
		if _, set := lookupEnv(name); set {
			return
		}
	}
	debug.SetGCPercent(100 * heapStart / leastHeap)
	afterCollection(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		used := uint64(leastHeap)
		if live[0].Value.Kind() == metrics.KindUint64 {
			used = max(used, live[0].Value.Uint64())
		}
		debug.SetGCPercent(int(100 * (used + heapRoom) / used))
	})
}

// afterCollection calls f after every collection: each finds a small thing that
// nobody holds, and another is made for the next.
func afterCollection(f func()) {
	type mark struct{ _ [2]*int }
	runtime.SetFinalizer(&mark{}, func(*mark) {
		f()
		afterCollection(f)
	})
}
