package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/doctor"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/hosts"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/host/binary"
)

func doctorCommand(a *app) *cobra.Command {
	f := &doctorFlags{}
	c := &cobra.Command{
		Use:   "doctor [BINARY…]",
		Short: "Say what is wrong here, or with a binary, and how to mend it",
		Long: "Without arguments: look at what builds hang on here (Go and its settings, cache,\n" +
			"clock, disks, limits, git, namespaces, permissions) and say how to mend what is\n" +
			"wrong. Ends with exit code 1 if something is.\n\n" +
			"With binaries of any platform: what each is, what it needs of a host, where the\n" +
			"dynamic loader would find its libraries, and what it is made of. Nothing is\n" +
			"executed. Ends with exit code 3 if one would not start, or does not fit the host\n" +
			"of --against.",
		Example: "  airbuild doctor\n  airbuild doctor dist/app --against site.json\n  airbuild doctor --root /srv/sysroot dist/app",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return doctorBinaries(c.Context(), a, args, f)
			}
			if f.root != "" || f.against != "" {
				return exit.UsageError("--root and --against are for binaries: airbuild doctor --against FILE BINARY")
			}
			return doctorHost(c.Context(), a)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.against, "against", "", "hold the binaries against the fingerprint `FILE`")
	fl.StringVar(&f.root, "root", "", "look for libraries as if `DIR` were /")
	return c
}

type doctorFlags struct{ against, root string }

func doctorBinaries(ctx context.Context, a *app, names []string, f *doctorFlags) error {
	target, err := hostTarget(ctx, a, f.against)
	if err != nil {
		return err
	}
	var all []hosts.Binary
	ok := true
	for _, name := range names {
		reports, err := hosts.OpenBinary(name)
		if err != nil {
			return err
		}
		for _, r := range reports {
			b := hosts.ExamineBinary(r, target, f.root, f.against != "")
			ok = ok && b.Fits
			all = append(all, b)
		}
	}
	if a.json() {
		err = a.writeJSON(map[string]any{"version": 1, "fits": ok, "binaries": all})
	} else {
		for i, b := range all {
			if i > 0 {
				fmt.Fprintln(a.out)
			}
			if err = writeBinary(a, b); err != nil {
				break
			}
		}
	}
	if err == nil && !ok {
		err = exit.Silent(exit.Unverified)
	}
	return err
}

func writeBinary(a *app, b hosts.Binary) error {
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
	line("linked", "%s", linkText(b.Report))
	if b.Glibc != "" {
		line("glibc", "%s or newer, for %s", b.Glibc, strings.Join(b.GlibcSymbols, ", "))
	}
	for _, v := range topVersions(b.Versions) {
		line("version", "%s of %s", v.Version, v.Library)
	}
	writeLibraries(a, &s, b.Report)
	line("symbols", "%s, %s", map[bool]string{true: "stripped", false: "has a symbol table"}[b.Stripped], map[bool]string{true: "has debug information", false: "no debug information"}[b.Debug])
	writeBuild(line, b.Build)
	writeSizes(&s, b.Report)
	for _, p := range b.Problems {
		fmt.Fprintf(&s, "  problem: %s\n", human.OneLine(p))
	}
	if len(b.Problems) > 0 {
		fmt.Fprintf(&s, "    fix: %s\n", hosts.LibrariesFix)
	}
	for _, f := range b.Findings {
		if !f.OK {
			fmt.Fprintf(&s, "  does not fit: %s: needs %s, the host has %s\n    fix: %s\n", f.What, human.OneLine(f.Expected), human.OneLine(f.Found), human.OneLine(f.Fix))
		}
	}
	_, err := io.WriteString(a.out, s.String())
	return err
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
	var out []binary.VersionNeed
	for _, key := range slices.Sorted(maps.Keys(top)) {
		out = append(out, top[key])
	}
	return out
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func writeLibraries(a *app, s *strings.Builder, r *binary.Report) {
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
	line("modules", "%d beside its own", b.Modules)
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

// doctorHost looks at this host.
func doctorHost(ctx context.Context, a *app) error {
	findings, err := doctor.Run(ctx, doctor.Options{Project: a.quietly(), BuildTime: readVersion().Time})
	if err != nil {
		return err
	}
	bad, warned := 0, 0
	for _, f := range findings {
		switch f.Status {
		case doctor.Error:
			bad++
		case doctor.Warning:
			warned++
		}
	}
	if a.json() {
		if err := a.writeJSON(map[string]any{"version": 1, "ok": bad == 0, "findings": findings}); err != nil {
			return err
		}
	} else if err := writeFindings(a, findings, bad, warned); err != nil {
		return err
	}
	if bad > 0 {
		return exit.Silent(exit.Failed)
	}
	return nil
}

func writeFindings(a *app, findings []doctor.Finding, bad, warned int) error {
	var s strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&s, "%-8s %-12s %s\n", f.Status, f.Check, human.OneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(&s, "%-8s %-12s fix: %s\n", "", "", human.OneLine(f.Fix))
		}
	}
	switch {
	case bad > 0:
		fmt.Fprintf(&s, "%s, %s\n", human.Count(bad, "error"), human.Count(warned, "warning"))
	case warned > 0:
		fmt.Fprintf(&s, "nothing is wrong; %s\n", human.Count(warned, "warning"))
	default:
		s.WriteString("nothing is wrong\n")
	}
	_, err := io.WriteString(a.out, s.String())
	return err
}
