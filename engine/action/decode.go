package action

import (
	"errors"
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
)

// The decoders take bytes that nobody vouches for. They refuse what is
// truncated, of a wrong wire type, larger than MaxMessage, or names a blob by
// anything but a whole digest; they skip fields they do not know. What they
// return shares no memory with the input.

var errNoDigest = errors.New("names no digest")

// UnmarshalDigest reads a Digest message. The message with no hash is refused:
// an absent digest is an absent field.
func UnmarshalDigest(b []byte) (Digest, error) {
	var d Digest
	var hash string
	err := decode("Digest", b, table{
		1: func(f *field) error { return f.string(&hash) },
		2: func(f *field) error { return f.int64(&d.Size) },
	})
	if err != nil {
		return Digest{}, err
	}
	if d.Size < 0 {
		return Digest{}, fmt.Errorf("decode Digest: size %d is negative", d.Size)
	}
	if d.Hash, err = ParseHash(hash); err != nil {
		return Digest{}, fmt.Errorf("decode Digest: %w", err)
	}
	if d.IsZero() {
		return Digest{}, fmt.Errorf("decode Digest: %w", errNoDigest)
	}
	return d, nil
}

// UnmarshalCommand reads a Command message.
func UnmarshalCommand(b []byte) (*Command, error) {
	c := new(Command)
	var format int32
	err := decode("Command", b, table{
		1: func(f *field) error { return f.element(&c.Arguments) },
		2: func(f *field) error {
			var e EnvVar
			if err := f.pair("EnvironmentVariable", &e.Name, &e.Value); err != nil {
				return err
			}
			c.Env = append(c.Env, e)
			return nil
		},
		3: func(f *field) error { return f.element(&c.OutputFiles) },
		4: func(f *field) error { return f.element(&c.OutputDirectories) },
		5: func(f *field) error { return f.platform(&c.Platform) },
		6: func(f *field) error { return f.string(&c.WorkingDirectory) },
		7: func(f *field) error { return f.element(&c.OutputPaths) },
		9: func(f *field) error { return f.int32(&format) },
	})
	if err != nil {
		return nil, err
	}
	c.OutputDirectoryFormat = DirectoryFormat(format)
	return c, nil
}

// pair reads a repeated message of two strings, numbered 1 and 2.
func (f *field) pair(message string, first, second *string) error {
	return f.message(message, table{
		1: func(f *field) error { return f.string(first) },
		2: func(f *field) error { return f.string(second) },
	})
}

func (f *field) platform(to *[]Property) error {
	if err := f.once(wireBytes); err != nil {
		return err
	}
	return decode("Platform", f.data, table{1: func(f *field) error {
		var p Property
		err := f.pair("Property", &p.Name, &p.Value)
		*to = append(*to, p)
		return err
	}})
}

// UnmarshalDirectory reads a Directory message. Names that are no single path
// element, or that occur twice, are refused: joining them to a path would
// leave the tree or write one file over another.
func UnmarshalDirectory(b []byte) (*Directory, error) {
	d := new(Directory)
	if err := d.unmarshal(b); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Directory) unmarshal(b []byte) error {
	err := decode("Directory", b, table{
		1: func(f *field) error {
			n, err := f.node("FileNode", 4)
			d.Files = append(d.Files, n)
			return err
		},
		2: func(f *field) error {
			n, err := f.node("DirectoryNode", 0)
			d.Directories = append(d.Directories, DirectoryNode{n.Name, n.Digest})
			return err
		},
		3: func(f *field) error {
			var l SymlinkNode
			err := f.pair("SymlinkNode", &l.Name, &l.Target)
			d.Symlinks = append(d.Symlinks, l)
			return err
		},
	})
	if err != nil {
		return err
	}
	return d.checkNames()
}

// node reads name (1), digest (2) and, if it has a number, is_executable.
func (f *field) node(message string, executable int) (n FileNode, err error) {
	known := table{
		1: func(f *field) error { return f.string(&n.Name) },
		2: func(f *field) error { return f.digest(&n.Digest) },
	}
	known[executable] = func(f *field) error { return f.bool(&n.Executable) } // 0 is no field's number
	err = f.message(message, known)
	if err == nil && n.Digest.IsZero() {
		err = fmt.Errorf("%s %q %w", message, n.Name, errNoDigest)
	}
	return n, err
}

func (d *Directory) checkNames() error {
	names := lists.Map(d.Files, func(f FileNode) string { return f.Name })
	names = append(names, lists.Map(d.Directories, func(n DirectoryNode) string { return n.Name })...)
	names = append(names, lists.Map(d.Symlinks, func(l SymlinkNode) string { return l.Name })...)
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return fmt.Errorf("decode Directory: %q is not a file name", name)
		}
		if seen[name] {
			return fmt.Errorf("decode Directory: %q occurs twice", name)
		}
		seen[name] = true
	}
	return nil
}

// UnmarshalTree reads a Tree message.
func UnmarshalTree(b []byte) (*Tree, error) {
	dirs, err := TreeDirectories(b)
	if err != nil {
		return nil, err
	}
	t := new(Tree)
	if err := t.Root.unmarshal(dirs[0]); err != nil {
		return nil, err
	}
	for _, raw := range dirs[1:] {
		var d Directory
		if err := d.unmarshal(raw); err != nil {
			return nil, err
		}
		t.Children = append(t.Children, d)
	}
	return t, nil
}

// TreeDirectories returns the bytes of each Directory of a Tree message, root
// first, as they stand in b, which they alias. Their digests are those by
// which the nodes name them, even where the writer of the tree knew fields
// that this package does not.
func TreeDirectories(b []byte) ([][]byte, error) {
	var root []byte
	var children [][]byte
	err := decode("Tree", b, table{
		1: func(f *field) error {
			if err := f.once(wireBytes); err != nil {
				return err
			}
			root = f.data
			return nil
		},
		2: func(f *field) error {
			if err := f.want(wireBytes); err != nil {
				return err
			}
			children = append(children, f.data)
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, errors.New("decode Tree: it has no root")
	}
	return append([][]byte{root}, children...), nil
}

// UnmarshalAction reads an Action message.
func UnmarshalAction(b []byte) (*Action, error) {
	a := new(Action)
	err := decode("Action", b, table{
		1:  func(f *field) error { return f.digest(&a.Command) },
		2:  func(f *field) error { return f.digest(&a.InputRoot) },
		6:  func(f *field) error { return f.duration(&a.Timeout) },
		7:  func(f *field) error { return f.bool(&a.DoNotCache) },
		9:  func(f *field) error { return f.bytes(&a.Salt) },
		10: func(f *field) error { return f.platform(&a.Platform) },
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// UnmarshalResult reads an ActionResult message. Symbolic links of servers
// that know only the older lists are taken from there. The paths are as the
// message has them, not checked: compare them with those that the command
// declared before writing to any.
func UnmarshalResult(b []byte) (*Result, error) {
	r := new(Result)
	var old []OutputSymlink
	err := decode("ActionResult", b, table{
		2: func(f *field) error {
			n, err := f.node("OutputFile", 4)
			r.OutputFiles = append(r.OutputFiles, OutputFile{n.Name, n.Digest, n.Executable})
			return err
		},
		3: func(f *field) error {
			d, err := f.outputDirectory()
			r.OutputDirectories = append(r.OutputDirectories, d)
			return err
		},
		4:  func(f *field) error { return f.int32(&r.ExitCode) },
		5:  func(f *field) error { return f.bytes(&r.StdoutRaw) },
		6:  func(f *field) error { return f.digest(&r.Stdout) },
		7:  func(f *field) error { return f.bytes(&r.StderrRaw) },
		8:  func(f *field) error { return f.digest(&r.Stderr) },
		9:  func(f *field) error { return f.metadata(&r.Metadata) },
		10: func(f *field) error { return f.link(&old) },
		11: func(f *field) error { return f.link(&old) },
		12: func(f *field) error { return f.link(&r.OutputSymlinks) },
	})
	if err != nil {
		return nil, err
	}
	if len(r.OutputSymlinks) == 0 {
		r.OutputSymlinks = old
	}
	return r, nil
}

func (f *field) link(to *[]OutputSymlink) error {
	var l OutputSymlink
	err := f.pair("OutputSymlink", &l.Path, &l.Target)
	*to = append(*to, l)
	return err
}

func (f *field) outputDirectory() (d OutputDirectory, err error) {
	err = f.message("OutputDirectory", table{
		1: func(f *field) error { return f.string(&d.Path) },
		3: func(f *field) error { return f.digest(&d.Tree) },
		4: func(f *field) error { return f.bool(&d.IsTopologicallySorted) },
		5: func(f *field) error { return f.digest(&d.Root) },
	})
	if err == nil && d.Tree.IsZero() && d.Root.IsZero() {
		err = fmt.Errorf("OutputDirectory %q %w", d.Path, errNoDigest)
	}
	return d, err
}

func (f *field) metadata(m *Metadata) error {
	if err := f.once(wireBytes); err != nil {
		return err
	}
	return decode("ExecutedActionMetadata", f.data, table{
		1:  func(f *field) error { return f.string(&m.Worker) },
		7:  func(f *field) error { return f.time(&m.ExecutionStart) },
		8:  func(f *field) error { return f.time(&m.ExecutionCompleted) },
		11: func(f *field) error { return f.auxiliary(m) },
	})
}

// auxiliary reads one Any of auxiliary_metadata; those of other programs are
// left alone.
func (f *field) auxiliary(m *Metadata) error {
	var kind string
	var value []byte
	err := f.message("Any", table{
		1: func(f *field) error { return f.string(&kind) },
		2: func(f *field) error { return f.bytes(&value) },
	})
	if err != nil || kind != InputTreeType {
		return err
	}
	if !m.Inputs.IsZero() {
		return errTwice
	}
	m.Inputs, err = UnmarshalDigest(value)
	return err
}
