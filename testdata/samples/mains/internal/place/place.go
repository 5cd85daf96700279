// Package place says what the program was built for.
package place

// Name returns the name of the operating system, as people say it.
func Name() string { return name }
