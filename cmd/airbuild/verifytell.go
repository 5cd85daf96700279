package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// tell writes the report: what was varied, what was left out, and what differs,
// the steps that made it first.
func (v *verification) tell() error {
	r := &v.report
	if v.app.json() {
		return v.app.writeJSON(r)
	}
	pal := ui.Detect(ui.Config{Color: ui.ColorMode(v.app.color), Out: v.app.out, LookupEnv: v.app.LookupEnv}).Palette
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
		if s.Status == stepLeft || s.Status == stepAbsent && v.carried == nil {
			fmt.Fprintf(&b, "left out    %s: %s\n", s.Step, human.OneLine(s.Reason))
		}
	}
	for _, p := range r.Unknown {
		fmt.Fprintf(&b, "not made    %s: no step of these targets makes it, so nothing is said of it\n", human.OneLine(p))
	}
	for _, status := range []string{stepSame, stepFollows, stepFailed, stepDiffers} {
		for _, s := range r.Steps {
			if s.Status == status {
				tellStep(&b, pal, s)
			}
		}
	}
	b.WriteString(v.summary(pal))
	_, err := io.WriteString(v.app.out, b.String())
	return err
}

func tellStep(b *strings.Builder, pal ui.Palette, s stepVerdict) {
	switch s.Status {
	case stepSame:
		fmt.Fprintf(b, "%s        %s: %s\n", pal.Green("same"), s.Step, human.Count(len(s.Outputs), "file"))
		return
	case stepFailed:
		fmt.Fprintf(b, "%s      %s: the second build failed: %s\n", pal.Red("failed"), s.Step, human.OneLine(s.Reason))
		return
	case stepFollows:
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
			if s.Status == stepFollows && len(o.Differences) > 0 {
				fmt.Fprintf(b, "    %s\n", human.OneLine(placeText(d)))
				break // the cause is told where it was made
			}
			fmt.Fprintf(b, "    %s\n", human.OneLine(placeText(d)))
			if d.Old != "" || d.New != "" {
				fmt.Fprintf(b, "      first   %s\n      second  %s\n", cmp.Or(human.OneLine(d.Old), "(nothing)"), cmp.Or(human.OneLine(d.New), "(nothing)"))
			}
			if d.Cause != "" {
				fmt.Fprintf(b, "      likely  %s\n", d.Cause)
			}
		}
	}
}

func placeText(d outputDifference) string {
	text := strings.Join(append(append([]string{}, d.Where...), d.What), ": ")
	if d.Offset != nil {
		text += fmt.Sprintf(", from byte %d", *d.Offset)
	}
	return text
}

func (v *verification) summary(pal ui.Palette) string {
	r := &v.report
	var roots []string
	for _, s := range r.Steps {
		if s.Status == stepDiffers {
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
