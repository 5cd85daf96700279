//go:build unix

package relay

import (
	"syscall"
	"testing"
)

// makePipe makes a named pipe: to open it would wait for ever.
func makePipe(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o666); err != nil {
		t.Fatal(err)
	}
}
