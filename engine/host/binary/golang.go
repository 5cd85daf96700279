package binary

import (
	"cmp"
	"debug/buildinfo"
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
)

// packagesShown is how many packages a report names.
const packagesShown = 20

// golang reads Go's build information, what it says about the architecture,
// and what each package takes.
func (b *file) golang(r *Report, in io.ReaderAt, pclntab func() ([]byte, binary.ByteOrder)) {
	info, err := buildinfo.Read(in)
	if err != nil {
		return // no Go program, or stripped of it
	}
	r.Build = &Build{Go: info.GoVersion, Path: info.Path, Module: info.Main.Path, Version: info.Main.Version,
		Modules: len(info.Deps), Settings: map[string]string{}}
	for _, s := range info.Settings {
		r.Build.Settings[s.Key] = s.Value
	}
	if r.Format == ELF && r.Build.Settings["GOOS"] != "" {
		r.OS = r.Build.Settings["GOOS"]
	}
	for _, name := range []string{"GOAMD64", "GOARM64", "GOARM", "GOPPC64", "GORISCV64"} {
		v := r.Build.Settings[name]
		if v == "" {
			continue
		}
		level, _, _ := strings.Cut(v, ",")
		if name == "GOARM" {
			level = "v" + level
		}
		if level != "v1" {
			r.raiseLevel(level, name+"="+v)
		}
	}
	data, order := pclntab()
	if data == nil {
		return
	}
	if sizes := functionSizes(data, order); len(sizes) > 0 {
		r.Packages, r.PackagesFrom = largest(sizes), "functions"
	}
}

// packageSizes adds up sizes by package.
type packageSizes map[string]int64

func (p packageSizes) add(symbol string, size int64) {
	if size <= 0 || symbol == "" {
		return
	}
	p[packageOf(symbol)] += size
}

// largest are the packages that take most.
func largest(sizes map[string]int64) []PackageSize {
	all := lists.Map(slices.Sorted(maps.Keys(sizes)), func(name string) PackageSize { return PackageSize{name, sizes[name]} })
	slices.SortStableFunc(all, func(a, b PackageSize) int { return cmp.Compare(b.Size, a.Size) })
	return all[:min(len(all), packagesShown)]
}

// packageOf is the package of a Go symbol; "(runtime data)" for what the linker
// makes of types and strings, "(not Go)" for a name that has no package.
func packageOf(symbol string) string {
	name, _, _ := strings.Cut(symbol, "[") // type arguments hold dots and slashes of their own
	for _, made := range []string{"type:", "go:", "runtime.gcbits", "gclocals", "$f64.", "$f32.", "type..", "go.", "gcargs.", "gofile.."} {
		if strings.HasPrefix(name, made) {
			return "(runtime data)"
		}
	}
	from := strings.LastIndexByte(name, '/') + 1
	i := strings.IndexByte(name[from:], '.')
	if i <= 0 {
		return "(not Go)"
	}
	return strings.ReplaceAll(name[:from+i], "%2e", ".")
}

// The magic numbers of the table of functions that are known: of Go 1.18 and
// 1.20. The table's layout is that of runtime.pcHeader.
const (
	pclnGo118 = 0xfffffff0
	pclnGo120 = 0xfffffff1
)

// A pcln is a table of functions.
type pcln struct {
	count int
	names []byte
	funcs []byte // the function table, and the data that it points into
}

// pclnHeader reads the header of a table of functions.
func pclnHeader(data []byte, order binary.ByteOrder) (pcln, bool) {
	if len(data) < 8 {
		return pcln{}, false
	}
	magic, word := order.Uint32(data), int(data[7])
	if magic != pclnGo118 && magic != pclnGo120 || data[4] != 0 || data[5] != 0 || word != 4 && word != 8 || len(data) < 8+8*word {
		return pcln{}, false
	}
	field := func(i int) uint64 {
		if word == 4 {
			return uint64(order.Uint32(data[8+i*4:]))
		}
		return order.Uint64(data[8+i*8:])
	}
	count, names, funcs := field(0), field(3), field(7)
	size := uint64(len(data))
	if count == 0 || count > maxSymbols || names >= size || funcs >= size || (count*2+1)*4 > size-funcs {
		return pcln{}, false
	}
	return pcln{int(count), data[names:], data[funcs:]}, true
}

// functionSizes are the sizes of packages' code.
func functionSizes(data []byte, order binary.ByteOrder) map[string]int64 {
	t, ok := pclnHeader(data, order)
	if !ok {
		return nil
	}
	sizes := packageSizes{}
	for i := range t.count {
		entry := t.funcs[i*8:]
		start, at, end := order.Uint32(entry), uint64(order.Uint32(entry[4:])), order.Uint32(entry[8:])
		if end <= start || at+8 > uint64(len(t.funcs)) {
			continue
		}
		name := order.Uint32(t.funcs[at+4:])
		sizes.add(stringAt(t.names, uint64(name)), int64(end-start))
	}
	return sizes
}
