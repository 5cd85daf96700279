package action

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Line is one part of a key, as `explain` prints it.
//
//	arg       Name is the position from 0, Value the argument
//	env       a variable and its value
//	dir       Value is the working directory; none for the project's root
//	output    Name is the path, Value how the command declares it
//	platform  a property
//	fact      a "name<TAB>value" line of the salt
//	option    a field of the API that airbuild leaves alone, if it is set
//	input     Name is the path; Value is "sha256:<hex> <size>", with " x" if
//	          executable, "-> <target>" for a link, "dir" for an empty
//	          directory
type Line struct{ Kind, Name, Value string }

// The kinds of a Line, in the order in which Manifest gives them.
const (
	KindArg      = "arg"
	KindEnv      = "env"
	KindDir      = "dir"
	KindOutput   = "output"
	KindPlatform = "platform"
	KindFact     = "fact"
	KindOption   = "option"
	KindInput    = "input"
)

// Explain decodes an Action, its Command and the Tree of its input root and
// returns them line by line. The text is made from the very bytes that are
// hashed, so that it cannot tell anything but what the key covers; that they
// are those bytes is checked.
func Explain(act, command, inputs []byte) ([]Line, error) {
	a, err := UnmarshalAction(act)
	if err != nil {
		return nil, err
	}
	if a.Command != Of(command) {
		return nil, errors.New("explain action: the command is not the one that it names")
	}
	c, err := UnmarshalCommand(command)
	if err != nil {
		return nil, err
	}
	dirs, err := TreeDirectories(inputs)
	if err != nil {
		return nil, err
	}
	if a.InputRoot != Of(dirs[0]) {
		return nil, errors.New("explain action: the tree is not the input root that it names")
	}
	t, err := UnmarshalTree(inputs)
	if err != nil {
		return nil, err
	}
	return Manifest(a, c, t), nil
}

// Manifest writes out every part of a key: an action, its command and its
// flattened inputs. t may be nil if the inputs are not known; there is then
// one input line with the digest of the root. Two actions with different keys
// have different manifests; a test changes every field to hold that.
func Manifest(a *Action, c *Command, t *Tree) []Line {
	m := new(manifest)
	m.command(c)
	m.action(a, c)
	if t == nil {
		m.add(KindInput, ".", fileValue(FileNode{Digest: a.InputRoot}))
		return m.lines
	}
	m.tree(t)
	return m.lines
}

type manifest struct {
	lines    []Line
	children map[Digest]*Directory
}

func (m *manifest) add(kind, name, value string) {
	m.lines = append(m.lines, Line{kind, name, value})
}

func (m *manifest) command(c *Command) {
	for i, a := range c.Arguments {
		m.add(KindArg, strconv.Itoa(i), a)
	}
	for _, e := range sortedBy(c.Env, func(e EnvVar) string { return e.Name }) {
		m.add(KindEnv, e.Name, e.Value)
	}
	if c.WorkingDirectory != "" {
		m.add(KindDir, "", c.WorkingDirectory)
	}
	m.outputs(c)
	m.properties("", c.Platform)
	if c.OutputDirectoryFormat != TreeOnly {
		m.add(KindOption, "output_directory_format", strconv.Itoa(int(c.OutputDirectoryFormat)))
	}
}

// outputs gives each path once, with the lists that hold it.
func (m *manifest) outputs(c *Command) {
	lists := map[string][]string{}
	for _, l := range []struct {
		name  string
		paths []string
	}{{"path", c.OutputPaths}, {"file", c.OutputFiles}, {"directory", c.OutputDirectories}} {
		for _, p := range l.paths {
			if !slices.Contains(lists[p], l.name) {
				lists[p] = append(lists[p], l.name)
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(lists)) {
		m.add(KindOutput, p, strings.Join(lists[p], ","))
	}
}

func (m *manifest) properties(prefix string, list []Property) {
	for _, p := range sortedProperties(list) {
		m.add(KindPlatform, prefix+p.Name, p.Value)
	}
}

func (m *manifest) action(a *Action, c *Command) {
	// The API wants the platform in both; it is worth a second look only
	// where the two differ.
	if !slices.Equal(sortedProperties(a.Platform), sortedProperties(c.Platform)) {
		m.properties("action:", a.Platform)
		if len(a.Platform) == 0 {
			m.add(KindOption, "platform", "command only")
		}
	}
	if len(a.Salt) > 0 {
		for line := range bytes.SplitSeq(bytes.TrimSuffix(a.Salt, []byte("\n")), []byte("\n")) {
			name, value, _ := strings.Cut(string(line), "\t")
			m.add(KindFact, name, value)
		}
	}
	if a.Timeout != 0 {
		m.add(KindOption, "timeout", a.Timeout.String())
	}
	if a.DoNotCache {
		m.add(KindOption, "do_not_cache", "true")
	}
}

// tree flattens t. A directory that the tree lacks is one line with its
// digest: the key covers it all the same.
func (m *manifest) tree(t *Tree) {
	m.children = make(map[Digest]*Directory, len(t.Children))
	for i := range t.Children {
		m.children[Of(t.Children[i].Marshal())] = &t.Children[i]
	}
	start := len(m.lines)
	m.directory("", &t.Root)
	slices.SortFunc(m.lines[start:], func(x, y Line) int { return strings.Compare(x.Name, y.Name) })
}

// directory recurses as deep as the tree; no directory can hold itself,
// because it would have to hold its own digest.
func (m *manifest) directory(prefix string, d *Directory) {
	for _, f := range d.Files {
		m.add(KindInput, prefix+f.Name, fileValue(f))
	}
	for _, l := range d.Symlinks {
		m.add(KindInput, prefix+l.Name, "-> "+l.Target)
	}
	for _, n := range d.Directories {
		name := prefix + n.Name
		child, ok := m.children[n.Digest]
		switch {
		case !ok:
			m.add(KindInput, name+"/", fileValue(FileNode{Digest: n.Digest}))
		case len(child.Files)+len(child.Symlinks)+len(child.Directories) == 0:
			m.add(KindInput, name+"/", "dir")
		default:
			m.directory(name+"/", child)
		}
	}
}

func fileValue(f FileNode) string {
	s := fmt.Sprintf("sha256:%s %d", f.Digest.Hex(), f.Digest.Size)
	if f.Executable {
		s += " x"
	}
	return s
}
