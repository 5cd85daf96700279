//go:build !windows

package inuse

import "os"

func retry(f func() error) error { return f() }

func inUse(error) bool { return false }

func held(*os.Root, string, error) bool { return false }
