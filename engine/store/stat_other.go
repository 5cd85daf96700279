//go:build !linux && !darwin && !windows

package store

import (
	"io/fs"
	"time"
)

// fileIdentity has no more to tell a file from its copy by than its time.
func fileIdentity(info fs.FileInfo) string { return info.ModTime().String() }

// changed returns now: what cannot be dated is not old.
func changed(fs.FileInfo) time.Time { return time.Now() }
