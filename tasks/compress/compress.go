// Package compress holds the stage type compress_binary.
package compress

import (
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return nil }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool { return map[string]engine.Tool{} }
