package linuxpkg

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/tasks"
)

// Names of scripts, as users write them.
const (
	preInstall  = "preinstall"
	postInstall = "postinstall"
	preRemove   = "preremove"
	postRemove  = "postremove"
	preUpgrade  = "preupgrade"
	postUpgrade = "postupgrade"
	preTrans    = "pretrans"
	postTrans   = "posttrans"
)

var scriptNames = [...]string{preInstall, postInstall, preRemove, postRemove, preUpgrade, postUpgrade, preTrans, postTrans}

// runs reports whether a format has a script of the name.
func runs(format, name string) bool {
	switch name {
	case preUpgrade, postUpgrade:
		return format == apk || format == archlinux
	case preTrans, postTrans:
		return format == rpm
	}
	return true
}

// planScripts lists the scripts and units of a format.
func planScripts(b *tasks.Block, get lookup, p *pkg) (diags hcl.Diagnostics) {
	for _, name := range scriptNames {
		attr := get.attr(name)
		if !b.Has(attr) {
			continue
		}
		if runs(p.Format, name) {
			p.Scripts = append(p.Scripts, script{name, onePath(b, attr)})
		} else if attr != name {
			diags = append(diags, b.Error(attr, "Script that does not run", fmt.Sprintf("%s packages have no %s.", p.Format, name)))
		}
	}
	for _, label := range b.Labels["systemd"] {
		attr := "systemd." + label + "."
		if !strings.Contains(label, ".") || !isWord(label, "_-.@:\\") {
			diags = append(diags, b.Error(attr+"src", "Not a unit's name", fmt.Sprintf("%q: a unit is called like app.service or app.timer.", label)))
		}
		if p.Format == apk {
			continue
		}
		start := b.Bool(attr+"start", true)
		if template := strings.Contains(label, "@."); template && (b.Bool(attr+"enable", true) || start) {
			diags = append(diags, b.Error(attr+"src", "Template to start", "A unit for several instances can be neither enabled nor started: set enable and start to false."))
		}
		p.Units = append(p.Units, unit{
			Name: label, Src: onePath(b, attr+"src"),
			Enable: b.Bool(attr+"enable", true), Start: start, Restart: b.Bool(attr+"restart", true),
		})
	}
	slices.SortFunc(p.Units, func(a, b unit) int { return strings.Compare(a.Name, b.Name) })
	return diags
}

// combine makes one script of the user's and of what the units want done. The
// user's part is a subshell, so that its exit ends only itself.
func combine(name, user, units string) (string, error) {
	if units == "" {
		return user, nil
	}
	first, rest := "#!/bin/sh", user
	if strings.HasPrefix(user, "#!") {
		first, rest, _ = strings.Cut(user, "\n")
		if fields := strings.Fields(first[2:]); len(fields) == 0 || !strings.HasSuffix(fields[len(fields)-1], "sh") && !slices.ContainsFunc(fields, isShell) {
			return "", fmt.Errorf("%s is not a shell script (%s), and the systemd blocks must add to it: write it for sh, or remove the systemd blocks", name, first)
		}
	}
	body := ""
	if strings.TrimSpace(rest) != "" {
		body = "(\n" + strings.TrimRight(rest, "\n") + "\n)\n"
	}
	if name == preRemove { // the service is down when the user's part runs
		body = units + body
	} else {
		body += units
	}
	return first + "\nset -e\n" + body, nil
}

func isShell(program string) bool {
	return slices.Contains([]string{"sh", "bash", "dash", "ash", "ksh"}, program[strings.LastIndexByte(program, '/')+1:])
}
