package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// trivial is how many steps the case of many small steps has.
func (b *bench) trivial() int { return 10000 / b.shrink }

// makeSteps writes a project of as many copies of one file, for every tool
// that can hold them.
func makeSteps(b *bench) error {
	dir := filepath.Join(b.scratch, "steps")
	var ninja, makeAll, makeRules, taskDeps, tasks strings.Builder
	type task struct {
		Inputs  []string `json:"inputs"`
		Outputs []string `json:"outputs"`
	}
	turbo, scripts := map[string]task{}, map[string]string{}
	ninja.WriteString("rule cp\n  command = cp $in $out\n\n")
	for i := range b.trivial() {
		in := fmt.Sprintf("in/%d", i)
		if err := writeFile(filepath.Join(dir, in), fmt.Sprintf("%d\n", i)); err != nil {
			return err
		}
		fmt.Fprintf(&ninja, "build out-ninja/%d: cp %s\n", i, in)
		fmt.Fprintf(&makeAll, " out-make/%d", i)
		fmt.Fprintf(&makeRules, "out-make/%d: %s\n\tcp %s $@\n", i, in, in)
		fmt.Fprintf(&taskDeps, "      - s%d\n", i)
		fmt.Fprintf(&tasks, "  s%d:\n    sources: [%s]\n    generates: [out-task/%d]\n    cmds: [cp %s out-task/%d]\n", i, in, i, in, i)
		name := fmt.Sprintf("s%d", i)
		turbo[name] = task{Inputs: []string{in}, Outputs: []string{fmt.Sprintf("out-turbo/%d", i)}}
		scripts[name] = fmt.Sprintf("cp %s out-turbo/%d", in, i)
	}
	for _, name := range []string{"out-make", "out-task", "out-turbo"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			return err
		}
	}
	// npm takes a third of a second to start a script. The stand-in does what
	// the script says at once: only the cached run is measured.
	npm := filepath.Join(b.scratch, "stand-in", "npm")
	err := errors.Join(
		writeFile(filepath.Join(dir, "Airbuildfile"), fmt.Sprintf(`stage "exec" "t" {
  matrix  = { i = range(%d) }
  inputs  = ["in/${matrix.i}"]
  script  = "cat in/${matrix.i} > out-airbuild/${matrix.i}"
  outputs = ["out-airbuild/${matrix.i}"]
}

pipeline "release" {
  stages = [stage.t]
}
`, b.trivial())),
		writeFile(filepath.Join(dir, "build.ninja"), ninja.String()),
		writeFile(filepath.Join(dir, "Makefile.bench"), "MAKEFLAGS += -r\n.PHONY: all\n.SUFFIXES:\nall:"+makeAll.String()+"\n"+makeRules.String()),
		writeFile(filepath.Join(dir, "Taskfile.yml"), "version: '3'\ntasks:\n  release:\n    deps:\n"+taskDeps.String()+tasks.String()),
		writeFile(filepath.Join(dir, "turbo.json"), jsonText(map[string]any{"tasks": turbo})),
		writeFile(filepath.Join(dir, "package.json"), packageJSON(scripts)),
		writeFile(npm, "#!/bin/sh\n[ \"$1\" = run ] || exit 0\nn=${2#s}\nexec cp \"in/$n\" \"out-turbo/$n\"\n"),
	)
	if err != nil {
		return err
	}
	if err := os.Chmod(npm, 0o777); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		return nil
	}
	return b.commit(dir)
}

func (b *bench) steps() ([]contender, error) {
	if err := b.makeProject(&project{name: "steps"}); err != nil {
		return nil, err
	}
	turbo := []string{"turbo", "run", "--log-order=grouped", "--output-logs=none"}
	var inputs strings.Builder
	for i := range b.trivial() {
		turbo = append(turbo, fmt.Sprintf("s%d", i))
		fmt.Fprintf(&inputs, "in/%d\n", i)
	}
	list := filepath.Join(b.scratch, "steps.inputs")
	if err := writeFile(list, inputs.String()); err != nil {
		return nil, err
	}
	stand := "PATH=" + filepath.Join(b.scratch, "stand-in") + ":" + os.Getenv("PATH")
	contenders := []contender{
		{name: "airbuild", argv: []string{b.airbuild(), "run", "release"}, check: allHits(b.trivial())},
		{name: "ninja", argv: []string{"ninja"}, check: says("no work to do")},
		{name: "make", argv: []string{"make", "-f", "Makefile.bench"}, check: says("Nothing to be done for")},
		{name: "task", argv: []string{"task", "--concurrency", "4", "release"}, check: count("is up to date", b.trivial()), max: 1, slow: true},
		{name: "turbo", argv: turbo, env: []string{stand}, check: turboHits(b.trivial()), max: 3, slow: true},
		{name: "limit: lstat of the inputs, one by one", argv: []string{b.self(), "lstat", list}, limit: true, prints: true},
	}
	return b.in(filepath.Join(b.scratch, "steps"), nil, contenders), nil
}
