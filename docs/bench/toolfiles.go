package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Every tool builds the same targets with the same go build command into a
// folder of its own, out-NAME. ninja and make list the exact files of each
// target's closure; Task and turbo have patterns, as their users write them.

var (
	extras   = []string{"LICENSE", "README.md", "CHANGELOG.md"} // go into every archive
	patterns = []string{"**/*.go", "**/*.s", "**/*.h", "**/*.hcl", "go.mod", "go.sum", "vendor/modules.txt"}
)

// goBuild is the command of a target. Unlike airbuild's it leaves the build id
// in: without it the go command would link again each time.
func goBuild(t target, out string) string {
	return fmt.Sprintf("GOOS=%s GOARCH=%s CGO_ENABLED=0 go build -mod=vendor -trimpath -buildvcs=false '-ldflags=-s -w' -o %s/%s %s",
		t.os, t.arch, out, t.id(), t.pkg)
}

func (p *project) writeToolFiles(b *bench) error {
	targets := p.targets()
	closures := map[string][]string{}
	var union []string
	for _, t := range targets {
		list, err := p.closure(b, t)
		if err != nil {
			return err
		}
		closures[t.id()] = list
		union = append(union, list...)
	}
	slices.Sort(union)
	union = slices.Compact(union)
	at := func(name string) string { return filepath.Join(p.dir, name) }
	return errors.Join(
		writeFile(filepath.Join(b.scratch, p.name+".inputs"), strings.Join(union, "\n")+"\n"),
		writeFile(at("Airbuildfile"), p.airbuildfile()),
		writeFile(at("build.ninja"), p.ninja(closures)),
		writeFile(at("Makefile.bench"), p.makefile(closures)),
		writeFile(at("Taskfile.yml"), p.taskfile()),
		writeFile(at("turbo.json"), p.turbo()),
		writeFile(at("package.json"), p.packageJSON()),
		writeFile(at(".goreleaser.yaml"), p.goreleaser()),
		writeFile(at("loop.sh"), "set -e\n"+p.loop("out-loop", targets)),
	)
}

func quoted(list []string) string { return `"` + strings.Join(list, `", "`) + `"` }

func (p *project) airbuildfile() string {
	s := fmt.Sprintf(`airbuild {
  dist = "out-airbuild"
}

stage "go_build" "bin" {
  matrix = {
    platform = [%s]
    main     = [%s]
  }
  package = { %s }[matrix.main]
  output  = "${matrix.os}_${matrix.arch}_${matrix.main}${matrix.exe}"
  size {
    strip = true
  }
}
`, quoted(p.platforms), quoted(p.mainNames()), p.mainMap())
	last := "bin"
	if p.release {
		last = "sums"
		s += fmt.Sprintf(`
stage "archive" "archives" {
  for_each = stage.bin
  files    = [each.path, %s]
}

stage "checksum" "sums" {
  files = stage.archives.paths
}
`, quoted(extras))
	}
	return s + fmt.Sprintf("\npipeline \"release\" {\n  stages = [stage.%s]\n}\n", last)
}

func (p *project) mainNames() []string {
	var list []string
	for _, m := range p.mains {
		list = append(list, m[0])
	}
	return list
}

func (p *project) mainMap() string {
	var list []string
	for _, m := range p.mains {
		list = append(list, fmt.Sprintf("%s = %q", m[0], m[1]))
	}
	return strings.Join(list, ", ")
}

func (p *project) ninja(closures map[string][]string) string {
	var s strings.Builder
	s.WriteString("rule sh\n  command = $cmd\nrule tar\n  command = tar -czf $out $in\nrule sums\n  command = cd out-ninja && sha256sum *.tar.gz > checksums.txt\n\n")
	var archives []string
	for _, t := range p.targets() {
		fmt.Fprintf(&s, "build out-ninja/%s: sh %s\n  cmd = %s\n", t.id(), strings.Join(closures[t.id()], " "), goBuild(t, "out-ninja"))
		if p.release {
			archive := "out-ninja/" + t.id() + ".tar.gz"
			archives = append(archives, archive)
			fmt.Fprintf(&s, "build %s: tar out-ninja/%s %s\n", archive, t.id(), strings.Join(extras, " "))
		}
	}
	if p.release {
		fmt.Fprintf(&s, "build out-ninja/checksums.txt: sums %s\n", strings.Join(archives, " "))
	}
	return s.String()
}

func (p *project) makefile(closures map[string][]string) string {
	var all, rules strings.Builder
	var archives []string
	for _, t := range p.targets() {
		out := "out-make/" + t.id()
		all.WriteString(" " + out)
		fmt.Fprintf(&rules, "%s: %s\n\t%s\n", out, strings.Join(closures[t.id()], " "), goBuild(t, "out-make"))
		if p.release {
			archives = append(archives, out+".tar.gz")
			fmt.Fprintf(&rules, "%s.tar.gz: %s %s\n\ttar -czf $@ $^\n", out, out, strings.Join(extras, " "))
		}
	}
	if p.release {
		all.WriteString(" out-make/checksums.txt")
		fmt.Fprintf(&rules, "out-make/checksums.txt: %s\n\tcd out-make && sha256sum *.tar.gz > checksums.txt\n", strings.Join(archives, " "))
	}
	return "MAKEFLAGS += -r\n.PHONY: all\n.SUFFIXES:\nall:" + all.String() + "\n" + rules.String()
}

func (p *project) taskfile() string {
	var deps, tasks strings.Builder
	task := func(name string, deps, sources []string, out, cmd string) {
		fmt.Fprintf(&tasks, "  %s:\n", name)
		if deps != nil {
			fmt.Fprintf(&tasks, "    deps: [%s]\n", quoted(deps))
		}
		fmt.Fprintf(&tasks, "    sources: [%s]\n    generates: [%q]\n    cmds:\n      - %q\n", quoted(sources), out, cmd)
	}
	var archiveTasks, archives []string
	for _, t := range p.targets() {
		id, out := t.id(), "out-task/"+t.id()
		fmt.Fprintf(&deps, "      - %s\n", id)
		task(id, nil, patterns, out, goBuild(t, "out-task"))
		if p.release {
			archives = append(archives, out+".tar.gz")
			archiveTasks = append(archiveTasks, id+"_archive")
			task(id+"_archive", []string{id}, append([]string{out}, extras...), out+".tar.gz",
				fmt.Sprintf("tar -czf %s.tar.gz %s %s", out, out, strings.Join(extras, " ")))
		}
	}
	if p.release {
		deps.Reset()
		deps.WriteString("      - sums\n")
		task("sums", archiveTasks, archives, "out-task/checksums.txt", "cd out-task && sha256sum *.tar.gz > checksums.txt")
	}
	return "version: '3'\ntasks:\n  release:\n    deps:\n" + deps.String() + tasks.String()
}

// steps is how many tasks Task and turbo must find up to date.
func (p *project) steps() int {
	n := len(p.targets())
	if p.release {
		n = 2*n + 1
	}
	return n
}

func (p *project) turbo() string {
	type task struct {
		Inputs    []string `json:"inputs"`
		Outputs   []string `json:"outputs"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
	tasks := map[string]task{}
	var archives []string
	for _, t := range p.targets() {
		tasks[t.id()] = task{Inputs: patterns, Outputs: []string{"out-turbo/" + t.id()}}
		if p.release {
			name := t.id() + "_archive"
			archives = append(archives, name)
			tasks[name] = task{Inputs: extras, Outputs: []string{"out-turbo/" + t.id() + ".tar.gz"}, DependsOn: []string{t.id()}}
		}
	}
	if p.release {
		tasks["sums"] = task{Inputs: []string{"go.mod"}, Outputs: []string{"out-turbo/checksums.txt"}, DependsOn: archives}
	}
	return jsonText(map[string]any{"globalPassThroughEnv": []string{"GO*", "HOME"}, "tasks": tasks})
}

func (p *project) packageJSON() string {
	scripts := map[string]string{}
	for _, t := range p.targets() {
		scripts[t.id()] = goBuild(t, "out-turbo")
		if p.release {
			scripts[t.id()+"_archive"] = fmt.Sprintf("tar -czf out-turbo/%[1]s.tar.gz out-turbo/%[1]s %[2]s", t.id(), strings.Join(extras, " "))
		}
	}
	if p.release {
		scripts["sums"] = "cd out-turbo && sha256sum *.tar.gz > checksums.txt"
	}
	return packageJSON(scripts)
}

func packageJSON(scripts map[string]string) string {
	return jsonText(map[string]any{"name": "bench", "private": true, "packageManager": "npm@10.0.0", "scripts": scripts})
}

func jsonText(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err) // only strings and lists are in it
	}
	return string(text) + "\n"
}

func (p *project) goreleaser() string {
	var s strings.Builder
	s.WriteString("version: 2\nproject_name: bench\ndist: out-goreleaser\nbuilds:\n")
	var platforms []string
	for _, platform := range p.platforms {
		platforms = append(platforms, strings.ReplaceAll(platform, "/", "_"))
	}
	for _, m := range p.mains {
		fmt.Fprintf(&s, "  - id: %s\n    main: %s\n    binary: %s\n    env: [CGO_ENABLED=0]\n    flags: [-mod=vendor, -trimpath, -buildvcs=false]\n    ldflags: [\"-s -w\"]\n    targets: [%s]\n",
			m[0], m[1], m[0], strings.Join(platforms, ", "))
	}
	if p.release {
		fmt.Fprintf(&s, "archives:\n  - formats: [tar.gz]\n    files: [%s]\nchecksum:\n  name_template: checksums.txt\nchangelog:\n  disable: true\n", quoted(extras))
	}
	return s.String()
}

func (p *project) loop(out string, targets []target) string {
	var s strings.Builder
	for _, t := range targets {
		s.WriteString(goBuild(t, out) + "\n")
	}
	return s.String()
}
