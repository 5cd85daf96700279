package action

import (
	"errors"
	"fmt"
	"strings"
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
	err := decode("Digest", b, func(f *field) error {
		switch f.number {
		case 1:
			return f.string(&hash)
		case 2:
			return f.int64(&d.Size)
		}
		return nil
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
	err := decode("Command", b, func(f *field) error {
		switch f.number {
		case 1:
			return f.element(&c.Arguments)
		case 2:
			var e EnvVar
			if err := f.pair("EnvironmentVariable", &e.Name, &e.Value); err != nil {
				return err
			}
			c.Env = append(c.Env, e)
		case 3:
			return f.element(&c.OutputFiles)
		case 4:
			return f.element(&c.OutputDirectories)
		case 5:
			return f.platform(&c.Platform)
		case 6:
			return f.string(&c.WorkingDirectory)
		case 7:
			return f.element(&c.OutputPaths)
		case 9:
			return f.int32(&format)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.OutputDirectoryFormat = DirectoryFormat(format)
	return c, nil
}

// pair reads a repeated message of two strings, numbered 1 and 2.
func (f *field) pair(message string, first, second *string) error {
	if err := f.want(wireBytes); err != nil {
		return err
	}
	return decode(message, f.data, func(f *field) error {
		switch f.number {
		case 1:
			return f.string(first)
		case 2:
			return f.string(second)
		}
		return nil
	})
}

func (f *field) platform(to *[]Property) error {
	if err := f.once(wireBytes); err != nil {
		return err
	}
	return decode("Platform", f.data, func(f *field) error {
		if f.number != 1 {
			return nil
		}
		var p Property
		err := f.pair("Property", &p.Name, &p.Value)
		*to = append(*to, p)
		return err
	})
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
	err := decode("Directory", b, func(f *field) error {
		switch f.number {
		case 1:
			n, err := f.node("FileNode", 4)
			d.Files = append(d.Files, n)
			return err
		case 2:
			n, err := f.node("DirectoryNode", 0)
			d.Directories = append(d.Directories, DirectoryNode{n.Name, n.Digest})
			return err
		case 3:
			var l SymlinkNode
			err := f.pair("SymlinkNode", &l.Name, &l.Target)
			d.Symlinks = append(d.Symlinks, l)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.checkNames()
}

// node reads name (1), digest (2) and, if it has a number, is_executable.
func (f *field) node(message string, executable int) (n FileNode, err error) {
	if err := f.want(wireBytes); err != nil {
		return n, err
	}
	err = decode(message, f.data, func(f *field) error {
		switch f.number {
		case 1:
			return f.string(&n.Name)
		case 2:
			return f.digest(&n.Digest)
		case executable:
			return f.bool(&n.Executable)
		}
		return nil
	})
	if err == nil && n.Digest.IsZero() {
		err = fmt.Errorf("%s %q %w", message, n.Name, errNoDigest)
	}
	return n, err
}

func (d *Directory) checkNames() error {
	seen := make(map[string]bool, len(d.Files)+len(d.Directories)+len(d.Symlinks))
	check := func(name string) error {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return fmt.Errorf("decode Directory: %q is not a file name", name)
		}
		if seen[name] {
			return fmt.Errorf("decode Directory: %q occurs twice", name)
		}
		seen[name] = true
		return nil
	}
	for _, f := range d.Files {
		if err := check(f.Name); err != nil {
			return err
		}
	}
	for _, n := range d.Directories {
		if err := check(n.Name); err != nil {
			return err
		}
	}
	for _, l := range d.Symlinks {
		if err := check(l.Name); err != nil {
			return err
		}
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
	err := decode("Tree", b, func(f *field) error {
		switch f.number {
		case 1:
			if err := f.once(wireBytes); err != nil {
				return err
			}
			root = f.data
		case 2:
			if err := f.want(wireBytes); err != nil {
				return err
			}
			children = append(children, f.data)
		}
		return nil
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
	err := decode("Action", b, func(f *field) error {
		switch f.number {
		case 1:
			return f.digest(&a.Command)
		case 2:
			return f.digest(&a.InputRoot)
		case 6:
			return f.duration(&a.Timeout)
		case 7:
			return f.bool(&a.DoNotCache)
		case 9:
			return f.bytes(&a.Salt)
		case 10:
			return f.platform(&a.Platform)
		}
		return nil
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
	err := decode("ActionResult", b, func(f *field) error {
		switch f.number {
		case 2:
			n, err := f.node("OutputFile", 4)
			r.OutputFiles = append(r.OutputFiles, OutputFile{n.Name, n.Digest, n.Executable})
			return err
		case 3:
			d, err := f.outputDirectory()
			r.OutputDirectories = append(r.OutputDirectories, d)
			return err
		case 4:
			return f.int32(&r.ExitCode)
		case 5:
			return f.bytes(&r.StdoutRaw)
		case 6:
			return f.digest(&r.Stdout)
		case 7:
			return f.bytes(&r.StderrRaw)
		case 8:
			return f.digest(&r.Stderr)
		case 9:
			return f.metadata(&r.Metadata)
		case 10, 11:
			return f.link(&old)
		case 12:
			return f.link(&r.OutputSymlinks)
		}
		return nil
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
	if err := f.want(wireBytes); err != nil {
		return d, err
	}
	err = decode("OutputDirectory", f.data, func(f *field) error {
		switch f.number {
		case 1:
			return f.string(&d.Path)
		case 3:
			return f.digest(&d.Tree)
		case 4:
			return f.bool(&d.IsTopologicallySorted)
		case 5:
			return f.digest(&d.Root)
		}
		return nil
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
	return decode("ExecutedActionMetadata", f.data, func(f *field) error {
		switch f.number {
		case 1:
			return f.string(&m.Worker)
		case 7:
			return f.time(&m.ExecutionStart)
		case 8:
			return f.time(&m.ExecutionCompleted)
		case 11:
			return f.auxiliary(m)
		}
		return nil
	})
}

// auxiliary reads one Any of auxiliary_metadata; those of other programs are
// left alone.
func (f *field) auxiliary(m *Metadata) error {
	if err := f.want(wireBytes); err != nil {
		return err
	}
	var kind string
	var value []byte
	err := decode("Any", f.data, func(f *field) error {
		switch f.number {
		case 1:
			return f.string(&kind)
		case 2:
			return f.bytes(&value)
		}
		return nil
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
