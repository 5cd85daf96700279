// Package golang holds the stage types that run the Go toolchain: go_tidy,
// go_download, go_vendor, go_generate, go_vet, go_test and go_build; Go's table
// of platforms; how a toolchain is found; and the exact closure of a package,
// which is what the key of a build hangs on.
package golang

import (
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// A Config is what the stage types take from outside. It must not be copied
// once it is in use.
type Config struct {
	// Toolchain returns the Go that the project wants. It is called by any
	// goroutine, when something first needs it, and should remember.
	Toolchain func() (*Toolchain, error)
	// LookupEnv reads the host's environment.
	LookupEnv func(string) (string, bool)
	// Root is the project's absolute path. A step that takes its modules from
	// a go_download stage needs it to name the tree to the go command.
	Root string
	// FixedPath reports whether FixedPath steps find the project at the same path
	// on every host; nil: they do not.
	FixedPath func() bool
	// Offline, where it is set, is all that the go command may take modules
	// from: no go process reaches for a network.
	Offline *Offline

	mu       sync.Mutex  // guards what follows
	settings []string    // what `go env` says of proxies and caches; nil until asked
	facts    *load.Facts // what source files say; nil until needed
	state    string      // the directory of the project's state; "" until needed
	// copied is what copies of go.work, go.mod and their sums were made of, by
	// their directory.
	copied map[string]string

	alwaysAsk bool // list by go list only: what tests compare with
}

// Tasks returns the stage types of this package.
func Tasks(cfg *Config) []tasks.Task {
	return []tasks.Task{
		&build{cfg}, &test{cfg}, &vet{cfg}, &generate{cfg},
		&tidy{cfg}, &vendor{cfg}, &download{cfg},
	}
}

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools(cfg *Config) map[string]engine.Tool {
	return map[string]engine.Tool{
		lipoName:     lipoTool{},
		downloadName: &downloadTool{cfg},
		gomodName:    gomodTool{},
		notesName:    notesTool{},
	}
}
