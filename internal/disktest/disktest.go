// Package disktest gives tests file systems that are small enough to be filled.
// It has them on Linux only, in a mount namespace of a child process.
package disktest
