package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// tell writes the report, and ends as it says.
func (u *audit) tell() error {
	u.report.OK = u.outcomeOf() == nil
	if u.app.json() {
		if err := u.app.writeJSON(u.report); err != nil {
			return err
		}
		return u.outcomeOf()
	}
	pal := ui.Detect(ui.Config{Color: ui.ColorMode(u.app.color), Out: u.app.out, LookupEnv: u.app.LookupEnv}).Palette
	var b strings.Builder
	for _, v := range u.report.Steps {
		tellAudited(&b, pal, v)
	}
	for _, name := range u.report.Written {
		fmt.Fprintf(&b, "changed %s\n", name)
	}
	fmt.Fprintf(&b, "not seen: %s\n", u.report.Limits)
	b.WriteString(u.summary(pal))
	if _, err := io.WriteString(u.app.out, b.String()); err != nil {
		return err
	}
	return u.outcomeOf()
}

func tellAudited(b *strings.Builder, pal ui.Palette, v auditVerdict) {
	switch v.Status {
	case auditLeft, auditExact:
		fmt.Fprintf(b, "%s  %s: %s\n", v.Status, v.Step, human.OneLine(v.Reason))
		return
	case auditUnaudited:
		fmt.Fprintf(b, "%s  %s: %s\n", pal.Yellow("unaudited"), v.Step, human.OneLine(v.Reason))
	case auditClean:
		fmt.Fprintf(b, "%s  %s: it opened %d of %s that it declares, and no other file of the project\n", pal.Green("clean"), v.Step, v.Opened, human.Count(v.Declared, "file"))
	default:
		fmt.Fprintf(b, "%s  %s\n", pal.Red("findings"), v.Step)
	}
	for _, f := range v.Findings {
		fmt.Fprintf(b, "  %s: %s\n", f.Kind, human.OneLine(f.Text))
		if f.Edit != "" && !f.Mended {
			fmt.Fprintf(b, "    %s\n", human.OneLine(f.Edit))
		}
		if f.Mended {
			fmt.Fprintf(b, "    mended: %s\n", human.OneLine(f.Edit))
		}
	}
	for _, n := range v.Notes {
		fmt.Fprintf(b, "  note: %s\n", human.OneLine(n))
	}
}

func (u *audit) summary(pal ui.Palette) string {
	found, open, dark := 0, 0, 0
	for _, v := range u.report.Steps {
		found += len(v.Findings)
		open += len(slices.DeleteFunc(slices.Clone(v.Findings), func(f auditFinding) bool { return f.Mended }))
		if v.Status == auditUnaudited {
			dark++
		}
	}
	switch {
	case dark > 0:
		return fmt.Sprintf("%s: %s unaudited, %s\n", pal.Red("not clean"), human.Count(dark, "step"), human.Count(found, "finding"))
	case open > 0:
		return fmt.Sprintf("%s: %s\n", pal.Red("not clean"), human.Count(open, "finding"))
	case found > 0:
		return fmt.Sprintf("%s: %s mended; audit again to see\n", pal.Green("mended"), human.Count(found, "finding"))
	}
	return pal.Green("clean") + "\n"
}
