package engine

// Traits are what a stage type says of all its steps, so that nobody else needs
// to know stage types by their names. None of them is part of a key.
type Traits struct {
	// Go: the step runs the go command, which chooses the inputs from the
	// project's packages.
	Go bool
	// Compiles: the project's toolchain compiles the project, and the next step
	// and the next host want what it compiles.
	Compiles bool
	// ToolchainOnly: without cgo nothing but the Go toolchain runs.
	ToolchainOnly bool
	// EmbedsOnly: no tests are read, and of the directories below a package only
	// what it embeds.
	EmbedsOnly bool
	// Command: the step runs a command of the user's, with inputs and outputs as
	// the stage declares them.
	Command bool
	// Script: that command is given as it is, and may be a shell script.
	Script bool
	// SideEffects: the step changes something outside the project and the cache.
	SideEffects bool
	// Shipped: the outputs are what users download or install.
	Shipped bool
	// Rebuilt: a rehearsal of a bundle makes the outputs again.
	Rebuilt bool
	// Bill: the outputs are bills of materials, which a bundle also carries apart.
	Bill bool
}
