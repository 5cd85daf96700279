package local

import (
	"os"
	"path"
	"path/filepath"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// fixedProject is where FixedPath and Hermetic steps find the project. The paths
// that programs write (compilers into objects, tests into logs) are then the same on
// every host, so that results which depend on them can be used everywhere.
const fixedProject = sandbox.Own + "/project"

// fixedPrefix is what the names of the project's files begin with in there.
var fixedPrefix = []byte(fixedProject + "/")

// A layout says where the files of one execution are. It does not change while the
// step runs.
type layout struct {
	p       *engine.Prepared
	project string // root of the project
	dir     string // scratch, removed afterwards
	out     string // where outputs (and, staged, inputs) are, as in the project
	tmp     string // for temporary files of processes
	// fixed: processes find the project at fixedProject.
	fixed bool
	// copied: what they find there is a copy of the inputs, in out.
	copied bool
}

// workDir is the working directory in the scratch copy of the project, where
// outputs are looked for first.
func (l *layout) workDir() string {
	return filepath.Join(l.out, filepath.FromSlash(l.p.Command.WorkingDirectory))
}

// runDir is the working directory that the command runs in.
func (l *layout) runDir() string {
	switch {
	case l.fixed:
		return path.Join(fixedProject, l.p.Command.WorkingDirectory)
	case l.inProject():
		return filepath.Join(l.project, filepath.FromSlash(l.p.Command.WorkingDirectory))
	}
	return l.workDir()
}

// inProject reports whether the command runs in the project itself.
func (l *layout) inProject() bool { return l.p.Step.Mode == engine.Workspace && !l.copied }

// home is the step's own home directory.
func (l *layout) home() string { return filepath.Join(l.dir, "home") }

// private are the step's own home and temporary directory.
func (l *layout) private() []string { return []string{l.home(), l.tmp} }

// makeDirs makes the working directory and the outputs' parents, and for what
// surely starts programs the private directories.
func (l *layout) makeDirs() error {
	dirs := []string{l.workDir()}
	for _, p := range l.p.Command.OutputPaths {
		dirs = append(dirs, filepath.Dir(filepath.Join(l.workDir(), filepath.FromSlash(p))))
	}
	if l.p.Step.Mode != engine.InProcess {
		dirs = append(dirs, l.private()...)
	}
	return makeAll(dirs)
}

// outsideTemp makes a directory for temporary files outside the project, if the
// scratch directory is in it, as with a cache in the project. Compilers write
// down where they work: the go command takes what is below a module for the
// module's own files, and the path, which is another one each time, comes out in
// binaries. It returns "" if none is needed, or the place does not exist.
func outsideTemp(root, scratch string) string {
	real := func(p string) string {
		if at, err := filepath.EvalSymlinks(p); err == nil {
			return at
		}
		return p
	}
	root = real(root)
	if !within(root, real(scratch)) {
		return ""
	}
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if dir, err := filepath.Abs(dir); err != nil || within(root, real(dir)) {
			continue
		}
		if tmp, err := os.MkdirTemp(dir, "airbuild-step-*"); err == nil {
			return tmp
		}
	}
	return ""
}
