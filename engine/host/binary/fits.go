package binary

import "fmt"

// A Target is the host that a binary is meant for, as far as it matters.
type Target struct {
	OS, Arch    string
	Level       string // "v3"; empty if unknown
	Libc        string // glibc, musl; empty if there is none
	LibcVersion string
	Kernel      string // Linux
}

// A Finding holds one thing that a binary needs against a target.
type Finding struct {
	What     string `json:"what"`
	Expected string `json:"expected"` // what the binary needs
	Found    string `json:"found"`    // what the target has
	OK       bool   `json:"ok"`
	Fix      string `json:"fix,omitempty"` // if it does not fit
}

// Fits says, for each thing that r needs, whether t has it.
func Fits(r *Report, t Target) []Finding {
	f := []Finding{
		fit("os", r.OS, t.OS, r.OS == t.OS, t),
		fit("arch", r.Arch, t.Arch, r.Arch == t.Arch || runsOn[t.Arch] == r.Arch, t),
	}
	if r.Level != "" && r.Arch == t.Arch {
		f = append(f, fitLevel(r, t))
	}
	if r.Format == ELF && r.OS == "linux" && r.Libc != "" {
		f = append(f, fitLibc(r, t))
	}
	return f
}

// runsOn are the architectures whose processors, as a rule, also run another's
// programs.
var runsOn = map[string]string{"amd64": "386"}

func fit(what, expected, found string, ok bool, t Target) Finding {
	f := Finding{What: what, Expected: expected, Found: found, OK: ok}
	if !ok {
		f.Fix = fmt.Sprintf("build it for %s/%s", t.OS, t.Arch)
	}
	return f
}

func fitLevel(r *Report, t Target) Finding {
	f := Finding{What: "level", Expected: r.Level + " (" + r.LevelFrom + ")", Found: t.Level}
	f.OK = t.Level != "" && CompareLevels(r.Level, t.Level) <= 0
	switch {
	case t.Level == "":
		f.Found = "unknown"
		f.Fix = "find out the processor's level, or build for the lowest"
	case !f.OK:
		f.Fix = fmt.Sprintf("build it for %s/%s/%s", t.OS, t.Arch, t.Level)
	}
	return f
}

func fitLibc(r *Report, t Target) Finding {
	f := Finding{What: r.Libc, Found: "none", Expected: "any"}
	if t.Libc != "" {
		f.Found = t.Libc + " " + t.LibcVersion
	}
	if r.Libc == "glibc" && r.Glibc != "" {
		f.Expected = ">= " + r.Glibc
		if len(r.GlibcSymbols) > 0 {
			f.Expected += " (" + r.GlibcSymbols[0] + ")"
		}
	}
	f.OK = t.Libc == r.Libc && (r.Glibc == "" || CompareVersions(r.Glibc, t.LibcVersion) <= 0)
	if !f.OK {
		f.Fix = "build it with CGO_ENABLED=0, or on a host with that C library"
		if t.Libc == r.Libc {
			f.Fix = fmt.Sprintf("build it with CGO_ENABLED=0, or on a host with glibc %s or older", t.LibcVersion)
		}
		if t.OS != "linux" {
			f.Found = "none (" + t.OS + ")"
		}
	}
	return f
}
