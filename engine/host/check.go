package host

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/host/binary"
	"github.com/airbuild/airbuild/engine/host/want"
)

// A Status is how what was found stands to what was expected.
type Status string

// The statuses of a Row.
const (
	OK       Status = "ok"
	Note     Status = "note"     // differs, and need not matter
	Mismatch Status = "mismatch" // does not fit
)

// A Row holds one thing that was expected against what was found.
type Row struct {
	What     string `json:"what"` // "kernel", "command git"
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Status   Status `json:"status"`
	Fix      string `json:"fix,omitempty"` // of a mismatch
}

// Fits reports whether no row is a mismatch.
func Fits(rows []Row) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool { return r.Status == Mismatch })
}

func row(what, expected, found string, ok bool, fix string) Row {
	found = cmp.Or(found, "unknown")
	r := Row{What: what, Expected: expected, Found: found, Status: OK}
	if !ok {
		r.Status, r.Fix = Mismatch, fix
	}
	return r
}

// Check holds f against what is wanted of it. The fingerprint must have been
// taken with the wanted tools, disks and variables.
func Check(w *want.Host, f *Fingerprint) []Row {
	var rows []Row
	add := func(r Row) { rows = append(rows, r) }
	if len(w.OS) > 0 {
		add(row("os", strings.Join(w.OS, " or "), f.OS, slices.Contains(w.OS, f.OS), "use a host of that system"))
	}
	if len(w.Arch) > 0 {
		add(checkArch(w.Arch, f))
	}
	if c := w.Kernel; c.String() != "" {
		add(row("kernel", c.String(), f.Kernel, c.Allows(f.Kernel), "install another kernel, or use another host"))
	}
	if c := w.Glibc; c.String() != "" {
		add(row("glibc", c.String(), f.Libc.String(), f.Libc.Name == "glibc" && c.Allows(f.Libc.Version),
			"use a host with that C library; a program built with CGO_ENABLED=0 needs none"))
	}
	for _, c := range w.Commands {
		add(checkCommand(c, f))
	}
	if w.Memory > 0 {
		add(row("memory", ">= "+Size(w.Memory), Size(f.Memory.Usable()), f.Memory.Usable() >= w.Memory, "give the host, or its control group, more memory"))
	}
	for _, use := range slices.Sorted(maps.Keys(w.Disk)) {
		d, known := f.Disks[use]
		found := ""
		if known {
			found = Size(d.Free) + " free"
		}
		add(row("disk "+use, ">= "+Size(w.Disk[use])+" free", found, known && d.Free >= w.Disk[use], diskFix(use)))
	}
	for _, name := range w.Syscalls {
		s, known := f.Syscalls[name]
		add(row("syscall "+name, "works", s.text(known), known && s.Works, syscallFix(name)))
	}
	for _, v := range w.Env {
		add(checkEnv(v, f))
	}
	return rows
}

func checkArch(wanted []want.Arch, f *Fingerprint) Row {
	var names []string
	ok := false
	for _, a := range wanted {
		names = append(names, a.String())
		ok = ok || a.Name == f.Arch && (a.Level == "" || f.Level != "" && binary.CompareLevels(a.Level, f.Level) <= 0)
	}
	return row("arch", strings.Join(names, " or "), want.Arch{Name: f.Arch, Level: f.Level}.String(), ok, "use a host with such a processor")
}

func checkCommand(c want.Command, f *Fingerprint) Row {
	t, known := f.Tools[c.Name]
	expected := cmp.Or(c.Version.String(), "found")
	fix := fmt.Sprintf("install %s, or put the directory that holds it on PATH", c.Name)
	if t.Found {
		fix = fmt.Sprintf("install %s %s", c.Name, c.Version)
	}
	return row("command "+c.Name, expected, t.text(known), t.Found && c.Version.Allows(t.Version), fix)
}

func checkEnv(v want.Variable, f *Fingerprint) Row {
	set := slices.Contains(f.Env.Names, v.Name)
	value, known := f.Env.Values[v.Name]
	r := row("env "+v.Name, "set", "not set", set, fmt.Sprintf("set %s in the environment", v.Name))
	if set {
		r.Found = "set"
	}
	if v.Exact {
		r = row("env "+v.Name, v.Value, value, set && known && value == v.Value, fmt.Sprintf("set %s=%s in the environment", v.Name, v.Value))
		if !set {
			r.Found = "not set"
		}
	}
	return r
}

func diskFix(use string) string {
	switch use {
	case "cache":
		return "free space with: airbuild cache prune --max-size 5GiB, or put the cache elsewhere with AIRBUILD_CACHE"
	case "tmp":
		return "free space there, or set TMPDIR to a directory on another disk"
	}
	return "free space on the disk of the project"
}

func syscallFix(name string) string {
	switch {
	case strings.HasSuffix(name, "_namespaces"):
		return "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns; in a container, its seccomp profile"
	case name == "io_uring":
		return "sysctl kernel.io_uring_disabled=0, a kernel from 5.1 on; in a container, its seccomp profile"
	case name == "landlock":
		return "a kernel from 5.13 on with landlock in its list of security modules (lsm=)"
	}
	return "a newer kernel; in a container, its seccomp profile"
}

// String is "glibc 2.36", or "none".
func (l Libc) String() string {
	if l.Name == "" {
		return "none"
	}
	return strings.TrimSpace(l.Name + " " + l.Version)
}

func (s Syscall) text(known bool) string {
	switch {
	case !known:
		return "not probed"
	case s.Works && s.Detail != "":
		return "works, " + s.Detail
	case s.Works:
		return "works"
	}
	return "no: " + s.Detail
}

func (t Tool) text(known bool) string {
	switch {
	case !known:
		return "not looked for"
	case !t.Found:
		return "not found"
	case t.Version == "":
		return "found"
	}
	return t.Version
}

// Size writes bytes for people: "1.5 GiB".
func Size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, "KiB"
	for _, u := range []string{"MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + " " + unit
}

// clockSkew is how far the clocks of two fingerprints that are compared may be
// apart before it is worth a note. One may be weeks old: only a clock that is
// behind tells anything.
const clockSkew = 5 * time.Minute

// Compare holds the host here against the fingerprint there of a host on which
// the same work ran: whether it will run here.
//
// A mismatch is: another system or C library; a processor, kernel or C library
// that is less than there; a service of the kernel that works there and not
// here; a program that is there and not here, or here with a lower version of
// Go. What is only less or other (memory, disk, limits, versions of programs,
// variables, time zone) is a note.
func Compare(there, here *Fingerprint) []Row {
	c := &comparison{there: there, here: here}
	c.platform()
	c.syscalls()
	c.tools()
	c.amounts()
	c.surroundings()
	return c.rows
}

type comparison struct {
	there, here *Fingerprint
	rows        []Row
}

func (c *comparison) must(what, expected, found string, ok bool, fix string) {
	c.rows = append(c.rows, row(what, expected, found, ok, fix))
}

// note adds a row that is no mismatch, whatever was found.
func (c *comparison) note(what, expected, found string, same bool) {
	r := row(what, expected, found, same, "")
	if !same {
		r.Status = Note
	}
	c.rows = append(c.rows, r)
}

func (c *comparison) platform() {
	a, b := c.there, c.here
	c.must("os", a.OS, b.OS, a.OS == b.OS, "use a host of that system, or build for this one")
	c.must("arch", a.Arch, b.Arch, a.Arch == b.Arch, "use a host with such a processor, or build for this one")
	if a.Level != "" && a.Arch == b.Arch {
		c.must("level", ">= "+a.Level, b.Level, b.Level != "" && binary.CompareLevels(a.Level, b.Level) <= 0,
			fmt.Sprintf("build for %s/%s/%s, and with tools that do", b.OS, b.Arch, cmp.Or(b.Level, "v1")))
	}
	if a.Kernel != "" && a.OS == b.OS {
		short := majorMinor(a.Kernel)
		c.must("kernel", ">= "+short, b.Kernel, binary.CompareVersions(short, b.Kernel) <= 0, "install a newer kernel")
	}
	if a.Libc.Name != "" && a.OS == b.OS {
		c.must(a.Libc.Name, ">= "+a.Libc.Version, b.Libc.String(),
			a.Libc.Name == b.Libc.Name && binary.CompareVersions(a.Libc.Version, b.Libc.Version) <= 0,
			"build with CGO_ENABLED=0, or on a host with this C library or an older one")
	}
	c.note("distribution", distributionText(a), distributionText(b), a.Distribution.ID == b.Distribution.ID && a.Distribution.Version == b.Distribution.Version)
	if missing := missingFrom(a.Features, b.Features); a.Arch == b.Arch && len(missing) > 0 {
		c.note("features", strings.Join(missing, " "), "not here", false)
	}
}

func distributionText(f *Fingerprint) string {
	if f.Distribution.ID == "" {
		return "unknown"
	}
	return strings.TrimSpace(f.Distribution.ID + " " + f.Distribution.Version)
}

// majorMinor are the first two numbers of a version.
func majorMinor(v string) string {
	parts := strings.SplitN(v, ".", 3)
	if len(parts) < 2 {
		return v
	}
	return parts[0] + "." + parts[1]
}

func missingFrom(all, from []string) []string {
	var missing []string
	for _, s := range all {
		if !slices.Contains(from, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

func (c *comparison) syscalls() {
	if c.there.OS != c.here.OS {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.there.Syscalls)) {
		if !c.there.Syscalls[name].Works {
			continue
		}
		s, known := c.here.Syscalls[name]
		c.must("syscall "+name, "works", s.text(known), s.Works, syscallFix(name))
	}
}

func (c *comparison) tools() {
	for _, name := range slices.Sorted(maps.Keys(c.there.Tools)) {
		t := c.there.Tools[name]
		if !t.Found {
			continue
		}
		here, known := c.here.Tools[name]
		what := "command " + name
		switch {
		case !here.Found:
			c.must(what, t.text(true), here.text(known), false, fmt.Sprintf("install %s, or put the directory that holds it on PATH", name))
		case name == "go":
			c.must(what, ">= "+t.Version, here.text(known), binary.CompareVersions(t.Version, here.Version) <= 0, "bring that Go along, or install it")
		default:
			c.note(what, t.text(true), here.text(known), t.Version == here.Version)
		}
	}
}

func (c *comparison) amounts() {
	a, b := c.there, c.here
	c.note("cpus", fmt.Sprint(a.CPUs), fmt.Sprint(b.CPUs), b.CPUs >= a.CPUs)
	c.note("memory", Size(a.Memory.Usable()), Size(b.Memory.Usable()), b.Memory.Usable() >= a.Memory.Usable())
	for _, use := range slices.Sorted(maps.Keys(a.Disks)) {
		if d, ok := b.Disks[use]; ok {
			c.note("disk "+use, Size(a.Disks[use].Free)+" free", Size(d.Free)+" free", d.Free >= a.Disks[use].Free)
			c.note("disk "+use+" case", caseText(a.Disks[use]), caseText(d), a.Disks[use].FoldsCase == d.FoldsCase)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Limits)) {
		if l, ok := b.Limits[name]; ok {
			c.note("limit "+name, limitText(a.Limits[name].Soft), limitText(l.Soft), atLeast(l.Soft, a.Limits[name].Soft))
		}
	}
}

func caseText(d Disk) string {
	if d.FoldsCase {
		return "a and A are one file"
	}
	return "a and A are two files"
}

func limitText(n int64) string {
	if n < 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func atLeast(have, need int64) bool { return have < 0 || need >= 0 && have >= need }

func (c *comparison) surroundings() {
	a, b := c.there, c.here
	c.note("time zone", a.Clock.Zone, b.Clock.Zone, a.Clock.Zone == b.Clock.Zone)
	then, err1 := time.Parse(time.RFC3339, a.Clock.Time)
	now, err2 := time.Parse(time.RFC3339, b.Clock.Time)
	if err1 == nil && err2 == nil {
		c.note("clock", "after "+a.Clock.Time, b.Clock.Time, !now.Before(then.Add(-clockSkew)))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Env.Values)) {
		value, ok := b.Env.Values[name]
		if !ok {
			value = "not set"
		}
		c.note("env "+name, a.Env.Values[name], value, ok && value == a.Env.Values[name])
	}
}
