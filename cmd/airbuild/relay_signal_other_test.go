//go:build !unix

package main

import "os"

// terminate ends a process: there is no signal that asks.
func terminate(p *os.Process) error { return p.Kill() }
