//go:build !unix

package store

// careful is zero where a file cannot be opened without following a link.
const careful = 0
