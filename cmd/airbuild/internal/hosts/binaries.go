package hosts

import (
	"errors"
	"io/fs"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/host/binary"
)

// A Binary is a binary with what came of holding it against a host.
type Binary struct {
	*binary.Report
	Fits     bool             `json:"fits"`
	Findings []binary.Finding `json:"findings"`
}

// ExamineBinary looks for the binary's libraries where that can be answered: on this
// host if the binary is for it, or in the root that was named. If the target was
// not named (against) nothing but a missing library counts as a misfit: looking at a binary for
// another system is no mistake.
func ExamineBinary(r *binary.Report, target binary.Target, root string, against bool) Binary {
	b := Binary{Report: r, Fits: true, Findings: []binary.Finding{}}
	here := root != "" || !against && r.OS == target.OS && r.Arch == target.Arch
	if here {
		binary.Resolve(r, root)
		b.Fits = len(r.Problems) == 0
	}
	if !against && (root != "" || !here) {
		return b
	}
	b.Findings = binary.Fits(r, target)
	for _, finding := range b.Findings {
		b.Fits = b.Fits && finding.OK
	}
	return b
}

// CheckBinary says whether a binary would run on the target, which is this host if
// here is set.
func CheckBinary(name string, reports []*binary.Report, target binary.Target, here bool) []host.Row {
	report := fitting(reports, target)
	var libraries []host.Row
	if here && report.OS == target.OS && report.Arch == target.Arch {
		libraries = libraryRows(name, report)
	}
	var rows []host.Row
	for _, finding := range binary.Fits(report, target) {
		r := host.Row{What: finding.What + " " + name, Expected: finding.Expected, Found: finding.Found, Status: host.OK}
		if !finding.OK {
			r.Status, r.Fix = host.Mismatch, finding.Fix
		}
		rows = append(rows, r)
	}
	return append(rows, libraries...)
}

// LibrariesFix is what to do where the dynamic loader does not find something.
const LibrariesFix = "install the package that has it; or ship it next to the binary, linked with -Wl,-rpath,'$ORIGIN'; or link statically (Go: CGO_ENABLED=0)"

// libraryRows say whether this host's dynamic loader finds all that a binary
// needs. What libraries beside it need is the binary's need from then on.
func libraryRows(name string, r *binary.Report) (rows []host.Row) {
	binary.Resolve(r, "")
	row := host.Row{What: "libraries " + name, Expected: "all found", Found: "all found", Status: host.OK}
	switch {
	case !r.Resolved || r.Static:
		return nil
	case len(r.Problems) == 0:
		return []host.Row{row}
	}
	for _, p := range r.Problems {
		row.Found, row.Status, row.Fix = p, host.Mismatch, LibrariesFix
		rows = append(rows, row)
	}
	return rows
}

// fitting is the part of a universal file that the target would run, or the
// first.
func fitting(reports []*binary.Report, t binary.Target) *binary.Report {
	for _, r := range reports {
		if r.Arch == t.Arch {
			return r
		}
	}
	return reports[0]
}

// OpenBinary reads a binary; one that is not there or is none is a mistake on
// the command line.
func OpenBinary(name string) ([]*binary.Report, error) {
	reports, err := binary.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, binary.ErrFormat):
		return nil, exit.UsageError("%w", err)
	}
	return reports, err
}
