package golang

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// gomodName is the in-process tool that runs go mod or go work in the project
// and has it write elsewhere. gomodVersion changes when its outputs would.
const (
	gomodName    = "go_mod"
	gomodVersion = "1"
)

// gomodSpec is what the tool gets. In Args, outMark stands for the directory
// that outputs are written to; paths are project-relative.
type gomodSpec struct {
	Args  []string `json:"args"`
	Files []string `json:"files,omitempty"` // outputs that begin as copies of inputs, empty if there is none
	Dirs  []string `json:"dirs,omitempty"`  // outputs that may stay empty
}

// outMark stands for a directory or file that is known only when a tool runs.
const outMark = "%OUT%"

func runGomod(ctx context.Context, call *engine.ToolCall, spec *gomodSpec) error {
	for _, name := range spec.Files {
		text, err := fs.ReadFile(call.In, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copy %s: %w", path.Base(name), err)
		}
		if err := writeNew(filepath.Join(call.Dir, filepath.FromSlash(name)), text); err != nil {
			return fmt.Errorf("copy %s: %w", path.Base(name), err)
		}
	}
	if err := call.Run(ctx, &engine.Process{Path: "go", Args: placeOut(spec.Args, call.Dir)}); err != nil {
		return err
	}
	for _, dir := range spec.Dirs {
		if err := os.MkdirAll(filepath.Join(call.Dir, filepath.FromSlash(dir)), 0o777); err != nil {
			return fmt.Errorf("make output: %w", err)
		}
	}
	return nil
}

// placeOut puts a place where outMark stands.
func placeOut(args []string, place string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		if flag, rest, ok := strings.Cut(a, outMark); ok {
			out[i] = flag + place + filepath.FromSlash(rest)
		}
	}
	return out
}
