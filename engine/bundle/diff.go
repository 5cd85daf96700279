package bundle

import (
	"maps"
	"slices"
)

// A Difference is what two bundles do not have in common.
type Difference struct {
	Components []ComponentDifference // by name, those that differ only
}

// A ComponentDifference is that of one component.
type ComponentDifference struct {
	Name           string
	Added, Removed bool // the component as a whole
	Files          []FileDifference
	Metadata       []string // names of values that differ
}

// A FileDifference is one file that differs: Old is nil where it was added, New
// where it was removed.
type FileDifference struct{ Old, New *File }

// Diff compares the files of two bundles, whether they carry their contents or
// not.
func Diff(old, new *Bundle) *Difference {
	d := &Difference{}
	names := map[string]bool{}
	for _, b := range []*Bundle{old, new} {
		for _, c := range b.src.Root.Components {
			names[c.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if c := diffComponent(name, old, new); c != nil {
			d.Components = append(d.Components, *c)
		}
	}
	return d
}

// diffComponent returns nil if there is no difference.
func diffComponent(name string, old, new *Bundle) *ComponentDifference {
	a, b := old.src.Root.Component(name), new.src.Root.Component(name)
	c := &ComponentDifference{Name: name, Added: a == nil, Removed: b == nil}
	var before, after []File
	if a != nil {
		before = old.src.Index.Component(name).Files
	}
	if b != nil {
		after = new.src.Index.Component(name).Files
	}
	c.Files = diffFiles(before, after)
	if a != nil && b != nil {
		c.Metadata = diffMetadata(a.Metadata, b.Metadata)
	}
	if !c.Added && !c.Removed && len(c.Files) == 0 && len(c.Metadata) == 0 {
		return nil
	}
	return c
}

// diffFiles merges two lists that are sorted by path.
func diffFiles(old, new []File) []FileDifference {
	var list []FileDifference
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(new) == 0 || len(old) > 0 && old[0].Path < new[0].Path:
			list = append(list, FileDifference{Old: &old[0]})
			old = old[1:]
		case len(old) == 0 || new[0].Path < old[0].Path:
			list = append(list, FileDifference{New: &new[0]})
			new = new[1:]
		default:
			if old[0].Digest != new[0].Digest || old[0].Executable != new[0].Executable {
				list = append(list, FileDifference{Old: &old[0], New: &new[0]})
			}
			old, new = old[1:], new[1:]
		}
	}
	return list
}

func diffMetadata(a, b map[string]string) []string {
	var list []string
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			list = append(list, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return list
}
