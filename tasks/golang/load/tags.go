package load

import (
	"go/build/constraint"
	"go/version"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// knownOS and knownArch are the names that mean something in file names. They
// are past, present and future names: a target that has been dropped, or is
// only planned, still keeps its files out.
const (
	knownOS = " aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd " +
		"plan9 solaris wasip1 windows zos "
	knownArch = " 386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le " +
		"mips64p32 mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm "
	unixOS = " aix android darwin dragonfly freebsd hurd illumos ios linux netbsd openbsd solaris "
)

// isOS and isArch report whether an element of a file's name is a target.
func isOS(s string) bool   { return oneOf(knownOS, s) }
func isArch(s string) bool { return oneOf(knownArch, s) }

func oneOf(list, s string) bool {
	return s != "" && !strings.Contains(s, " ") && strings.Contains(list, " "+s+" ")
}

// SetByGo reports whether the go command sets a build tag by itself, for some
// target and toolchain, without -tags.
func SetByGo(tag string) bool {
	return isOS(tag) || isArch(tag) || oneOf(" unix cgo gc race msan asan ", tag) ||
		strings.HasPrefix(tag, "go1.") || strings.HasPrefix(tag, "goexperiment.") ||
		strings.Contains(tag, ".") && isArch(tag[:strings.IndexByte(tag, '.')])
}

// tags decide which files belong to a target.
type tags struct {
	goos, goarch string
	cgo          bool
	release      int // N of the newest release tag go1.N
	race         bool
	build        []string
	tools        func() ([]string, error) // of the toolchain: experiments and levels of the architecture
}

func newTags(q *Query, tools func() ([]string, error)) (tags, error) {
	t := tags{goos: q.GOOS, goarch: q.GOARCH, cgo: q.Cgo, race: q.Race, build: q.Tags, tools: sync.OnceValues(tools)}
	if !isOS(q.GOOS) || !isArch(q.GOARCH) {
		return t, unsure("unknown target %s/%s", q.GOOS, q.GOARCH)
	}
	minor, ok := strings.CutPrefix(version.Lang(q.GOVERSION), "go1.")
	if n, err := strconv.Atoi(minor); ok && err == nil {
		t.release = n
	} else {
		return t, unsure("the Go version %q is not a release", q.GOVERSION)
	}
	for _, tag := range q.Tags {
		if strings.ContainsAny(tag, " ,\"'") || tag == "" {
			return t, unsure("odd build tag %q", tag)
		}
	}
	return t, nil
}

// match reports whether a tag holds.
func (t *tags) match(tag string) (bool, error) {
	switch {
	case tag == "cgo" && t.cgo, tag == "race" && t.race, tag == t.goos, tag == t.goarch, tag == "gc",
		tag == "linux" && t.goos == "android",
		tag == "solaris" && t.goos == "illumos",
		tag == "darwin" && t.goos == "ios",
		tag == "unix" && oneOf(unixOS, t.goos):
		return true, nil
	}
	if tag == "boringcrypto" {
		tag = "goexperiment.boringcrypto" // its old name
	}
	if slices.Contains(t.build, tag) {
		return true, nil
	}
	if minor, ok := strings.CutPrefix(tag, "go1."); ok {
		n, err := strconv.Atoi(minor)
		return err == nil && strconv.Itoa(n) == minor && 1 <= n && n <= t.release, nil
	}
	if !strings.Contains(tag, ".") {
		return false, nil
	}
	tools, err := t.tools()
	return slices.Contains(tools, tag), err
}

// eval evaluates a constraint.
func (t *tags) eval(x constraint.Expr) (bool, error) {
	var first error
	ok := x.Eval(func(tag string) bool {
		ok, err := t.match(tag)
		if first == nil {
			first = err
		}
		return ok
	})
	return ok, first
}

// line evaluates a constraint as it is written; a // +build line that cannot
// be parsed keeps nothing out.
func (t *tags) line(text string) (bool, error) {
	x, err := constraint.Parse(text)
	if err != nil {
		return true, nil
	}
	return t.eval(x)
}

// fileName reports whether a file's name is for the target: name_GOOS,
// name_GOARCH or name_GOOS_GOARCH, each with _test behind it or not.
func (t *tags) fileName(name string) (bool, error) {
	name, _, _ = strings.Cut(name, ".")
	_, rest, ok := strings.Cut(name, "_")
	if !ok {
		return true, nil
	}
	elems := strings.Split(rest, "_")
	if elems[len(elems)-1] == "test" {
		elems = elems[:len(elems)-1]
	}
	n := len(elems)
	if n == 0 {
		return true, nil
	}
	last := elems[n-1]
	if !isOS(last) && !isArch(last) {
		return true, nil
	}
	ok, err := t.match(last)
	if n >= 2 && isArch(last) && isOS(elems[n-2]) && ok && err == nil {
		ok, err = t.match(elems[n-2])
	}
	return ok, err
}

// file reports whether a file with these constraints is for the target.
func (t *tags) file(f *fact) (bool, error) {
	if f.constraint != "" {
		return t.line(f.constraint)
	}
	for _, text := range f.plus {
		if ok, err := t.line(text); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// cgoLine reports whether a condition of a #cgo line, in either syntax, holds.
func (t *tags) cgoLine(cond string) (bool, error) {
	prefix := "// +build "
	if strings.ContainsAny(cond, "&|()") {
		prefix = "//go:build "
	}
	x, err := constraint.Parse(prefix + cond)
	if err != nil {
		return false, nil
	}
	return t.eval(x)
}
