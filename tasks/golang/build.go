package golang

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// build is the stage type go_build.
type build struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*build) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_build",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Compiles: true, ToolchainOnly: true, EmbedsOnly: true, Shipped: true, Rebuilt: true}},
		Doc:    "Builds Go programs, one platform per cell; the cache key covers exactly the files that are compiled.",
		Attrs: []tasks.Attr{
			{Name: "package", Kind: tasks.String, Default: "\".\"", Doc: "The main package to build: a path relative to dir (\"./cmd/app\") or an import path."},
			{Name: "packages", Kind: tasks.Strings, Doc: "Several main packages, or patterns such as \"./cmd/...\", built into a directory by one command; to build each program in its own cell, use a matrix with `package`."},
			{Name: "output", Kind: tasks.Output, Default: "the package's name, with _os_arch if the cell has a platform, and .exe on Windows; with `packages`, the directory bin or bin_os_arch", Doc: "The file to write, or with a trailing slash its directory; with `packages`, the directory."},
			tagsAttr(),
			{Name: "ldflags", Kind: tasks.Strings, Doc: "Additional flags for Go's linker, after those from `size` and `stamp`."},
			{Name: "gcflags", Kind: tasks.Strings, Doc: "Flags for Go's compiler, as in -gcflags=[pattern=]flags; each element is one -gcflags."},
			{Name: "asmflags", Kind: tasks.Strings, Doc: "Flags for Go's assembler, in the same format as gcflags."},
			{Name: "stamp", Kind: tasks.StringMap, Doc: "Values of string variables, set by the linker: { \"main.version\" = var.version }; a change relinks and recompiles nothing."},
			{Name: "buildvcs", Kind: tasks.Bool, Default: "false; true where the program or what it imports of its module uses debug.ReadBuildInfo", Doc: "Stamps the program with its version, commit and time as go build does in a clone, for debug.ReadBuildInfo and go version -m; a new commit relinks it."},
			{Name: "buildmode", Kind: tasks.String, Enum: []string{"default", "exe", "pie", "c-archive", "c-shared", "plugin"}, Default: "Go's for the platform", Doc: "The kind of binary to build; c-archive and c-shared also write a header file."},
			{Name: "race", Kind: tasks.Bool, Default: "false", Doc: "Enables the race detector, which requires cgo on all systems except macOS."},
			{Name: "pgo", Kind: tasks.String, Default: "\"auto\"", Doc: "A CPU profile for profile-guided optimization: a path relative to dir, a stage's output, \"auto\" (default.pgo in the main package's directory) or \"off\"."},
			cgoAttr(),
			{Name: "universal", Kind: tasks.Bool, Default: "true for the platform darwin/universal", Doc: "Builds one universal file for amd64 and arm64."},
			modulesAttr(), modAttr(),
		},
		Blocks: []tasks.Nested{
			{Type: "size", Doc: "Settings that reduce the size of the binary.", Attrs: []tasks.Attr{
				{Name: "strip", Kind: tasks.Bool, Default: "false", Doc: "Omits the symbol table, debug information and build id (-s -w -buildid=)."},
				{Name: "trimpath", Kind: tasks.Bool, Default: "true", Doc: "Removes local paths from the binary; without it the output depends on the build directory, so the stage is not cached."},
				{Name: "lto", Kind: tasks.Bool, Default: "false", Doc: "Optimizes the C code of a cgo build for size at link time (-Os -flto, unused sections removed); Go's linker always removes unused code."},
				{Name: "notes", Kind: tasks.Bool, Default: "false", Doc: "Links a second time to report which functions use reflection in a way that limits dead-code elimination."},
			}},
			cgoBlock(),
		},
	}
}

func tagsAttr() tasks.Attr {
	return tasks.Attr{Name: "tags", Kind: tasks.Strings, Doc: "Build tags."}
}

func modulesAttr() tasks.Attr {
	return tasks.Attr{Name: "modules", Kind: tasks.StageRef, Default: "vendor/ if it exists, else the module cache",
		Doc: "The source of modules: a go_vendor stage (builds with -mod=vendor) or a go_download stage (its tree is the only GOPROXY)."}
}

func modAttr() tasks.Attr {
	return tasks.Attr{Name: "mod", Kind: tasks.String, Enum: []string{"vendor", "readonly", "mod"}, Default: "as the go command",
		Doc: "The module mode, as the go command's -mod; always part of the cache key."}
}

// A program is one run of go build: what both halves of a universal one share.
type program struct {
	cfg      *gocmd.Config
	b        *tasks.Block
	m        *gocmd.Module
	mode     closure.ModMode
	patterns []string
	dir      bool   // several packages: out is a directory
	out      string // project-relative
}

// Plan implements tasks.Task.
func (t *build) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	m, diags := gocmd.ModuleOf(b)
	if diags.HasErrors() {
		return nil, diags
	}
	p, diags := target(b)
	bin := &program{cfg: t.cfg, b: b, m: m}
	var more hcl.Diagnostics
	bin.mode, more = modules(b, m)
	diags = append(diags, more...)
	diags = append(diags, bin.check(p)...)
	diags = append(diags, bin.name(p)...)
	if diags.HasErrors() {
		return nil, diags
	}
	if p.Arch == gocmd.Universal || b.Bool("universal", false) {
		steps, more := bin.universal()
		return steps, append(diags, more...)
	}
	s, more := bin.step(p, bin.out)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return nil, diags
	}
	if b.Bool("size.notes", false) {
		notes, err := notesStep(&s)
		if err != nil {
			return nil, append(diags, b.Error("size.notes", "Cannot plan notes", err.Error()))
		}
		s.After = append(s.After, b.First) // so that whoever wants the binary gets the notes
		return []engine.Step{notes, s}, diags
	}
	return []engine.Step{s}, diags
}

// check reports attributes that do not go together.
func (bin *program) check(p tasks.Platform) hcl.Diagnostics {
	b := bin.b
	diags := checkCgoLabels(b)
	if b.Has("package") && b.Has("packages") {
		diags = append(diags, b.Error("packages", "Both package and packages", "Give package for one program in a file, or packages for several in a directory."))
	}
	if b.Has("packages") && len(b.Strings("packages")) == 0 {
		diags = append(diags, b.Error("packages", "No packages", "Name at least one package, or leave packages out."))
	}
	universal := p.Arch == gocmd.Universal || b.Bool("universal", false)
	if universal && p.OS != "darwin" {
		diags = append(diags, b.Error("universal", "Not a macOS platform", fmt.Sprintf("Universal binaries are for macOS, and this cell is for %s.", name(p))))
	}
	if p.Arch == gocmd.Universal && !b.Bool("universal", true) {
		diags = append(diags, b.Error("universal", "Contradicts the platform", "The platform darwin/universal makes universal binaries. Use darwin/arm64 or darwin/amd64 for one architecture."))
	}
	if universal && b.Has("packages") {
		diags = append(diags, b.Error("packages", "Universal binaries are made one by one", "Use package, with a matrix over the programs."))
	}
	if mode := b.String("buildmode"); needsCgo(mode) {
		if on, _ := cgoWanted(b, p); !on && !(mode == "c-shared" && p.OS == "wasip1") {
			diags = append(diags, b.Error("buildmode", "Needs cgo", fmt.Sprintf("Build mode %s needs a C compiler. Set cgo = true, or name one in a cgo block.", mode)))
		}
		if b.Has("packages") || universal {
			diags = append(diags, b.Error("buildmode", "Library needs exactly one package", fmt.Sprintf("Build mode %s makes one library of one package. Use package and a single platform.", mode)))
		}
	}
	for _, attr := range []string{"ldflags", "stamp"} {
		if !quotable(b, attr) {
			diags = append(diags, b.Error(attr, "Cannot be quoted", "A value has both kinds of quotes, which the go command has no way to write. Leave one out."))
		}
	}
	return diags
}

func needsCgo(mode string) bool { return mode == "c-archive" || mode == "c-shared" || mode == "plugin" }

func quotable(b *tasks.Block, attr string) bool {
	if attr == "stamp" {
		for k, v := range b.Map(attr) {
			if !canQuote(k + "=" + v) {
				return false
			}
		}
	}
	return true
}

// name decides what is built and where it lands.
func (bin *program) name(p tasks.Platform) hcl.Diagnostics {
	b := bin.b
	suffix := ""
	if b.Platform != nil {
		suffix = "_" + p.OS + "_" + p.Arch
		if p.Variant != "" {
			suffix += "_" + strings.NewReplacer(",", "_").Replace(p.Variant)
		}
	}
	if b.Has("packages") {
		ps, diags := packages(b, "packages", "")
		bin.patterns, bin.dir = ps, true
		bin.out = b.DistPath(b.StringOr("output", "bin"+suffix))
		return diags
	}
	pkg := b.StringOr("package", ".")
	bin.patterns = []string{pkg}
	if d := badPackage(b, "package", pkg); d != nil {
		return hcl.Diagnostics{d}
	}
	if strings.Contains(pkg, "...") {
		return hcl.Diagnostics{b.Error("package", "Several packages", fmt.Sprintf("%q may name several packages. Use packages, which writes a directory.", pkg))}
	}
	local := pkg == "." || strings.HasPrefix(pkg, "./") || strings.HasPrefix(pkg, "../")
	if local && !gocmd.IsDir(b.Project.Files, b.DirPath(pkg)) {
		return hcl.Diagnostics{b.Error("package", "No such package", fmt.Sprintf("There is no directory %s in the project.%s", b.DirPath(pkg), bin.suggest(pkg)))}
	}
	exe := gocmd.ExeName(bin.m.ImportPath(b.Meta.Dir, pkg))
	out := b.StringOr("output", exe+suffix+bin.ext(p))
	if strings.HasSuffix(out, "/") {
		out += exe + bin.ext(p) // a directory, as for the go command
	}
	bin.out = b.DistPath(out)
	return nil
}

// suggest names the sibling that a package's path was likely meant to be.
func (bin *program) suggest(pkg string) string {
	dir, elem := path.Split(bin.b.DirPath(pkg))
	var dirs []string
	for _, d := range gocmd.ReadDirs(bin.b.Project.Files, path.Clean("./"+dir)) {
		if closure.PackageDir(d) {
			dirs = append(dirs, d)
		}
	}
	if near := gocmd.Nearest(elem, dirs); near != "" {
		return fmt.Sprintf(" Did you mean %q?", strings.TrimSuffix(pkg, path.Base(pkg))+near)
	}
	return ""
}

// ext is the default extension of what the build mode makes.
func (bin *program) ext(p tasks.Platform) string {
	switch bin.b.String("buildmode") {
	case "c-archive":
		return ".a"
	case "c-shared", "plugin":
		switch p.OS {
		case "windows":
			return ".dll"
		case "darwin", "ios":
			return ".dylib"
		case "wasip1":
			return ".wasm"
		}
		return ".so"
	}
	return gocmd.Exe(p.OS, p.Arch)
}

// step plans go build for one architecture.
func (bin *program) step(p tasks.Platform, out string) (engine.Step, hcl.Diagnostics) {
	b := bin.b
	s := newStep(b, bin.m, bin.cfg)
	setPlatform(&s, p)
	diags := setCgo(&s, b, p, b.Bool("size.lto", false))
	if diags.HasErrors() {
		return s, diags
	}
	flags := bin.listFlags()
	pgo, profile := bin.pgo(&s)
	bin.mode.Apply(&s)
	stamp, more := bin.stamp(&s.Assumed)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return s, diags
	}
	if stamp != nil {
		s.Facts = append(s.Facts, stamp.Facts()...)
	}
	s.Command.Arguments = bin.argv(flags, pgo, out, stamp != nil)
	bin.outputs(&s, out)
	addRefs(&s, b, "output", "modules", "pgo")
	c := closure.Of(bin.cfg, b, bin.m, bin.mode, &s, flags, bin.patterns)
	c.Profiles = profile
	if !b.Bool("size.strip", false) && slices.Contains(s.Command.Env, action.EnvVar{Name: "CGO_ENABLED", Value: "1"}) {
		// The go command finds the repository for a stamp from where the project is.
		own := stamp == nil || bin.cfg.OwnRepository()
		c.Identified, s.FixedPath = true, own
		if !own || bin.cfg.FixedPath == nil || !bin.cfg.FixedPath() {
			c.HostDirs = bin.cfg.HostDirs()
		}
	}
	c.Stamps = closure.StampsOf(b)
	// A ready-made pipeline stamps the variable that most programs have.
	c.StampsMayMiss = b.ReadyMade("stamp")
	closure.AddDiscoverer(&s, c)
	if !b.Bool("size.trimpath", true) {
		s.NoCache = true
		d := b.Error("size.trimpath", "Not cached", "Without trimpath the output depends on the build directory, so this stage is rebuilt in every run.")
		d.Severity = hcl.DiagWarning
		diags = append(diags, d)
	}
	return s, diags
}

// addRefs makes a step depend on the outputs that attributes' values come
// from, but for those that are handled by themselves.
func addRefs(s *engine.Step, b *tasks.Block, except ...string) {
	for _, attr := range slices.Sorted(maps.Keys(b.Values)) {
		if !slices.Contains(except, attr) {
			tasks.AddRefs(s, b.Values[attr].Refs)
		}
	}
}

// listFlags are the flags that choose files: those of go list too.
func (bin *program) listFlags() []string {
	return listFlags(bin.b, bin.mode)
}

func listFlags(b *tasks.Block, mode closure.ModMode) []string {
	flags := []string{"-mod=" + mode.Flag}
	if tags := b.Strings("tags"); len(tags) > 0 {
		flags = append(flags, "-tags="+joinTags(tags))
	}
	if b.Bool("race", false) {
		flags = append(flags, "-race")
	}
	return flags
}

// joinTags writes build tags, whose order says nothing, in one order.
func joinTags(tags []string) string {
	sorted := slices.Sorted(slices.Values(tags))
	return strings.Join(slices.Compact(sorted), ",")
}

// pgo returns the -pgo flag's value, and whether profiles beside main packages
// are used. A given profile becomes an input.
func (bin *program) pgo(s *engine.Step) (value string, profiles bool) {
	b := bin.b
	value = b.StringOr("pgo", "auto")
	if value == "auto" || value == "off" {
		return value, value == "auto"
	}
	if refs := b.Values["pgo"].Refs; len(refs) > 0 && refs[0].Path != "" {
		tasks.AddRefs(s, refs)
		return outPath(b, refs[0].Path), false
	}
	tasks.AddInput(s, engine.FileInput(b.DirPath(value)))
	return value, false
}

// argv is the command line of go build.
func (bin *program) argv(flags []string, pgo, out string, stamped bool) []string {
	b := bin.b
	argv := append([]string{"go", "build"}, flags...)
	argv = append(argv, fmt.Sprintf("-buildvcs=%t", stamped))
	if b.Bool("size.trimpath", true) {
		argv = append(argv, "-trimpath")
	}
	argv = append(argv, "-pgo="+pgo)
	if mode := b.String("buildmode"); mode != "" {
		argv = append(argv, "-buildmode="+mode)
	}
	for _, f := range b.Strings("gcflags") {
		argv = append(argv, "-gcflags="+f)
	}
	for _, f := range b.Strings("asmflags") {
		argv = append(argv, "-asmflags="+f)
	}
	if ld := bin.ldflags(); ld != "" {
		argv = append(argv, "-ldflags="+ld)
	}
	o := outPath(b, out)
	if bin.dir {
		o += "/" // go build makes the directory and names the programs
	}
	return append(append(argv, "-o", o, "--"), bin.patterns...)
}

// ldflags joins what size, stamp and the user give the linker.
func (bin *program) ldflags() string {
	b := bin.b
	var flags []string
	if b.Bool("size.strip", false) {
		flags = append(flags, "-s", "-w", "-buildid=")
	}
	stamp := b.Map("stamp")
	for _, k := range slices.Sorted(maps.Keys(stamp)) {
		flags = append(flags, "-X", quoteFlag(k+"="+stamp[k]))
	}
	return strings.Join(append(flags, b.Strings("ldflags")...), " ")
}

// outputs declares what go build writes.
func (bin *program) outputs(s *engine.Step, out string) {
	o := outPath(bin.b, out)
	if bin.dir {
		tasks.SetOutputs(s, nil, []string{o})
		return
	}
	files := []string{o}
	if mode := bin.b.String("buildmode"); mode == "c-archive" || mode == "c-shared" && !strings.HasSuffix(o, ".wasm") {
		files = append(files, strings.TrimSuffix(o, path.Ext(o))+".h")
	}
	tasks.SetOutputs(s, files, nil)
}

// universal plans both architectures as inner steps, and the step that joins
// them.
func (bin *program) universal() ([]engine.Step, hcl.Diagnostics) {
	var steps []engine.Step
	var diags hcl.Diagnostics
	join := bin.b.NewStep(engine.InProcess)
	spec := lipoSpec{Output: bin.out}
	for i, arch := range []string{"amd64", "arm64"} {
		p, err := gocmd.ParsePlatform("darwin/" + arch)
		if err != nil {
			return nil, hcl.Diagnostics{bin.b.Error("universal", "Unknown platform", err.Error())}
		}
		out := bin.out + "." + arch
		s, more := bin.step(p, out)
		if more.HasErrors() || i == 0 {
			diags = append(diags, more...)
		}
		s.Name += "." + arch
		s.Inner = true
		steps = append(steps, s)
		join.Inputs = append(join.Inputs, engine.StepInput(out, bin.b.First+engine.StepID(i), out))
		spec.Inputs = append(spec.Inputs, out)
	}
	// The tool works in the project's root, where all its paths begin.
	join.Command.WorkingDirectory = ""
	join.Command.Env, join.Secrets = nil, nil
	if err := tasks.SetTool(&join, lipoName, lipoVersion, spec); err != nil {
		diags = append(diags, bin.b.Error("universal", "Cannot plan the universal binary", err.Error()))
	}
	tasks.SetOutputs(&join, []string{bin.out}, nil)
	return append(steps, join), diags
}
