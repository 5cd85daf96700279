package oci

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// platforms decides for which platforms there are images, and which programs
// each has.
func (p *imagePlan) platforms() {
	wanted := p.wantedPlatforms()
	if p.b.Has("binaries") {
		p.programs(wanted)
	} else {
		if p.b.Has("binary") {
			p.fail("binary", "Path of no program", "binary says where the programs of binaries lie: set that too, or use a layer.")
		}
		p.spec.Platforms = wanted
	}
	sortPlatforms(p.spec.Platforms)
}

// wantedPlatforms are those that the stage names. Without binaries there is at
// least one.
func (p *imagePlan) wantedPlatforms() (list []platform) {
	b := p.b
	names := b.Strings("platforms")
	attr := "platforms"
	if len(names) == 0 && b.Platform != nil {
		attr, names = "matrix", []string{(platform{OS: b.Platform.OS, Arch: b.Platform.Arch, Variant: b.Platform.Variant}).String()}
	}
	if len(names) == 0 && !b.Has("binaries") {
		names = []string{"linux/" + b.Project.HostArch}
	}
	for _, name := range names {
		got, why := parsePlatform(name)
		if why != "" {
			p.fail(attr, "Not a platform of images", "%q: %s", name, why)
		} else if !slices.ContainsFunc(list, func(o platform) bool { return o.String() == got.String() }) {
			list = append(list, got)
		}
	}
	return list
}

// parsePlatform reads a platform in its words for images, which are Go's but
// for variants that say no more than the architecture.
func parsePlatform(name string) (p platform, why string) {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return p, "write os/arch or os/arch/variant, such as linux/arm64 or linux/arm/v7."
	}
	p = platform{OS: parts[0], Arch: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	if p.OS != "linux" {
		return p, "images are made for Linux."
	}
	p.Variant = variant(p.Arch, p.Variant)
	return p, ""
}

// variant is an architecture's variant as registries write it.
func variant(arch, v string) string {
	v, _, _ = strings.Cut(v, ",") // GOARM=7,softfloat
	if v != "" && v[0] >= '0' && v[0] <= '9' {
		v = "v" + v
	}
	switch {
	case arch == "arm" && v == "":
		return "v7" // Go's default
	case arch == "arm":
		return v
	case arch == "amd64" && v != "v1":
		return v
	}
	return "" // arm64 is v8, and further versions have no names in images
}

// platformOf is what a step builds for, or false if it does not say.
func platformOf(s *engine.Step) (platform, bool) {
	env := map[string]string{}
	for _, e := range s.Command.Env {
		env[e.Name] = e.Value
	}
	p := platform{OS: env["GOOS"], Arch: env["GOARCH"]}
	if p.OS == "" || p.Arch == "" {
		return p, false
	}
	p.Variant = variant(p.Arch, env["GO"+strings.ToUpper(p.Arch)])
	return p, true
}

// programs puts each cell of binaries into the image of its platform.
func (p *imagePlan) programs(wanted []platform) {
	b := p.b
	var others []string
	for _, stage := range b.Stages("binaries") {
		for _, cell := range stage.Steps {
			on, ok := platformOf(cell.Step)
			if !ok && len(wanted) == 1 {
				on, ok = wanted[0], true // a script's: the stage says what for
			}
			if !ok {
				p.fail("binaries", "Programs of no platform", "%s does not say what it builds for: set platforms to the one that it is, or use a go_build stage.", cell.Step.Name)
				continue
			}
			if on.OS != "linux" || len(wanted) > 0 && !slices.ContainsFunc(wanted, func(w platform) bool { return w.String() == on.String() }) {
				others = append(others, on.String())
				continue
			}
			p.program(on, stage, cell)
		}
	}
	p.missing(wanted, others)
	p.entrypoint()
}

func (p *imagePlan) missing(wanted []platform, others []string) {
	slices.Sort(others)
	has := "nothing else"
	if others = slices.Compact(others); len(others) > 0 {
		has = strings.Join(others, ", ")
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(p.spec.Platforms, func(o platform) bool { return o.String() == w.String() }) {
			p.fail("platforms", "Platform without programs", "binaries has none for %s; it has %s.", w, has)
		}
	}
	if len(p.spec.Platforms) == 0 && !p.diags.HasErrors() {
		p.fail("binaries", "No programs for Linux", "Images are made for Linux, and binaries has %s.", has)
	}
}

func (p *imagePlan) program(on platform, stage tasks.StageValue, cell tasks.StepOutputs) {
	at := slices.IndexFunc(p.spec.Platforms, func(o platform) bool { return o.String() == on.String() })
	if at < 0 {
		at = len(p.spec.Platforms)
		p.spec.Platforms = append(p.spec.Platforms, on)
	}
	img := &p.spec.Platforms[at]
	for _, out := range cell.Outputs {
		tasks.AddInput(&p.step, engine.StepInput(out, cell.ID, out))
		isDir := slices.Contains(cell.Step.Command.OutputDirectories, relativeTo(cell.Step.Command.WorkingDirectory, out))
		to, why := placeOf(p.b.String("binary"), programName(cell.Step, stage, on, out), isDir)
		if why != "" {
			p.fail("binary", "Not a path in an image", "%s", why)
			return
		}
		if i := slices.IndexFunc(img.Programs, func(f file) bool { return f.To == to && !f.Dir }); i >= 0 && !isDir {
			p.fail("binary", "Two programs of one name", "%s and %s would both be /%s on %s. Put a slash at the end of binary, or leave one out.", img.Programs[i].Path, out, to, on)
			return
		}
		img.Programs = append(img.Programs, file{Path: out, To: to, Dir: isDir})
	}
	slices.SortFunc(img.Programs, func(a, b file) int { return strings.Compare(a.To+"\x00"+a.Path, b.To+"\x00"+b.Path) })
}

// relativeTo is a project-relative path in the form of a Command's outputs.
func relativeTo(wd, out string) string {
	for up := ""; ; up += "../" {
		if wd == "" || wd == "." {
			return up + out
		}
		if rest, ok := strings.CutPrefix(out, wd+"/"); ok {
			return up + rest
		}
		if wd = path.Dir(wd); wd == "." {
			wd = ""
		}
	}
}

// placeOf is where a program lies in the image.
func placeOf(binary, name string, isDir bool) (to, why string) {
	binary = cmp.Or(binary, "/usr/bin/")
	if isDir && !strings.HasSuffix(binary, "/") {
		return "", fmt.Sprintf("%q is one path, and the stage makes a directory of programs: put a slash at its end.", binary)
	}
	if strings.HasSuffix(binary, "/") && !isDir {
		binary += name
	}
	return inImage(binary)
}

// programName is what a program is called: after its package, or else by its
// file's name without the platform.
func programName(s *engine.Step, stage tasks.StageValue, on platform, out string) string {
	name := strings.TrimSuffix(path.Base(out), ".exe")
	if stage.Type != "go_build" {
		return name
	}
	if before, _, ok := strings.Cut(name, "_"+on.OS+"_"+on.Arch); ok && before != "" {
		name = before
	}
	if args := s.Command.Arguments; len(args) > 2 && args[len(args)-2] == "--" {
		if base := path.Base(args[len(args)-1]); base != "." && base != ".." && base != "/" {
			name = base
		}
	}
	return name
}

// entrypoint is the program, where there is one.
func (p *imagePlan) entrypoint() {
	if p.b.Has("entrypoint") || len(p.spec.Platforms) == 0 {
		return
	}
	one := p.spec.Platforms[0].Programs
	if len(one) != 1 || one[0].Dir {
		return
	}
	for _, o := range p.spec.Platforms {
		if len(o.Programs) != 1 || o.Programs[0].To != one[0].To {
			return
		}
	}
	p.spec.Config.Entrypoint = []string{"/" + one[0].To}
}
