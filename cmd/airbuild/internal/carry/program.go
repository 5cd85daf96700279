package carry

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"

	"github.com/airbuild/airbuild/engine/bundle/create"
)

// maxProgram bounds what is read of a program, in bytes.
const maxProgram = 1 << 30

// needsLibraries says what of the receiver a Linux program needs beside its
// kernel, and nothing for a program that stands alone.
func needsLibraries(f create.Input) (string, error) {
	r, err := f.Open(context.Background())
	if err != nil {
		return "", fmt.Errorf("carry airbuild: %w", err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxProgram))
	if err != nil {
		return "", fmt.Errorf("carry airbuild: %w", err)
	}
	e, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return "", nil // of another system
	}
	libs, err := e.ImportedLibraries()
	if err != nil || len(libs) == 0 {
		return "", nil
	}
	return fmt.Sprintf("needs libraries of the host (%s), which an old or small one may not have", libs[0]), nil
}
