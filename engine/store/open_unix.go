//go:build unix

package store

import "syscall"

// careful opens a file without following a link in its place or waiting for
// a pipe's other end.
const careful = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
