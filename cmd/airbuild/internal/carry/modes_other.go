//go:build !unix

package carry

const keepsModes = false

func isNotDir(error) bool { return false }
