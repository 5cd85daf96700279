package carry

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/tasks"
)

// ofWindows are programs that steps may run and that Windows 10 brings. Those of Go
// are carried.
var ofWindows = []string{"certutil", "cmd", "cscript", "curl", "find", "findstr", "go", "gofmt", "more", "powershell", "robocopy", "sort", "tar", "timeout", "where", "xcopy"}

// startable are the endings of the programs that Windows starts.
var startable = []string{".bat", ".cmd", ".com", ".exe"}

// Unfit says which programs of the steps a host will not have, as notes to the
// user. It knows about hosts with Windows, which has next to none of the programs
// that the steps of Unix projects run.
func Unfit(host string, made []StepResult) (notes []string) {
	if goos, _ := splitHost(host); goos != "windows" {
		return nil
	}
	absent, scripts := map[string][]string{}, map[string][]string{}
	for _, m := range made {
		for _, p := range tasks.ProgramsOf(m.Step) {
			if p.Path != "" && !slices.Contains(ofWindows, strings.TrimSuffix(p.Name, ".exe")) {
				absent[p.Name] = append(absent[p.Name], m.Step.Name)
			}
		}
		if argv := m.Step.Command.Arguments; strings.Contains(argv[0], "/") && !path.IsAbs(argv[0]) && !slices.Contains(startable, strings.ToLower(path.Ext(argv[0]))) {
			scripts[argv[0]] = append(scripts[argv[0]], m.Step.Name)
		}
	}
	if len(absent) > 0 {
		notes = append(notes, fmt.Sprintf("%s does not come with %s: install them there, or these steps fail, unchanged ones too, because a step's key holds the programs that it runs; script = … runs in a shell that airbuild brings", host, listed(absent)))
	}
	if len(scripts) > 0 {
		notes = append(notes, fmt.Sprintf("%s does not start %s: the carried results are used, and the steps fail there once their inputs change", host, listed(scripts)))
	}
	return notes
}

// listed is "sed (gen), sh (docs, gen)".
func listed(steps map[string][]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		words = append(words, fmt.Sprintf("%s (%s)", name, strings.Join(slices.Compact(steps[name]), ", ")))
	}
	return strings.Join(words, ", ")
}
