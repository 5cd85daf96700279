package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	beginMark = "<!-- bench: begin -->"
	endMark   = "<!-- bench: end -->"
)

// update replaces what is between the marks of a file, or writes the file.
func update(name, text string) error {
	old, err := os.ReadFile(name)
	if err == nil {
		before, rest, ok := strings.Cut(string(old), beginMark)
		_, after, ok2 := strings.Cut(rest, endMark)
		if !ok || !ok2 {
			return fmt.Errorf("update %s: it has no lines %s and %s", name, beginMark, endMark)
		}
		text = before + beginMark + "\n\n" + text + "\n" + endMark + after
	}
	return os.WriteFile(name, []byte(text), 0o666)
}

// report writes all cases as Markdown.
func (b *bench) report(cases []benchCase, began time.Time) string {
	var s strings.Builder
	floor := result{}
	if _, rss, _, _, err := b.once(&contender{argv: []string{"true"}, dir: b.scratch}); err == nil {
		floor.rss = rss
	}
	if b.shrink > 1 {
		fmt.Fprintf(&s, "**Quick run, to try the script:** one program, one platform, and a %dth of the files and steps that the titles name. The figures say nothing about the targets.\n\n", b.shrink)
	}
	fmt.Fprintf(&s, "Measured %s, in %s. Load when the report was written: %s.\n\n", began.UTC().Format("2006-01-02 15:04 UTC"),
		time.Since(began).Round(time.Second), oneLine("/proc/loadavg"))
	s.WriteString("| | |\n|---|---|\n")
	for _, kv := range b.machine() {
		fmt.Fprintf(&s, "| %s | %s |\n", kv[0], kv[1])
	}
	s.WriteString("\n")
	losses := 0
	for i := range cases {
		losses += writeCase(&s, &cases[i], floor.rss)
	}
	s.WriteString("### Where airbuild loses\n\n")
	if losses == 0 {
		s.WriteString("Nowhere in what was measured here.\n")
	}
	for i := range cases {
		for _, line := range cases[i].lost() {
			fmt.Fprintf(&s, "- %s: %s\n", cases[i].name, line)
		}
	}
	return s.String()
}

// writeCase writes one table and tells how many lines lost has for it.
func writeCase(s *strings.Builder, c *benchCase, floor int64) int {
	fmt.Fprintf(s, "### %s\n\nCase `%s`.", c.title, c.name)
	if c.text != "" {
		s.WriteString(" " + c.text)
	}
	s.WriteString("\n\n")
	if c.err != nil {
		fmt.Fprintf(s, "Not measured: %s.\n\n", firstLine(c.err.Error()))
		return len(c.lost())
	}
	tree := slices.ContainsFunc(c.results, func(r result) bool { return r.tree > 0 })
	head, line, blank := "", "", ""
	if tree {
		head, line, blank = " all processes |", "---:|", " |"
	}
	fmt.Fprintf(s, "| | median | min – max | rounds | × airbuild | largest process |%s airbuild loses |\n|---|---:|---:|---:|---:|---:|%s---|\n", head, line)
	for i := range c.results {
		r := &c.results[i]
		if len(r.walls) == 0 {
			fmt.Fprintf(s, "| %s | not measured: %s | | | | |%s |\n", r.name, escape(r.why), blank)
			continue
		}
		rss := size(r.rss)
		if r.rss <= floor*11/10 {
			rss = "≤ " + size(floor)
		}
		if r.limit {
			rss = ""
		}
		fmt.Fprintf(s, "| %s | %s | %s – %s | %d | %s | %s |", r.name, duration(r.median()), duration(slices.Min(r.walls)),
			duration(slices.Max(r.walls)), len(r.walls), ratio(median(r.ratios)), rss)
		if tree {
			fmt.Fprintf(s, " %s |", size(r.tree))
		}
		fmt.Fprintf(s, " %s |\n", c.loses(r))
		if r.why != "" {
			fmt.Fprintf(s, "\n%s stopped early: %s\n\n", r.name, escape(r.why))
		}
	}
	s.WriteString("\n")
	if len(c.targets) > 0 {
		s.WriteString("| target | measured | |\n|---|---:|---|\n")
		for _, g := range c.targets {
			got, verdict := g.verdict(c)
			fmt.Fprintf(s, "| %s | %s | %s |\n", g.text, got, verdict)
		}
		s.WriteString("\n")
	}
	return len(c.lost())
}

func (g goal) verdict(c *benchCase) (got, verdict string) {
	got, kept, ok := g.figure(c)
	switch {
	case !ok:
		return got, "not measured"
	case kept:
		return got, "kept"
	}
	return got, "**missed**"
}

// loses says by how much airbuild is slower than a contender, if it is. A
// contender that does less, or a limit of the machine, is a loss too: the
// reader judges.
func (c *benchCase) loses(r *result) string {
	m := median(r.ratios)
	if r.name == c.results[0].name || strings.HasPrefix(r.name, "airbuild") || m >= 1 || m <= 0 {
		return ""
	}
	if r.limit {
		return ratio(1/m) + " of the limit"
	}
	return ratio(1 / m)
}

// lost lists what airbuild lost in a case: to whom, and the targets it missed.
func (c *benchCase) lost() []string {
	var list []string
	for i := range c.results {
		if r := &c.results[i]; len(r.walls) > 0 && !r.limit && c.loses(r) != "" {
			list = append(list, fmt.Sprintf("%s is faster: airbuild takes %s of its time", r.name, c.loses(r)))
		}
	}
	for _, g := range c.targets {
		if got, verdict := g.verdict(c); verdict == "**missed**" {
			list = append(list, fmt.Sprintf("target missed: %s; measured %s", g.text, got))
		}
	}
	if c.err != nil {
		list = append(list, "not measured")
	}
	return list
}

func escape(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// duration writes three digits at most.
func duration(d time.Duration) string {
	switch s := d.Seconds(); {
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 10:
		return fmt.Sprintf("%.1f s", s)
	case s >= 1:
		return fmt.Sprintf("%.2f s", s)
	case s >= 0.1:
		return fmt.Sprintf("%.0f ms", s*1e3)
	case s >= 0.01:
		return fmt.Sprintf("%.1f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
}

func ratio(r float64) string {
	switch {
	case r >= 100:
		return fmt.Sprintf("%.0f ×", r)
	case r >= 10:
		return fmt.Sprintf("%.1f ×", r)
	case r >= 0.1 || r <= 0:
		return fmt.Sprintf("%.2f ×", r)
	}
	return fmt.Sprintf("%.2g ×", r)
}

func size(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}

func oneLine(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(firstLine(string(text)))
}

// machine says what was measured, with what, and where.
func (b *bench) machine() [][2]string {
	list := [][2]string{
		{"CPU", fmt.Sprintf("%s, %d in use", procField("/proc/cpuinfo", "model name"), runtime.NumCPU())},
		{"memory", procField("/proc/meminfo", "MemTotal")},
		{"system", runtime.GOOS + "/" + runtime.GOARCH + ", kernel " + oneLine("/proc/sys/kernel/osrelease")},
		{"file system", fileSystem(b.scratch)},
	}
	commands := [][]string{
		{"git", "-C", b.repo, "describe", "--always", "--tags", "--dirty"},
		{"go", "version"}, {"ninja", "--version"}, {"make", "--version"}, {"task", "--version"}, {"turbo", "--version"},
		{"goreleaser", "--version"},
	}
	for _, argv := range commands {
		name := argv[0]
		if name == "git" {
			name = "airbuild"
		}
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		version := firstLine(strings.TrimSpace(string(out)))
		if _, after, ok := strings.Cut(string(out), "GitVersion:"); ok {
			version = strings.TrimSpace(firstLine(after))
		}
		if err != nil {
			version = "not here"
			if why, err := os.ReadFile(filepath.Join(b.peers, name+".missing")); err == nil {
				version += ": " + escape(firstLine(string(why)))
			}
		}
		list = append(list, [2]string{name, version})
	}
	return list
}

func procField(file, field string) string {
	text, err := os.ReadFile(file)
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == field {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown"
}

// fileSystem names the type of the file system that holds dir.
func fileSystem(dir string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return "unknown"
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "unknown"
	}
	dev := fmt.Sprintf("%d:%d", (st.Dev>>8)&0xfff|(st.Dev>>32)&^0xfff, st.Dev&0xff|(st.Dev>>12)&^0xff)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "-"); len(fields) > 2 && fields[2] == dev && i > 0 && i+1 < len(fields) {
			return fields[i+1]
		}
	}
	return "unknown"
}
