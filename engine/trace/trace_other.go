//go:build !linux || !(amd64 || arm64)

package trace

import "context"

// Main does nothing on a system without tracing.
func Main() {}

// Supported reports whether processes can be traced here: never.
func Supported(context.Context) error { return ErrUnsupported }
