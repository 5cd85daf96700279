package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// samplePeriod is how often the memory of a process tree is looked at. What
// comes and goes between two looks is missed.
const samplePeriod = 50 * time.Millisecond

// watchTree samples the resident memory of a process and all below it, until
// the function it returns is called, which gives the peak in bytes. Pages that
// processes share are counted once for each (the sum of RSS, not PSS: reading
// PSS would slow down what is measured).
func watchTree(root int) func() int64 {
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		tick := time.NewTicker(samplePeriod)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
				most = max(most, treeRSS(root))
			}
		}
	}()
	return func() int64 { close(stop); return <-peak }
}

// treeRSS sums the resident memory of root's process tree, in bytes.
func treeRSS(root int) int64 {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	parent, pages := map[int]int{}, map[int]int64{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		// The program's name is in parentheses and may hold anything.
		end := strings.LastIndexByte(string(text), ')')
		if err != nil || end < 0 {
			continue
		}
		fields := strings.Fields(string(text[end+1:])) // from field 3, the state
		if len(fields) < 22 {
			continue
		}
		parent[pid], _ = strconv.Atoi(fields[1])
		pages[pid], _ = strconv.ParseInt(fields[21], 10, 64)
	}
	var sum int64
	for pid := range pages {
		for p, hops := pid, 0; p != 0 && hops < 64; p, hops = parent[p], hops+1 {
			if p == root {
				sum += pages[pid]
				break
			}
		}
	}
	return sum * int64(os.Getpagesize())
}
