package golang

import "github.com/airbuild/airbuild/engine"

// Compiles reports whether a step is one in which the project's toolchain
// compiles the project for good: what it compiles is wanted again by the next
// step and on the next host. Generators and commands of the user's are left
// out: they run in a directory of their own, so that without -trimpath nothing
// they compile is ever asked for again.
func Compiles(s *engine.Step) bool {
	switch s.Type {
	case "go_build", "go_test", "go_vet":
		return true
	}
	return false
}
