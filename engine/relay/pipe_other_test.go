//go:build !unix

package relay

import "testing"

func makePipe(*testing.T, string) {}
