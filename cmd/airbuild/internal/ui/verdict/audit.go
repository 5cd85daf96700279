package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/audit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// Audit is the report of audit: each step with what it does not declare, and what
// the tracer could not see.
func Audit(r *audit.Report, pal ui.Palette) string {
	var b strings.Builder
	for _, v := range r.Steps {
		writeAudited(&b, pal, v)
	}
	for _, name := range r.Written {
		fmt.Fprintf(&b, "changed %s\n", name)
	}
	fmt.Fprintf(&b, "not seen: %s\n", r.Limits)
	b.WriteString(auditSummary(r, pal))
	return b.String()
}

func writeAudited(b *strings.Builder, pal ui.Palette, v audit.StepReport) {
	switch v.Status {
	case audit.LeftOut, audit.InAirbuild:
		fmt.Fprintf(b, "%s  %s: %s\n", v.Status, v.Step, human.OneLine(v.Reason))
		return
	case audit.Unaudited:
		fmt.Fprintf(b, "%s  %s: %s\n", pal.Yellow("unaudited"), v.Step, human.OneLine(v.Reason))
	case audit.Clean:
		fmt.Fprintf(b, "%s  %s: it opened %d of %s that it declares, and no other file of the project\n", pal.Green("clean"), v.Step, v.Opened, human.Count(v.Declared, "file"))
	default:
		fmt.Fprintf(b, "%s  %s\n", pal.Red("findings"), v.Step)
	}
	for _, f := range v.Findings {
		fmt.Fprintf(b, "  %s: %s\n", f.Kind, human.OneLine(f.Text))
		if f.Edit != "" && !f.Corrected {
			fmt.Fprintf(b, "    %s\n", human.OneLine(f.Edit))
		}
		if f.Corrected {
			fmt.Fprintf(b, "    fixed: %s\n", human.OneLine(f.Edit))
		}
	}
	for _, n := range v.Notes {
		fmt.Fprintf(b, "  note: %s\n", human.OneLine(n))
	}
}

func auditSummary(r *audit.Report, pal ui.Palette) string {
	found, open, dark := 0, 0, 0
	for _, v := range r.Steps {
		found += len(v.Findings)
		open += len(slices.DeleteFunc(slices.Clone(v.Findings), func(f audit.Finding) bool { return f.Corrected }))
		if v.Status == audit.Unaudited {
			dark++
		}
	}
	switch {
	case dark > 0:
		return fmt.Sprintf("%s: %s unaudited, %s\n", pal.Red("not clean"), human.Count(dark, "step"), human.Count(found, "finding"))
	case open > 0:
		return fmt.Sprintf("%s: %s\n", pal.Red("not clean"), human.Count(open, "finding"))
	case found > 0:
		return fmt.Sprintf("%s: %s; run audit again to confirm\n", pal.Green("fixed"), human.Count(found, "finding"))
	}
	return pal.Green("clean") + "\n"
}
