//go:build !linux

package tree

// readSmall leaves all files to the os package.
func readSmall(string, []byte) (b []byte, ok bool) { return nil, false }
