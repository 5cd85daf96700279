package linuxpkg

import (
	"fmt"
	"strings"
)

// unitDir is where systemd looks for the units of packages.
const unitDir = "/usr/lib/systemd/system/"

// running is the condition that systemd runs: not so in a container, a chroot
// or an image that is being made.
const running = "[ -d /run/systemd/system ]"

// unitScript is what a script has to do for the units, in the way of the
// format: a deb asks Debian's helpers, which keep what an administrator
// disabled; rpm tells install from upgrade by a number; archlinux has scripts
// of their own for upgrades. What fails there does not fail the installation:
// a package with a broken unit can be removed.
func unitScript(format, name string, units []unit) string {
	if len(units) == 0 {
		return ""
	}
	switch format {
	case deb:
		return debUnits(name, units)
	case rpm:
		return rpmUnits(name, units)
	case archlinux:
		return archUnits(name, units)
	}
	return ""
}

// names are those of the units that a condition holds for, in one string.
func names(units []unit, holds func(unit) bool) string {
	var list []string
	for _, u := range units {
		if holds(u) {
			list = append(list, "'"+u.Name+"'")
		}
	}
	return strings.Join(list, " ")
}

func all(unit) bool         { return true }
func enabled(u unit) bool   { return u.Enable }
func unenabled(u unit) bool { return !u.Enable }
func started(u unit) bool   { return u.Start }

// A shell collects lines.
type shell struct{ strings.Builder }

// each writes a loop over units, unless there are none.
func (s *shell) each(indent, list string, lines ...string) {
	if list == "" {
		return
	}
	fmt.Fprintf(s, "%sfor unit in %s; do\n", indent, list)
	for _, l := range lines {
		fmt.Fprintf(s, "%s\t%s\n", indent, l)
	}
	fmt.Fprintf(s, "%sdone\n", indent)
}

func (s *shell) line(text string) { fmt.Fprintln(s, text) }

func debUnits(name string, units []unit) string {
	var s shell
	helper := "command -v deb-systemd-helper >/dev/null"
	switch name {
	case postInstall:
		s.line(`case "$1" in configure | abort-upgrade | abort-deconfigure | abort-remove)`)
		s.line("\tif " + helper + "; then")
		s.each("\t\t", names(units, enabled),
			`deb-systemd-helper unmask "$unit" >/dev/null || true`,
			`if deb-systemd-helper --quiet was-enabled "$unit"; then`,
			"\tdeb-systemd-helper enable \"$unit\" >/dev/null || true",
			"fi",
			`deb-systemd-helper update-state "$unit" >/dev/null || true`)
		s.each("\t\t", names(units, unenabled), `deb-systemd-helper update-state "$unit" >/dev/null || true`)
		s.line("\tfi")
		s.line("\tif " + running + "; then")
		s.line("\t\tsystemctl --system daemon-reload >/dev/null || true")
		s.each("\t\t", names(units, func(u unit) bool { return u.Start && u.Restart }),
			`if [ -n "$2" ]; then act=restart; else act=start; fi`, `deb-systemd-invoke "$act" "$unit" >/dev/null || true`)
		s.each("\t\t", names(units, func(u unit) bool { return u.Start && !u.Restart }),
			`if [ -z "$2" ]; then deb-systemd-invoke start "$unit" >/dev/null || true; fi`)
		s.each("\t\t", names(units, func(u unit) bool { return !u.Start && u.Restart }),
			`if [ -n "$2" ]; then deb-systemd-invoke try-restart "$unit" >/dev/null || true; fi`)
		s.line("\tfi")
		s.line("\t;;\nesac")
	case preRemove:
		if names(units, started) == "" {
			return ""
		}
		s.line(`if [ "$1" = remove ] && ` + running + "; then")
		s.each("\t", names(units, started), `deb-systemd-invoke stop "$unit" >/dev/null || true`)
		s.line("fi")
	case postRemove:
		s.line(`if [ "$1" = remove ] && ` + running + "; then")
		s.line("\tsystemctl --system daemon-reload >/dev/null || true")
		s.line("fi")
		s.line(`if [ "$1" = purge ] && ` + helper + "; then")
		s.each("\t", names(units, all), `deb-systemd-helper purge "$unit" >/dev/null || true`)
		s.line("fi")
	}
	return s.String()
}

func rpmUnits(name string, units []unit) string {
	var s shell
	const have = "command -v systemctl >/dev/null 2>&1"
	switch name {
	case postInstall:
		s.line("if " + have + "; then")
		s.line("\tif " + running + "; then systemctl daemon-reload >/dev/null 2>&1 || true; fi")
		s.line("\tif [ \"$1\" -eq 1 ]; then")
		s.each("\t\t", names(units, enabled), `systemctl enable "$unit" >/dev/null 2>&1 || true`)
		s.each("\t\t", names(units, unenabled), `systemctl preset "$unit" >/dev/null 2>&1 || true`)
		s.each("\t\t", names(units, started), "if "+running+`; then systemctl start "$unit" >/dev/null 2>&1 || true; fi`)
		s.line("\t\ttrue\n\tfi\nfi")
	case preRemove:
		s.line(`if [ "$1" -eq 0 ] && ` + have + "; then")
		s.each("\t", names(units, started), "if "+running+`; then systemctl stop "$unit" >/dev/null 2>&1 || true; fi`)
		s.each("\t", names(units, all), `systemctl --no-reload disable "$unit" >/dev/null 2>&1 || true`)
		s.line("fi")
	case postRemove:
		s.line("if " + have + " && " + running + "; then")
		s.line("\tsystemctl daemon-reload >/dev/null 2>&1 || true")
		s.line("\tif [ \"$1\" -ge 1 ]; then")
		s.each("\t\t", names(units, func(u unit) bool { return u.Restart }), `systemctl try-restart "$unit" >/dev/null 2>&1 || true`)
		s.line("\t\ttrue\n\tfi\nfi")
	}
	return s.String()
}

func archUnits(name string, units []unit) string {
	var s shell
	switch name {
	case postInstall:
		s.each("", names(units, enabled), `systemctl enable "$unit" >/dev/null 2>&1 || true`)
		s.each("", names(units, started), "if "+running+`; then systemctl start "$unit" >/dev/null 2>&1 || true; fi`)
	case postUpgrade:
		s.line("if " + running + "; then")
		s.line("\tsystemctl daemon-reload >/dev/null 2>&1 || true")
		s.each("\t", names(units, func(u unit) bool { return u.Restart }), `systemctl try-restart "$unit" >/dev/null 2>&1 || true`)
		s.line("fi")
	case preRemove:
		s.each("", names(units, started), "if "+running+`; then systemctl stop "$unit" >/dev/null 2>&1 || true; fi`)
		s.each("", names(units, all), `systemctl --no-reload disable "$unit" >/dev/null 2>&1 || true`)
	case postRemove:
		s.line("if " + running + "; then systemctl daemon-reload >/dev/null 2>&1 || true; fi")
	}
	return s.String()
}
