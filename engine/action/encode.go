package action

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// InputTreeType is the type of the Any that carries Metadata.Inputs.
const InputTreeType = "type.googleapis.com/airbuild.v1.InputTree"

// Marshal returns the canonical Digest message.
func (d Digest) Marshal() []byte { return d.appendTo(nil) }

func (d Digest) appendTo(b []byte) []byte {
	if d.IsZero() {
		return b
	}
	b = append(b, 1<<3|wireBytes, 2*sha256.Size)
	b = hex.AppendEncode(b, d.Hash[:])
	return appendVarint(b, 2, uint64(d.Size))
}

// Marshal returns the canonical Command message. Environment and platform are
// sorted by name, output lists sorted and without repetition. Variables of the
// same name keep their order, because the last one counts.
func (c *Command) Marshal() []byte {
	var b []byte
	for _, a := range c.Arguments {
		b = appendElement(b, 1, a)
	}
	env := slices.Clone(c.Env)
	slices.SortStableFunc(env, func(x, y EnvVar) int { return strings.Compare(x.Name, y.Name) })
	for _, e := range env {
		b = appendPair(b, 2, e.Name, e.Value)
	}
	b = appendPaths(b, 3, c.OutputFiles)
	b = appendPaths(b, 4, c.OutputDirectories)
	b = appendPlatform(b, 5, c.Platform)
	b = appendString(b, 6, c.WorkingDirectory)
	b = appendPaths(b, 7, c.OutputPaths)
	return appendVarint(b, 9, uint64(int64(c.OutputDirectoryFormat)))
}

// appendPair writes a message of two strings, numbered 1 and 2.
func appendPair(b []byte, field int, first, second string) []byte {
	return appendMessage(b, field, func(b []byte) []byte {
		return appendString(appendString(b, 1, first), 2, second)
	})
}

func appendPaths(b []byte, field int, paths []string) []byte {
	for _, p := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		b = appendElement(b, field, p)
	}
	return b
}

// appendPlatform writes a Platform message; no properties are no message.
func appendPlatform(b []byte, field int, properties []Property) []byte {
	if len(properties) == 0 {
		return b
	}
	return appendMessage(b, field, func(b []byte) []byte {
		for _, p := range sortedProperties(properties) {
			b = appendPair(b, 1, p.Name, p.Value)
		}
		return b
	})
}

func sortedProperties(list []Property) []Property {
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y Property) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Value, y.Value))
	})
	return list
}

// Marshal returns the canonical Directory message, each list sorted by name.
func (d *Directory) Marshal() []byte { return d.appendTo(nil) }

func (d *Directory) appendTo(b []byte) []byte {
	for _, f := range sortedBy(d.Files, func(f FileNode) string { return f.Name }) {
		b = appendMessage(b, 1, func(b []byte) []byte {
			b = appendDigest(appendString(b, 1, f.Name), 2, f.Digest)
			return appendBool(b, 4, f.Executable)
		})
	}
	for _, n := range sortedBy(d.Directories, func(n DirectoryNode) string { return n.Name }) {
		b = appendMessage(b, 2, func(b []byte) []byte {
			return appendDigest(appendString(b, 1, n.Name), 2, n.Digest)
		})
	}
	for _, l := range sortedBy(d.Symlinks, func(l SymlinkNode) string { return l.Name }) {
		b = appendPair(b, 3, l.Name, l.Target)
	}
	return b
}

// sortedBy returns list in the order of key: itself if it is so already,
// which is what makers of large directories give.
func sortedBy[T any](list []T, key func(T) string) []T {
	order := func(x, y T) int { return strings.Compare(key(x), key(y)) }
	if slices.IsSortedFunc(list, order) {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, order)
	return list
}

// Marshal returns the canonical Tree message. The order of the children is
// the caller's: parents before children.
func (t *Tree) Marshal() []byte {
	b := appendMessage(nil, 1, t.Root.appendTo)
	for i := range t.Children {
		b = appendMessage(b, 2, t.Children[i].appendTo)
	}
	return b
}

// Marshal returns the canonical Action message. Its digest is the step's key.
func (a *Action) Marshal() []byte {
	b := appendDigest(nil, 1, a.Command)
	b = appendDigest(b, 2, a.InputRoot)
	b = appendDuration(b, 6, a.Timeout)
	b = appendBool(b, 7, a.DoNotCache)
	b = appendString(b, 9, a.Salt)
	return appendPlatform(b, 10, a.Platform)
}

// Marshal returns the canonical ActionResult message, outputs sorted by path.
func (r *Result) Marshal() []byte {
	var b []byte
	for _, f := range sortedBy(r.OutputFiles, func(f OutputFile) string { return f.Path }) {
		b = appendMessage(b, 2, func(b []byte) []byte {
			b = appendDigest(appendString(b, 1, f.Path), 2, f.Digest)
			return appendBool(b, 4, f.Executable)
		})
	}
	for _, d := range sortedBy(r.OutputDirectories, func(d OutputDirectory) string { return d.Path }) {
		b = appendMessage(b, 3, func(b []byte) []byte {
			b = appendDigest(appendString(b, 1, d.Path), 3, d.Tree)
			return appendDigest(appendBool(b, 4, d.IsTopologicallySorted), 5, d.Root)
		})
	}
	b = appendVarint(b, 4, uint64(int64(r.ExitCode)))
	b = appendString(b, 5, r.StdoutRaw)
	b = appendDigest(b, 6, r.Stdout)
	b = appendString(b, 7, r.StderrRaw)
	b = appendDigest(b, 8, r.Stderr)
	if !r.Metadata.isZero() {
		b = appendMessage(b, 9, r.Metadata.appendTo)
	}
	for _, l := range sortedBy(r.OutputSymlinks, func(l OutputSymlink) string { return l.Path }) {
		b = appendPair(b, 12, l.Path, l.Target)
	}
	return b
}

func (m *Metadata) isZero() bool {
	return m.Worker == "" && m.ExecutionStart.IsZero() && m.ExecutionCompleted.IsZero() && m.Inputs.IsZero()
}

func (m *Metadata) appendTo(b []byte) []byte {
	b = appendString(b, 1, m.Worker)
	b = appendTime(b, 7, m.ExecutionStart)
	b = appendTime(b, 8, m.ExecutionCompleted)
	if m.Inputs.IsZero() {
		return b
	}
	return appendMessage(b, 11, func(b []byte) []byte {
		return appendMessage(appendString(b, 1, InputTreeType), 2, m.Inputs.appendTo)
	})
}
