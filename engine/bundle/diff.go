package bundle

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
func Diff(old, new *Bundle) *Difference { return diff(old, new) }
