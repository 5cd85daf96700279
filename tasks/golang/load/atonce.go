package load

import (
	"runtime"
	"sync/atomic"

	"github.com/sourcegraph/conc/pool"
)

// fewFiles are read by one goroutine: starting others takes as long.
const fewFiles = 3

// atOnce calls do for each number, on all processors.
func atOnce(numbers []int, do func(int)) {
	workers := min(runtime.GOMAXPROCS(0), len(numbers)/fewFiles)
	if workers < 2 {
		inTurn(numbers, do)
		return
	}
	var next atomic.Int64
	p := pool.New()
	for range workers {
		p.Go(func() {
			for at := int(next.Add(1)) - 1; at < len(numbers); at = int(next.Add(1)) - 1 {
				do(numbers[at])
			}
		})
	}
	p.Wait()
}

// inTurn is atOnce on this processor.
func inTurn(numbers []int, do func(int)) {
	for _, n := range numbers {
		do(n)
	}
}
