package ui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/host/binary"
	"github.com/airbuild/airbuild/internal/lists"
)

// BinaryText describes a binary, and what of findings does not fit; librariesFix is
// what to do where a library is not found.
func BinaryText(b *binary.Report, findings []binary.Finding, librariesFix string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n", human.OneLine(b.Path))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "  %-13s %s\n", name+":", human.OneLine(fmt.Sprintf(format, args...)))
	}
	line("format", "%s %s for %s/%s, %s", b.Format, b.Kind, b.OS, b.Arch, human.Bytes(b.Size))
	if b.Level != "" {
		line("level", "%s or above (%s)", b.Level, b.LevelFrom)
	}
	if b.MinOS != "" {
		line("system", "%s %s or newer", b.OS, b.MinOS)
	}
	line("linked", "%s", linkText(b))
	if b.Glibc != "" {
		line("glibc", "%s or newer, for %s", b.Glibc, strings.Join(b.GlibcSymbols, ", "))
	}
	for _, v := range topVersions(b.Versions) {
		line("version", "%s of %s", v.Version, v.Library)
	}
	writeLibraries(&s, b)
	line("symbols", "%s, %s", map[bool]string{true: "stripped", false: "has a symbol table"}[b.Stripped], map[bool]string{true: "has debug information", false: "no debug information"}[b.Debug])
	writeBuild(line, b.Build)
	writeSizes(&s, b)
	for _, p := range b.Problems {
		fmt.Fprintf(&s, "  problem: %s\n", human.OneLine(p))
	}
	if len(b.Problems) > 0 {
		fmt.Fprintf(&s, "    fix: %s\n", librariesFix)
	}
	for _, f := range findings {
		if !f.OK {
			fmt.Fprintf(&s, "  does not fit: %s: needs %s, the host has %s\n    fix: %s\n", f.What, human.OneLine(f.Expected), human.OneLine(f.Found), human.OneLine(f.Fix))
		}
	}
	return s.String()
}

func linkText(r *binary.Report) string {
	switch {
	case r.Static && r.Format == binary.ELF && len(r.Needed) == 0:
		return "statically: needs no loader and no library"
	case r.Interpreter != "":
		text := "dynamically, by " + r.Interpreter
		if r.Libc != "" {
			text += " (" + r.Libc + ")"
		}
		return text
	case len(r.Needed) > 0:
		return "dynamically"
	}
	return "needs no library"
}

// topVersions are, of each family of versions but glibc's, the highest.
func topVersions(all []binary.VersionNeed) []binary.VersionNeed {
	top := map[string]binary.VersionNeed{}
	for _, v := range all {
		family, number, ok := cutLast(v.Version, "_")
		if !ok || family == "GLIBC" {
			continue
		}
		_, best, _ := cutLast(top[v.Library+family].Version, "_")
		if binary.CompareVersions(number, best) >= 0 {
			top[v.Library+family] = v
		}
	}
	return lists.Map(slices.Sorted(maps.Keys(top)), func(key string) binary.VersionNeed { return top[key] })
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func writeLibraries(s *strings.Builder, r *binary.Report) {
	if !r.Resolved || len(r.Libraries) == 0 {
		for _, name := range r.Needed {
			fmt.Fprintf(s, "  needs         %s\n", human.OneLine(name))
		}
		return
	}
	for _, l := range r.Libraries {
		where := "NOT FOUND"
		if l.Path != "" {
			where = l.Path + " (" + l.From + ")"
		}
		by := ""
		if l.NeededBy != r.Path {
			by = ", for " + l.NeededBy
		}
		fmt.Fprintf(s, "  needs         %s => %s\n", human.OneLine(l.Name), human.OneLine(where+by))
	}
}

func writeBuild(line func(string, string, ...any), b *binary.Build) {
	if b == nil {
		return
	}
	built := b.Go + ", " + b.Path
	if module := strings.TrimSpace(b.Module + " " + b.Version); module != "" {
		built += ", " + module
	}
	line("built", "%s", built)
	if rev := b.Settings["vcs.revision"]; rev != "" {
		changed := ""
		if b.Settings["vcs.modified"] == "true" {
			changed = ", changed"
		}
		line("source", "%s %.12s of %s%s", b.Settings["vcs"], rev, b.Settings["vcs.time"], changed)
	}
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(b.Settings)) {
		if !strings.HasPrefix(name, "vcs") && b.Settings[name] != "" {
			settings = append(settings, name+"="+b.Settings[name])
		}
	}
	line("settings", "%s", strings.Join(settings, " "))
	line("modules", "%d besides the main one", b.Modules)
}

// sectionsShown is how many sections the text names; JSON has all.
const sectionsShown = 8

func writeSizes(s *strings.Builder, r *binary.Report) {
	sections := slices.Clone(r.Sections)
	slices.SortStableFunc(sections, func(a, b binary.Section) int { return int(min(max(b.Size-a.Size, -1), 1)) })
	if len(sections) > 0 {
		fmt.Fprintf(s, "  sections:\n")
	}
	for _, sec := range sections[:min(len(sections), sectionsShown)] {
		fmt.Fprintf(s, "    %10s  %s\n", human.Bytes(sec.Size), human.OneLine(sec.Name))
	}
	if len(r.Packages) == 0 {
		return
	}
	from := "code and data, by the symbol table"
	if r.PackagesFrom == "functions" {
		from = "code only, by the table of functions"
	}
	fmt.Fprintf(s, "  packages (%s):\n", from)
	for _, p := range r.Packages {
		fmt.Fprintf(s, "    %10s  %s\n", human.Bytes(p.Size), human.OneLine(p.Name))
	}
}
