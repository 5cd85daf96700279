// Package verdict shows as text what a second build and an observed one found.
package verdict

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// Rebuild is the report of verify: what was varied, what was left out, and what
// differs; the steps that made a difference are last, above the summary.
func Rebuild(r *rebuild.Report, pal ui.Palette) string {
	var b strings.Builder
	for _, x := range r.Varied {
		fmt.Fprintf(&b, "varied      %s: %s; %s\n", x.What, human.OneLine(x.Was), human.OneLine(x.Is))
	}
	for _, x := range r.Constant {
		fmt.Fprintf(&b, "not varied  %s: %s\n", x.What, human.OneLine(x.Why))
	}
	if len(r.First) > 0 {
		fmt.Fprintf(&b, "made first  %s: there was no recorded result\n", strings.Join(r.First, ", "))
	}
	for _, s := range r.Steps {
		if s.Status == rebuild.LeftOut || s.Status == rebuild.Absent && r.Path == "" {
			fmt.Fprintf(&b, "left out    %s: %s\n", s.Step, human.OneLine(s.Reason))
		}
	}
	for _, p := range r.Unknown {
		fmt.Fprintf(&b, "not made    %s: no step of these targets makes it, so it was not checked\n", human.OneLine(p))
	}
	for _, status := range []string{rebuild.Same, rebuild.Follows, rebuild.Failed, rebuild.Differs} {
		for _, s := range r.Steps {
			if s.Status == status {
				writeStep(&b, pal, s)
			}
		}
	}
	b.WriteString(rebuildSummary(r, pal))
	return b.String()
}

// Differing is the part of a report that is about the steps that did not come out the
// same, in the order of the report.
func Differing(r *rebuild.Report, pal ui.Palette) string {
	var b strings.Builder
	for _, s := range r.Steps {
		switch s.Status {
		case rebuild.Differs, rebuild.Follows, rebuild.Failed:
			writeStep(&b, pal, s)
		}
	}
	return b.String()
}

func writeStep(b *strings.Builder, pal ui.Palette, s rebuild.StepReport) {
	switch s.Status {
	case rebuild.Same:
		fmt.Fprintf(b, "%s        %s: %s\n", pal.Green("same"), s.Step, human.Count(len(s.Outputs), "file"))
		return
	case rebuild.Failed:
		fmt.Fprintf(b, "%s      %s: the second build failed: %s\n", pal.Red("failed"), s.Step, human.OneLine(s.Reason))
		return
	case rebuild.Follows:
		fmt.Fprintf(b, "%s     %s: %s\n", pal.Yellow("follows"), s.Step, human.OneLine(s.Reason))
	default:
		fmt.Fprintf(b, "%s     %s: %s\n", pal.Red("differs"), s.Step, human.OneLine(s.Reason))
	}
	for _, o := range s.Outputs {
		if o.Same {
			continue
		}
		fmt.Fprintf(b, "  %s\n", human.OneLine(o.Path))
		for _, d := range o.Differences {
			fmt.Fprintf(b, "    %s\n", human.OneLine(placeText(d)))
			if s.Status == rebuild.Follows {
				break // the cause is reported where it was made
			}
			if d.Old != "" || d.New != "" {
				fmt.Fprintf(b, "      first   %s\n      second  %s\n", cmp.Or(human.OneLine(d.Old), "(nothing)"), cmp.Or(human.OneLine(d.New), "(nothing)"))
			}
			if d.Cause != "" {
				fmt.Fprintf(b, "      likely  %s\n", d.Cause)
			}
		}
	}
}

func placeText(d rebuild.Difference) string {
	text := strings.Join(append(append([]string{}, d.Where...), d.What), ": ")
	if d.Offset != nil {
		text += fmt.Sprintf(", from byte %d", *d.Offset)
	}
	return text
}

func rebuildSummary(r *rebuild.Report, pal ui.Palette) string {
	var roots []string
	for _, s := range r.Steps {
		if s.Status == rebuild.Differs {
			roots = append(roots, s.Step)
		}
	}
	switch {
	case r.OK:
		return fmt.Sprintf("%s: %s built again, byte for byte\n", pal.Green("verified"), human.Count(r.Same, "file"))
	case len(roots) > 0:
		return fmt.Sprintf("%s: %d of %s; it begins with %s\n", pal.Red("not the same"), r.Differing, human.Count(r.Same+r.Differing, "file"), strings.Join(roots, ", "))
	case r.Failed > 0:
		return fmt.Sprintf("%s: %s\n", pal.Red("not built again"), human.Count(r.Failed, "step"))
	}
	return pal.Red("not verified") + "\n"
}
