package gocmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/airbuild/airbuild/tasks"
)

// ports are the GOOS/GOARCH pairs that `go tool dist list` of go1.26 prints. A
// test compares them with the toolchain at hand.
var ports = [...]string{
	"aix/ppc64",
	"android/386", "android/amd64", "android/arm", "android/arm64",
	"darwin/amd64", "darwin/arm64",
	"dragonfly/amd64",
	"freebsd/386", "freebsd/amd64", "freebsd/arm", "freebsd/arm64",
	"illumos/amd64",
	"ios/amd64", "ios/arm64",
	"js/wasm",
	"linux/386", "linux/amd64", "linux/arm", "linux/arm64", "linux/loong64",
	"linux/mips", "linux/mips64", "linux/mips64le", "linux/mipsle",
	"linux/ppc64", "linux/ppc64le", "linux/riscv64", "linux/s390x",
	"netbsd/386", "netbsd/amd64", "netbsd/arm", "netbsd/arm64",
	"openbsd/386", "openbsd/amd64", "openbsd/arm", "openbsd/arm64",
	"openbsd/ppc64", "openbsd/riscv64",
	"plan9/386", "plan9/amd64", "plan9/arm",
	"solaris/amd64",
	"wasip1/wasm",
	"windows/386", "windows/amd64", "windows/arm64",
}

// Universal is the architecture of a macOS binary that holds amd64 and arm64.
const Universal = "universal"

// UniversalPort is airbuild's own; Go builds its two halves.
const UniversalPort = "darwin/" + Universal

// Ports returns every platform without variants, sorted, the macOS universal
// one included.
func Ports() []string {
	out := append(slices.Clone(ports[:]), UniversalPort)
	slices.Sort(out)
	return out
}

// A knob is the variable that chooses an architecture's variant.
type knob struct {
	name   string   // "GOAMD64"
	def    string   // Go's default, in the variable's own form
	values []string // of the variable
	// variants are how a platform spells the values, where that differs.
	variants []string
}

// spelled returns the platform's words for the knob's values.
func (k *knob) spelled() []string {
	if k.variants != nil {
		return k.variants
	}
	return k.values
}

// knobOf returns what chooses the variant of an architecture; nil for an
// architecture that has none.
func knobOf(arch string) *knob {
	switch arch {
	case "amd64":
		return &knob{name: "GOAMD64", def: "v1", values: []string{"v1", "v2", "v3", "v4"}}
	case "386":
		return &knob{name: "GO386", def: "sse2", values: []string{"sse2", "softfloat"}}
	case "arm":
		return &knob{name: "GOARM", def: "7",
			values: []string{"5", "6", "7", "5,softfloat", "6,softfloat", "7,softfloat",
				"5,hardfloat", "6,hardfloat", "7,hardfloat"},
			variants: []string{"v5", "v6", "v7", "v5,softfloat", "v6,softfloat", "v7,softfloat",
				"v5,hardfloat", "v6,hardfloat", "v7,hardfloat"}}
	case "arm64":
		return arm64Knob()
	case "mips", "mipsle":
		return &knob{name: "GOMIPS", def: "hardfloat", values: []string{"hardfloat", "softfloat"}}
	case "mips64", "mips64le":
		return &knob{name: "GOMIPS64", def: "hardfloat", values: []string{"hardfloat", "softfloat"}}
	case "ppc64", "ppc64le":
		return &knob{name: "GOPPC64", def: "power8", values: []string{"power8", "power9", "power10"}}
	case "riscv64":
		return &knob{name: "GORISCV64", def: "rva20u64", values: []string{"rva20u64", "rva22u64", "rva23u64"}}
	case "wasm":
		return &knob{name: "GOWASM", def: "", values: []string{"satconv", "signext", "satconv,signext"}}
	}
	return nil
}

// arm64Knob lists v8.0–v8.9 and v9.0–v9.5, each with the optional extensions,
// and the short forms v8 and v9 that container platforms use.
func arm64Knob() *knob {
	k := &knob{name: "GOARM64", def: "v8.0"}
	add := func(variant, value string) {
		k.variants = append(k.variants, variant)
		k.values = append(k.values, value)
	}
	add("v8", "v8.0")
	add("v9", "v9.0")
	for _, v := range [...]struct {
		major string
		last  int
	}{{"v8", 9}, {"v9", 5}} {
		for minor := 0; minor <= v.last; minor++ {
			for _, ext := range [...]string{"", ",lse", ",crypto", ",lse,crypto"} {
				s := fmt.Sprintf("%s.%d%s", v.major, minor, ext)
				add(s, s)
			}
		}
	}
	return k
}

// ParsePlatform parses "os/arch" or "os/arch/variant" as Go's table of ports
// has them: "linux/amd64", "linux/arm/v7", "linux/amd64/v3",
// "linux/arm/v6,softfloat", "darwin/universal". The result's Env always pins
// the variable that chooses the variant, at Go's default if none is named, so
// that a builder's own settings cannot change the bytes.
//
// The error of an unknown platform names the nearest known one.
func ParsePlatform(s string) (tasks.Platform, error) {
	parts := strings.SplitN(s, "/", 3)
	if len(parts) < 2 {
		return tasks.Platform{}, unknownPlatform(s, s)
	}
	goos, arch := parts[0], parts[1]
	port := goos + "/" + arch
	if port == UniversalPort {
		if len(parts) > 2 {
			return tasks.Platform{}, fmt.Errorf("platform %q: %s has no variants", s, port)
		}
		return tasks.Platform{OS: goos, Arch: arch, Env: []string{"GOOS=" + goos}}, nil
	}
	if !slices.Contains(ports[:], port) {
		return tasks.Platform{}, unknownPlatform(s, port)
	}
	p := tasks.Platform{OS: goos, Arch: arch, Env: []string{"GOOS=" + goos, "GOARCH=" + arch}}
	k := knobOf(arch)
	if len(parts) == 3 {
		value, err := variant(s, port, parts[2], k)
		if err != nil {
			return tasks.Platform{}, err
		}
		p.Variant = parts[2]
		p.Env = append(p.Env, k.name+"="+value)
	} else if k != nil {
		p.Env = append(p.Env, k.name+"="+k.def)
	}
	return p, nil
}

// variant translates a platform's third part into the value of its variable.
func variant(s, port, word string, k *knob) (string, error) {
	if k == nil {
		return "", fmt.Errorf("platform %q: %s has no variants", s, port)
	}
	words := k.spelled()
	if i := slices.Index(words, word); i >= 0 {
		return k.values[i], nil
	}
	if k.name == "GOARM64" {
		words = []string{"v8.0", "v8.1", "v8.2", "v8.9", "v9.0", "v9.5"}
	}
	msg := fmt.Sprintf("platform %q: unknown variant %q of %s", s, word, port)
	if i := slices.Index(k.values, word); i >= 0 {
		return "", fmt.Errorf("%s; did you mean %q?", msg, port+"/"+k.spelled()[i])
	}
	if near := Nearest(word, words); near != "" {
		return "", fmt.Errorf("%s; did you mean %q?", msg, port+"/"+near)
	}
	return "", fmt.Errorf("%s; it has %s (%s)", msg, strings.Join(words, ", "), k.name)
}

// unknownPlatform says that Go has no such port and names a near one.
func unknownPlatform(s, port string) error {
	if near := nearPort(port); near != "" {
		return fmt.Errorf("unknown platform %q; did you mean %q?", s, near)
	}
	return fmt.Errorf("unknown platform %q; want os/arch as listed by `go tool dist list`, such as \"linux/amd64\"", s)
}

// nearPort returns the port that a word was likely meant to be: under another
// system's name for it, turned round, with a dash, or misspelt.
func nearPort(word string) string {
	w := strings.ToLower(word)
	w = strings.NewReplacer("-", "/", "_", "/").Replace(strings.ReplaceAll(w, "x86_64", "amd64"))
	os, arch, _ := strings.Cut(w, "/")
	known := Ports()
	for _, guess := range [...]string{
		w, arch + "/" + os,
		alias(os) + "/" + alias(arch), alias(os) + "/" + arch, os + "/" + alias(arch),
		alias(os) + "/amd64",
	} {
		if guess != word && slices.Contains(known, guess) {
			return guess
		}
	}
	return Nearest(w, known)
}

// alias translates what other tools call a system or an architecture.
func alias(s string) string {
	return cmp.Or(map[string]string{
		"mac": "darwin", "macos": "darwin", "osx": "darwin", "macosx": "darwin",
		"win": "windows", "win32": "windows", "win64": "windows",
		"wasi": "wasip1",
		"x64":  "amd64", "x86_64": "amd64", "x86-64": "amd64",
		"x86": "386", "i386": "386", "i486": "386", "i586": "386", "i686": "386",
		"aarch64": "arm64", "armv8": "arm64",
		"armv5": "arm", "armv6": "arm", "armv6l": "arm", "armv7": "arm", "armhf": "arm", "armel": "arm",
		"fat": Universal, "all": Universal,
	}[s], s)
}

// Nearest returns the candidate that is closest to word, or "" if none is near.
func Nearest(word string, candidates []string) string {
	best, least := "", 3
	if len(word) < 5 {
		least = 2
	}
	for _, c := range candidates {
		if d := levenshtein.Distance(word, c, nil); d <= least && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// Exe is the suffix of an executable's file name on a platform: .wasm for modules of
// WebAssembly, as their runtimes and web servers expect it.
func Exe(goos, goarch string) string {
	switch {
	case goos == "windows":
		return ".exe"
	case goarch == "wasm":
		return ".wasm"
	}
	return ""
}
