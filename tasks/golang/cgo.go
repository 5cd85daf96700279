package golang

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// cgoBlock is the schema of cgo "os/arch" {}.
func cgoBlock() tasks.Nested {
	return tasks.Nested{
		Type: "cgo", Labels: []string{"platform"},
		Doc: "Enables cgo for a platform (\"linux/arm64\", or with a variant \"linux/arm/v7\") and configures its C toolchain.",
		Attrs: []tasks.Attr{
			{Name: "cc", Kind: tasks.String, Default: "gcc, or clang on macOS and the BSDs", Doc: "The C compiler: a program on PATH, with arguments (\"zig cc -target aarch64-linux-musl\"); its content is part of the cache key."},
			{Name: "cxx", Kind: tasks.String, Default: "the one that matches cc", Doc: "The C++ compiler, in the same format."},
			{Name: "ar", Kind: tasks.String, Default: "ar", Doc: "The archiver."},
			{Name: "pkg_config", Kind: tasks.String, Default: "pkg-config", Doc: "The pkg-config program that knows the platform's libraries."},
			{Name: "cflags", Kind: tasks.Strings, Default: "[\"-O2\", \"-g\"]", Doc: "Flags of the C compiler."},
			{Name: "cppflags", Kind: tasks.Strings, Doc: "Flags of the C preprocessor."},
			{Name: "cxxflags", Kind: tasks.Strings, Default: "[\"-O2\", \"-g\"]", Doc: "Flags of the C++ compiler."},
			{Name: "ldflags", Kind: tasks.Strings, Default: "[\"-O2\", \"-g\"]", Doc: "Flags of the C linker; the stage's own `ldflags` are Go's -ldflags."},
		},
	}
}

// cgoAttr is the schema of cgo = true.
func cgoAttr() tasks.Attr {
	return tasks.Attr{Name: "cgo", Kind: tasks.Bool, Default: "false; true where a cgo block names the platform",
		Doc: "Enables cgo, with the host's compiler unless a `cgo` block names another; false means CGO_ENABLED=0 and a static binary."}
}

// cgoWanted reports whether C is compiled for a platform, and the label of the
// block that says how; "" means the host's own compiler.
func cgoWanted(b *tasks.Block, p tasks.Platform) (on bool, label string) {
	wants := []string{name(p), p.OS + "/" + p.Arch}
	if p.OS == "darwin" {
		wants = append(wants, gocmd.UniversalPort)
	}
	for _, want := range wants {
		for _, l := range b.Labels["cgo"] {
			if l == want {
				label = l
				break
			}
		}
		if label != "" {
			break
		}
	}
	return b.Bool("cgo", label != ""), label
}

// checkCgoLabels reports labels of cgo blocks that are no platforms.
func checkCgoLabels(b *tasks.Block) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, l := range b.Labels["cgo"] {
		if _, err := gocmd.ParsePlatform(l); err != nil {
			msg := err.Error()
			diags = append(diags, b.Error("cgo."+l+".cc", "Unknown platform", strings.ToUpper(msg[:1])+msg[1:]))
		}
	}
	return diags
}

// setCgo pins everything that cgo reads in the command's environment, and
// makes the compilers part of the key. race needs cgo everywhere but on macOS.
func setCgo(s *engine.Step, b *tasks.Block, p tasks.Platform, lto bool) hcl.Diagnostics {
	on, label := cgoWanted(b, p)
	if !on && !b.Has("cgo") && !b.Bool("race", false) {
		s.Assumed = append(s.Assumed, "cgo is not set: CGO_ENABLED=0, so that no result depends on the host's C compiler and libraries; to compile C: cgo = true")
	}
	if !on && b.Bool("race", false) && p.OS != "darwin" {
		on = true
	}
	if !on {
		tasks.SetEnv(s, "CGO_ENABLED", "0")
		return nil
	}
	c := compilerOf(b, p, label)
	progs, diags := c.find(b, p)
	if diags.HasErrors() {
		return diags
	}
	if lto {
		c.optimize(p)
	}
	tasks.SetEnv(s, "CGO_ENABLED", "1")
	for _, v := range c.env() {
		tasks.SetEnv(s, v[0], v[1])
	}
	closure.AddDiscoverer(s, progs)
	return diags
}

// A compiler is what builds the C part of a program.
type compiler struct {
	attr                           string // where the user named it
	named                          bool
	cc, cxx, ar, pkgConfig         string
	cflags, cppflags, cxxflags, ld string
}

// compilerOf reads a cgo block; without one it is the platform's usual
// compiler. Flags default to Go's own.
func compilerOf(b *tasks.Block, p tasks.Platform, label string) *compiler {
	at := func(a string) string { return "cgo." + label + "." + a }
	flags := func(a, def string) string {
		if !b.Has(at(a)) {
			return def
		}
		return joinFlags(b.Strings(at(a)))
	}
	c := &compiler{
		attr:      "cgo",
		named:     b.Has(at("cc")),
		cc:        b.StringOr(at("cc"), defaultCC(p.OS)),
		ar:        b.StringOr(at("ar"), "ar"),
		pkgConfig: b.StringOr(at("pkg_config"), "pkg-config"),
		cflags:    flags("cflags", "-O2 -g"),
		cppflags:  flags("cppflags", ""),
		cxxflags:  flags("cxxflags", "-O2 -g"),
		ld:        flags("ldflags", "-O2 -g"),
	}
	if c.named {
		c.attr = at("cc")
	}
	c.cxx = b.StringOr(at("cxx"), companion(c.cc))
	return c
}

// defaultCC is the compiler that Go expects on an operating system.
func defaultCC(goos string) string {
	switch goos {
	case "darwin", "ios", "freebsd", "openbsd":
		return "clang"
	}
	return "gcc"
}

// companion returns the C++ compiler that comes with a C compiler.
func companion(cc string) string {
	prog, args, _ := strings.Cut(cc, " ")
	switch {
	case strings.HasSuffix(prog, "clang"):
		prog += "++"
	case strings.HasSuffix(prog, "gcc"):
		prog = strings.TrimSuffix(prog, "gcc") + "g++"
	case prog == "zig" && strings.HasPrefix(args, "cc"):
		args = "c++" + strings.TrimPrefix(args, "cc")
	case prog == "cc":
		prog = "c++"
	}
	return strings.TrimSpace(prog + " " + args)
}

// find looks the compilers up. A missing C compiler is an error; the C++
// compiler may be missing, because few programs need it.
func (c *compiler) find(b *tasks.Block, p tasks.Platform) (tasks.Programs, hcl.Diagnostics) {
	host := b.Project.HostOS + "/" + b.Project.HostArch
	// clang on macOS builds for both architectures; Go tells it which.
	mac := p.OS == "darwin" && b.Project.HostOS == "darwin"
	if !c.named && p.OS+"/"+p.Arch != host && !mac {
		return nil, hcl.Diagnostics{b.Error(c.attr, "No C compiler for "+name(p),
			fmt.Sprintf("This host's compiler builds for %s. Name one that builds for %s: cgo %q { cc = %q }.", host, name(p), name(p), crossCC(p)))}
	}
	var progs tasks.Programs
	prog := b.FindProgram(b.RangeOf(c.attr), firstWord(c.cc))
	if prog.Missing != "" {
		prog.Missing += fmt.Sprintf("; or name another C compiler for %s: cgo %q { cc = %q }", name(p), name(p), crossCC(p))
	}
	progs = progs.Add(prog)
	cxx := tasks.Program{Name: firstWord(c.cxx)}
	if found, err := b.Project.FindTool(cxx.Name); err == nil {
		cxx.Path = found
	}
	return progs.Add(cxx), nil
}

// firstWord is the first word of a compiler's command line.
func firstWord(cmdline string) string {
	prog, _, _ := strings.Cut(strings.TrimSpace(cmdline), " ")
	return prog
}

// crossCC guesses the name of a compiler for a platform, for messages.
func crossCC(p tasks.Platform) string {
	if p.OS == "windows" {
		switch p.Arch {
		case "amd64":
			return "x86_64-w64-mingw32-gcc"
		case "386":
			return "i686-w64-mingw32-gcc"
		}
		return "aarch64-w64-mingw32-clang"
	}
	if p.OS == "darwin" {
		return "o64-clang"
	}
	triplet := map[string]string{
		"amd64": "x86_64-linux-gnu", "386": "i686-linux-gnu", "arm64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf",
		"ppc64le": "powerpc64le-linux-gnu",
	}[p.Arch]
	return cmp.Or(triplet, p.Arch+"-linux-gnu") + "-gcc"
}

// optimize asks for small code, optimized when it is linked.
func (c *compiler) optimize(p tasks.Platform) {
	const small = "-Os -flto -ffunction-sections -fdata-sections"
	c.cflags = strings.TrimSpace(withoutO(c.cflags) + " " + small)
	c.cxxflags = strings.TrimSpace(withoutO(c.cxxflags) + " " + small)
	gc := "-Wl,--gc-sections"
	if p.OS == "darwin" || p.OS == "ios" {
		gc = "-Wl,-dead_strip"
	}
	c.ld = strings.TrimSpace(withoutO(c.ld) + " -Os -flto " + gc)
}

// withoutO drops the flags that optimize replaces.
func withoutO(flags string) string {
	var out []string
	for _, f := range strings.Fields(flags) {
		if f != "-O2" && f != "-g" {
			out = append(out, f)
		}
	}
	return strings.Join(out, " ")
}

// env lists the variables, so that nothing of the host's own is taken.
func (c *compiler) env() [][2]string {
	return [][2]string{
		{"CC", c.cc}, {"CXX", c.cxx}, {"AR", c.ar}, {"PKG_CONFIG", c.pkgConfig},
		{"CGO_CFLAGS", c.cflags}, {"CGO_CPPFLAGS", c.cppflags}, {"CGO_CXXFLAGS", c.cxxflags},
		{"CGO_FFLAGS", "-O2 -g"}, {"CGO_LDFLAGS", c.ld},
	}
}

// joinFlags writes flags as the go command splits them: by spaces, with quotes
// round those that hold any.
func joinFlags(flags []string) string {
	return strings.Join(lists.Map(flags, quoteFlag), " ")
}

// quoteFlag quotes a flag that holds spaces or begins with a quote. A flag
// with both quotes and spaces cannot be written; canQuote tells.
func quoteFlag(f string) string {
	if f != "" && !strings.ContainsAny(f, " \t\n\r") && f[0] != '\'' && f[0] != '"' {
		return f
	}
	if !strings.Contains(f, "'") {
		return "'" + f + "'"
	}
	return `"` + f + `"`
}

// canQuote reports whether quoteFlag can write f.
func canQuote(f string) bool { return !strings.Contains(f, "'") || !strings.Contains(f, `"`) }
