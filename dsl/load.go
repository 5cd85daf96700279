package dsl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Load reads and parses the named file of fsys and everything it includes.
// It reports all mistakes of all files; the module is never nil and holds
// what could be understood.
func Load(fsys fs.FS, name string) (*Module, hcl.Diagnostics) {
	l := &loader{
		module: &Module{
			Name:         name,
			Settings:     Settings{Dist: defaultDist},
			Variables:    map[string]*Variable{},
			Locals:       map[string]*hclsyntax.Attribute{},
			Environments: map[string]*Environment{},
			Sources:      map[string][]byte{},
			Files:        fsys,
		},
		included: map[string]hcl.Range{},
		names:    map[string]hcl.Range{},
	}
	l.file(name, nil)
	return l.module, l.diags
}

const defaultDist = "dist"

// A loader builds a module out of files.
type loader struct {
	module *Module
	diags  hcl.Diagnostics
	// included is where each file was taken in first; the root has the zero
	// range.
	included map[string]hcl.Range
	stack    []string             // the files being read, outermost first
	damage   damage               // of the current file
	names    map[string]hcl.Range // "stage bin" → where it is declared
}

// file reads one file. from is the label of the include block, nil for the
// root.
func (l *loader) file(name string, from *hcl.Range) {
	src, err := fs.ReadFile(l.module.Files, name)
	if err != nil {
		l.unreadable(name, err, from)
		return
	}
	if from != nil {
		l.included[name] = *from
	} else {
		l.included[name] = hcl.Range{}
	}
	l.module.Sources[name] = src
	l.stack = append(l.stack, name)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()

	body, diags := parse(src, name)
	l.diags = append(l.diags, explainSyntax(diags, body)...)
	l.diags = append(l.diags, doubleKeys(body)...)
	l.diags = append(l.diags, l.module.budget.meter(body)...)
	damage := damageOf(diags)
	check := &bodyCheck{damage: damage}
	blocks := check.file(body)
	l.diags = append(l.diags, check.diags...)
	l.module.Incomplete = l.module.Incomplete || damage.loses(body)
	for _, block := range blocks {
		l.damage = damage // an include that was read before has set its own
		l.block(block)
	}
}

func (l *loader) unreadable(name string, err error, from *hcl.Range) {
	l.module.Incomplete = true
	diag := &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "File not readable",
		Detail:   fmt.Sprintf("%s: %s.", name, rootCause(err)),
		Subject:  from,
	}
	if info, statErr := fs.Stat(l.module.Files, name); statErr == nil && info.IsDir() {
		diag.Detail = fmt.Sprintf("%q is a folder: name a file in it.", name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		diag.Summary = "File not found"
		diag.Detail = fmt.Sprintf("There is no file %q.", name) + DidYouMean(name, l.module.siblings(name))
	}
	l.diags = append(l.diags, diag)
}

// rootCause is the innermost message of an error of an fs.FS: the path is
// said anyway.
func rootCause(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// siblings lists the files of the folder that name is in.
func (m *Module) siblings(name string) []string {
	entries, err := fs.ReadDir(m.Files, path.Dir(name))
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() {
			files = append(files, path.Join(path.Dir(name), e.Name()))
		}
	}
	return files
}

// include takes in the file that an include block names.
func (l *loader) include(block *hclsyntax.Block) {
	label, at := block.Labels[0], block.LabelRanges[0]
	current := l.stack[len(l.stack)-1]
	name := path.Join(path.Dir(current), label)
	switch {
	case strings.Contains(label, `\`):
		l.reject(at, "Invalid path", "Paths have forward slashes on every platform.")
		return
	case label == "" || path.IsAbs(label) || !fs.ValidPath(name):
		l.reject(at, "Invalid path",
			"The path of an include is relative to the file that holds it, and must not leave the project.")
		return
	}
	if i := slices.Index(l.stack, name); i >= 0 {
		l.reject(at, "Include cycle",
			fmt.Sprintf("The files include each other: %s.", strings.Join(append(slices.Clone(l.stack[i:]), name), " → ")))
		return
	}
	if first, ok := l.included[name]; ok {
		diag := errorAt(at, "Duplicate include", fmt.Sprintf("%q is already included: remove one of the two.", name))
		diag.Extra = Related{{Range: first, Note: "first included"}}
		l.diags = append(l.diags, diag)
		return
	}
	l.file(name, &at)
}

func (l *loader) reject(at hcl.Range, summary, detail string) {
	l.diags = append(l.diags, errorAt(at, summary, detail))
}

// declare checks a name and reports whether it is valid and new. kind is what
// shares a namespace: "stage", "variable", ….
func (l *loader) declare(kind, name string, at hcl.Range) bool {
	if !hclsyntax.ValidIdentifier(name) {
		l.reject(at, "Invalid name",
			fmt.Sprintf("%q is not a valid name: a name starts with a letter, followed by letters, digits, _ and -.", name))
		return false
	}
	key := kind + " " + name
	if first, ok := l.names[key]; ok {
		diag := errorAt(at, "Duplicate "+kind,
			fmt.Sprintf("The name %q is taken by another %s: rename or remove one of the two.", name, kind))
		diag.Extra = Related{{Range: first, Note: "declared first"}}
		l.diags = append(l.diags, diag)
		return false
	}
	l.names[key] = at
	return true
}

// sortedAttributes returns attributes in source order.
func sortedAttributes(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(attrs), func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.SrcRange.Start.Byte, b.SrcRange.Start.Byte)
	})
}
