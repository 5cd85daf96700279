//go:build !unix

package files

func isInvalid(error) bool { return false }
