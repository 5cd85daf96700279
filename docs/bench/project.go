package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A target is one program for one platform.
type target struct {
	main, pkg, os, arch string
}

// id is the name of the target's file and of what makes it.
func (t target) id() string {
	id := t.os + "_" + t.arch + "_" + t.main
	if t.os == "windows" {
		id += ".exe"
	}
	return id
}

// A project is a Go module that every tool has a file for.
type project struct {
	name      string // its folder, and the suffix of its cases
	title     string
	dir       string
	root      string // what make fills, if dir is only a part of it
	env       []string
	mains     [][2]string // name, package
	platforms []string
	release   bool   // archives and checksums too
	edit      string // package whose one line is edited
	make      func(p *project, b *bench) error
	stamp     string // what the copy was made from; another stamp makes it anew
}

func (p *project) targets() []target {
	var list []target
	for _, platform := range p.platforms {
		goos, arch, _ := strings.Cut(platform, "/")
		for _, m := range p.mains {
			list = append(list, target{main: m[0], pkg: m[1], os: goos, arch: arch})
		}
	}
	return list
}

// editFile is the one file that the edit case changes.
func (p *project) editFile() string { return filepath.Join(p.dir, p.edit, "zz_bench_edit.go") }

// writeEdit makes edit n: another value of a string that ends up in the
// binaries, so that neither compiler nor linker may skip it. Edit 0 is the
// project as it was, its time included: nothing needs to be made after it.
func (p *project) writeEdit(n int) error {
	text := fmt.Sprintf("package %s\n\nvar BenchEdit = %q\n\nfunc init() {\n\tif BenchEdit == \"\" {\n\t\tprintln(BenchEdit)\n\t}\n}\n",
		filepath.Base(p.edit), editMark(n))
	if err := os.WriteFile(p.editFile(), []byte(text), 0o666); err != nil || n > 0 {
		return err
	}
	long := time.Unix(1e9, 0) // older than all that was made from it
	return os.Chtimes(p.editFile(), long, long)
}

func editMark(n int) string { return fmt.Sprintf("bench-edit-%09d", n) }

// prepare makes the project's folder and the files of every tool, in a process
// of its own: what it holds in memory would otherwise be added to the peak
// memory of every program that is started later (Linux counts a process's
// memory from before its exec).
func (p *project) prepare(b *bench) error {
	made := filepath.Join(b.scratch, p.name+".made")
	if old, _ := os.ReadFile(made); string(old) != p.stamp || p.stamp == "" {
		b.say("make project %s", p.name)
		os.Remove(made)
		if err := os.RemoveAll(p.root); err != nil {
			return err
		}
		if err := os.MkdirAll(p.dir, 0o777); err != nil {
			return err
		}
		if err := p.make(p, b); err != nil {
			return fmt.Errorf("make %s: %w", p.name, err)
		}
		if err := p.writeEdit(0); err != nil {
			return err
		}
		if err := b.commit(p.dir); err != nil {
			return err
		}
	}
	if err := p.writeToolFiles(b); err != nil {
		return err
	}
	return os.WriteFile(made, []byte(p.stamp), 0o666)
}

// commit puts what is in dir under git, as users have it: some tools ask git.
func (b *bench) commit(dir string) error {
	script := `rm -rf .git
git init -q .
printf '%s\n' /out-\* .task .turbo .ninja_log .ninja_deps node_modules > .git/info/exclude
git add -A
git -c user.name=bench -c user.email=bench@localhost commit -q -m "the project"
git tag v1.0.0`
	return b.command(dir, nil, "sh", "-ec", script)
}

func (b *bench) command(dir string, env []string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, b.environ(env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, tail(string(out)))
	}
	return nil
}

// makeCmd copies the Go distribution's cmd module into a GOROOT that has
// everything else by links.
func makeCmd(p *project, b *bench) error {
	for _, name := range []string{"pkg", "lib"} {
		if err := os.Symlink(filepath.Join(b.goroot, name), filepath.Join(p.root, name)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(p.root, "bin"), 0o777); err != nil {
		return err
	}
	for _, name := range []string{"VERSION", "go.env", "bin/go"} {
		content, err := os.ReadFile(filepath.Join(b.goroot, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.root, name), content, 0o777); err != nil {
			return err
		}
	}
	list, err := os.ReadDir(filepath.Join(b.goroot, "src"))
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == "cmd" {
			continue
		}
		if err := os.Symlink(filepath.Join(b.goroot, "src", e.Name()), filepath.Join(p.root, "src", e.Name())); err != nil {
			return err
		}
	}
	return b.command(p.root, nil, "cp", "-r", filepath.Join(b.goroot, "src", "cmd")+"/.", p.dir)
}

// makeSelf clones airbuild's last commit, with its dependencies vendored.
func makeSelf(p *project, b *bench) error {
	if err := b.command(p.dir, nil, "git", "clone", "-q", b.repo, "."); err != nil {
		return err
	}
	// What the clone's own Airbuildfile and ignore list say is not the case's.
	if err := os.Remove(filepath.Join(p.dir, ".gitignore")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.command(p.dir, nil, "go", "mod", "vendor")
}

// synthetic makes a module of about n files: 40 % in packages of its own, 60 %
// in vendored modules, 40 files a package, all of it reached by every program.
func synthetic(n int) func(*project, *bench) error {
	return func(p *project, _ *bench) error {
		const perPackage, perModule = 40, 10
		own, dep := n*2/5/perPackage, n*3/5/perPackage
		gomod, modules := "module example.com/big\n\ngo 1.25\n\nrequire (\n", ""
		depPath := func(i int) string { return fmt.Sprintf("example.com/dep%02d/p%d", i/perModule, i%perModule) }
		for i := range dep {
			if i%perModule == 0 {
				m := fmt.Sprintf("example.com/dep%02d v1.0.0", i/perModule)
				gomod += "\t" + m + "\n"
				modules += "# " + m + "\n## explicit; go 1.25\n"
			}
			modules += depPath(i) + "\n"
			var imports []string
			if i > 0 {
				imports = append(imports, depPath(i/2))
			}
			if err := syntheticPackage(filepath.Join(p.dir, "vendor", depPath(i)), perPackage, imports); err != nil {
				return err
			}
		}
		var all []string
		for i := range own {
			imports := []string{depPath(i * dep / own), depPath((i + 1) * dep / own % dep)}
			for j := i * dep / own; j < (i+1)*dep/own; j++ {
				imports = append(imports, depPath(j))
			}
			if i > 0 {
				imports = append(imports, fmt.Sprintf("example.com/big/internal/p%03d", i/2))
			}
			all = append(all, fmt.Sprintf("example.com/big/internal/p%03d", i))
			if err := syntheticPackage(filepath.Join(p.dir, "internal", fmt.Sprintf("p%03d", i)), perPackage, imports); err != nil {
				return err
			}
		}
		for _, m := range p.mains {
			if err := writeFile(filepath.Join(p.dir, m[1], "main.go"), syntheticFile("main", 0, all)+"\nfunc main() { println(F000(0)) }\n"); err != nil {
				return err
			}
		}
		return errors.Join(
			writeFile(filepath.Join(p.dir, "go.mod"), gomod+")\n"),
			writeFile(filepath.Join(p.dir, "vendor", "modules.txt"), modules))
	}
}

// syntheticPackage writes a package of n small files, the first of which
// imports the others' packages.
func syntheticPackage(dir string, n int, imports []string) error {
	slices.Sort(imports)
	imports = slices.Compact(imports)
	for i := range n {
		if err := writeFile(filepath.Join(dir, fmt.Sprintf("f%03d.go", i)), syntheticFile(filepath.Base(dir), i, imports)); err != nil {
			return err
		}
		imports = nil
	}
	return nil
}

func syntheticFile(pkg string, i int, imports []string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "package %s\n\n", pkg)
	for j, imp := range imports {
		fmt.Fprintf(&s, "import i%d %q\n", j, imp)
	}
	fmt.Fprintf(&s, "\nfunc F%03d(x int) int {\n\tx += %d\n", i, i)
	for j := range imports {
		fmt.Fprintf(&s, "\tx ^= i%d.F000(x)\n", j)
	}
	s.WriteString("\treturn x\n}\n")
	return s.String()
}

// closure lists the project's own files that one target is made of, as the go
// command tells it, relative to the project.
func (p *project) closure(b *bench, t target) ([]string, error) {
	fields := []string{"GoFiles", "CgoFiles", "CFiles", "CXXFiles", "HFiles", "SFiles", "SysoFiles", "EmbedFiles"}
	// By its own PATH: for the cmd module that of the host is another Go.
	cmd := exec.Command("env", "go", "list", "-mod=vendor", "-deps", "-json=Dir,"+strings.Join(fields, ","), t.pkg)
	cmd.Dir = p.dir
	cmd.Env = b.environ(append(slices.Clone(p.env), "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w\n%s", t.pkg, err, tail(stderr.String()))
	}
	list := []string{"go.mod"}
	if _, err := os.Stat(filepath.Join(p.dir, "go.sum")); err == nil {
		list = append(list, "go.sum")
	}
	list = append(list, "vendor/modules.txt")
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var pkg map[string]json.RawMessage
		if err := dec.Decode(&pkg); err != nil {
			return nil, err
		}
		var dir string
		if err := json.Unmarshal(pkg["Dir"], &dir); err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(p.dir, dir)
		if err != nil || !filepath.IsLocal(rel) {
			continue // the standard library: the toolchain's version stands for it
		}
		for _, f := range fields {
			var names []string
			if pkg[f] == nil {
				continue
			}
			if err := json.Unmarshal(pkg[f], &names); err != nil {
				return nil, err
			}
			for _, name := range names {
				list = append(list, filepath.Join(rel, name))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// writeFile writes a file if its content is another, so that its times stay.
func writeFile(name, text string) error {
	if old, err := os.ReadFile(name); err == nil && string(old) == text {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o666)
}
