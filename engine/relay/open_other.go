//go:build !unix

package relay

// openFlags: there are no named pipes among the files of a directory.
const openFlags = 0

// isTrouble: what cannot be opened counts as not there.
func isTrouble(error) bool { return false }
