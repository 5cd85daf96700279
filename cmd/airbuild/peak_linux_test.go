package main

import (
	"os"
	"syscall"
)

// peakMemory is the largest resident memory of an ended process, in bytes.
func peakMemory(p *os.ProcessState) int64 {
	if ru, ok := p.SysUsage().(*syscall.Rusage); ok {
		return ru.Maxrss * 1024
	}
	return 0
}
