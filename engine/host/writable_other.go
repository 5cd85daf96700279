//go:build !unix

package host

import "os"

// writable reports whether files can be made in a directory. Only an attempt tells.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".airbuild-write-*")
	if err != nil {
		return false
	}
	name := f.Name()
	f.Close()
	return os.Remove(name) == nil
}
