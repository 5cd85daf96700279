// Package action holds the values of the Remote Execution API v2 that airbuild
// keys its work by, and their canonical bytes.
//
// The names, fields and numbers are those of remote_execution.proto
// (build.bazel.remote.execution.v2, github.com/bazelbuild/remote-apis). The
// encoding is written by hand so that the key of every step hangs on code in
// this package alone; a test holds it byte-equal to the published stubs.
//
// Canonical means: fields in number order, defaults left out, and the orders
// that the API demands (environment, properties, nodes and output paths sorted
// by name as byte strings). Marshal methods sort copies; they do not change
// their receiver.
package action

import "time"

// A Property is one name/value pair of a Platform.
type Property struct{ Name, Value string }

// An EnvVar is one environment variable of a Command.
type EnvVar struct{ Name, Value string }

// A DirectoryFormat says in which form an executor reports an output directory.
type DirectoryFormat int32

// The forms of the API (2.3+). airbuild asks for TreeAndDirectory, so that an
// output directory grafts into the next step's inputs without being hashed.
const (
	TreeOnly         DirectoryFormat = 0
	DirectoryOnly    DirectoryFormat = 1
	TreeAndDirectory DirectoryFormat = 2
)

// A Command is what runs: arguments, environment, where, and what it makes.
// Paths are slash-separated and relative. Output paths are relative to
// WorkingDirectory. A command with outputs carries OutputPaths and, for
// servers older than 2.1, OutputFiles or OutputDirectories too.
type Command struct {
	Arguments             []string
	Env                   []EnvVar
	OutputFiles           []string
	OutputDirectories     []string
	OutputPaths           []string
	Platform              []Property
	WorkingDirectory      string
	OutputDirectoryFormat DirectoryFormat
}

// A FileNode is a file of a Directory.
type FileNode struct {
	Name       string
	Digest     Digest
	Executable bool
}

// A DirectoryNode is a directory of a Directory, by the digest of its bytes.
type DirectoryNode struct {
	Name   string
	Digest Digest
}

// A SymlinkNode is a symbolic link of a Directory. Target is as in the link.
type SymlinkNode struct{ Name, Target string }

// A Directory is one node of a Merkle tree. Names are single path elements and
// unique across the three lists.
type Directory struct {
	Files       []FileNode
	Directories []DirectoryNode
	Symlinks    []SymlinkNode
}

// A Tree is a directory with all that is below it, in one message.
type Tree struct {
	Root     Directory
	Children []Directory // each once, parents before children
}

// An Action is the key of a step: the digest of its bytes. Timeout is left
// zero by airbuild, so that giving a step more time does not rebuild it. Salt
// carries the facts that are no files, one "name<TAB>value" a line, sorted.
type Action struct {
	Command    Digest
	InputRoot  Digest
	Timeout    time.Duration
	DoNotCache bool
	Salt       []byte
	Platform   []Property
}

// An OutputFile is a file that a step made. Path is relative to the command's
// working directory.
type OutputFile struct {
	Path       string
	Digest     Digest
	Executable bool
}

// An OutputDirectory is a directory that a step made: the digest of a Tree
// message and, where the executor gives it, of the root Directory.
type OutputDirectory struct {
	Path                  string
	Tree                  Digest
	IsTopologicallySorted bool
	Root                  Digest
}

// An OutputSymlink is a symbolic link that a step made.
type OutputSymlink struct{ Path, Target string }

// Metadata says who did a step and when. Zero times are left out.
type Metadata struct {
	Worker             string
	ExecutionStart     time.Time
	ExecutionCompleted time.Time

	// Inputs is airbuild's own: the digest of the Tree message of the input
	// root, kept for `explain`. It travels as an Any of type
	// "type.googleapis.com/airbuild.v1.InputTree" in auxiliary_metadata, whose
	// value is the canonical Digest message. Zero where unknown.
	Inputs Digest
}

// A Result is the API's ActionResult. Small logs may be inline (StdoutRaw);
// otherwise Stdout names them. airbuild writes both streams, as they came, to
// stdout.
type Result struct {
	OutputFiles       []OutputFile
	OutputDirectories []OutputDirectory
	OutputSymlinks    []OutputSymlink
	ExitCode          int32
	StdoutRaw         []byte
	Stdout            Digest
	StderrRaw         []byte
	Stderr            Digest
	Metadata          Metadata
}
