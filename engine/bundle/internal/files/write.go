// Package files writes the files of bundles, opens regular files alone, and locks.
package files

import (
	"bufio"
	"io"
	"path/filepath"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// BufferSize is how much is read at once, in bytes.
const BufferSize = 1 << 20

// Write writes a file in a directory, by a temporary file next to it that is flushed
// and renamed. The directory is not flushed. On a failure nothing is left behind, and
// what a killed process left is replaced by the next one.
func Write(dir, name string, write func(io.Writer) error) error {
	return atomicfile.WriteFunc(filepath.Join(dir, name), options(name), func(f io.Writer) error {
		w := bufio.NewWriterSize(f, BufferSize)
		if err := write(w); err != nil {
			return err
		}
		return w.Flush()
	})
}

// WriteBytes is Write of b.
func WriteBytes(dir, name string, b []byte) error {
	return atomicfile.Write(filepath.Join(dir, name), b, options(name))
}

func options(name string) atomicfile.Options {
	return atomicfile.Options{Sync: true, Temp: atomicfile.TempPrefix + name}
}
