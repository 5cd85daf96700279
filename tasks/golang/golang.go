// Package golang holds the stage types that run the Go toolchain: go_tidy,
// go_download, go_vendor, go_generate, go_vet, go_test and go_build; and how the
// modules of a project are collected for a bundle.
package golang

import (
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// Tasks returns the stage types of this package.
func Tasks(cfg *gocmd.Config) []tasks.Task {
	return []tasks.Task{
		&build{cfg}, &test{cfg}, &vet{cfg}, &generate{cfg},
		&tidy{cfg}, &vendor{cfg}, &download{cfg},
	}
}

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools(cfg *gocmd.Config) map[string]engine.Tool {
	return map[string]engine.Tool{
		lipoName:     tasks.Tool[lipoSpec](runLipo),
		downloadName: tasks.Tool[downloadSpec]((&downloadTool{cfg}).run),
		gomodName:    tasks.Tool[gomodSpec](runGomod),
		notesName:    tasks.Tool[notesSpec](runNotes),
	}
}
