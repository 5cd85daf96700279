//go:build !unix

package bundle

func isInvalid(error) bool { return false }
