package host

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/host/binary"
)

// libcPlaces are where C libraries lie, the one of the running architecture
// first.
func libcPlaces(arch string) []string {
	triplet := map[string]string{
		"amd64": "x86_64-linux-gnu", "386": "i386-linux-gnu", "arm64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf",
		"ppc64le": "powerpc64le-linux-gnu", "s390x": "s390x-linux-gnu", "riscv64": "riscv64-linux-gnu", "loong64": "loongarch64-linux-gnu",
	}[arch]
	var dirs []string
	if triplet != "" {
		dirs = append(dirs, "lib/"+triplet, "usr/lib/"+triplet)
	}
	return append(dirs, "lib64", "usr/lib64", "lib", "usr/lib")
}

// FindLibc finds the C library of the Linux system below root ("" for "/"). Its
// version is read from the file; nothing is executed. A system with both has
// the one that its own shell uses.
func FindLibc(root string) Libc {
	if runtime.GOOS != "linux" && root == "" {
		return Libc{}
	}
	root = cmp.Or(root, "/")
	arch := runtime.GOARCH
	glibc, musl := findGlibc(root, arch), findMusl(root)
	switch {
	case glibc.Name == "":
		return musl
	case musl.Name == "":
		return glibc
	}
	if reports, err := binary.Open(filepath.Join(root, "bin/sh")); err == nil && reports[0].Libc == "musl" {
		return musl
	}
	return glibc
}

func findGlibc(root, arch string) Libc {
	for _, dir := range libcPlaces(arch) {
		name := filepath.Join(root, dir, "libc.so.6")
		reports, err := binary.Open(name)
		if err != nil || reports[0].Arch != arch && root == "/" {
			continue
		}
		if v := glibcBanner(name); v != "" {
			return Libc{"glibc", v}
		}
		return Libc{"glibc", reports[0].HighestProvided("GLIBC_")}
	}
	return Libc{}
}

// libcLimit is how much of a C library is searched for its version, in bytes.
const libcLimit = 32 << 20

func readLibc(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, libcLimit))
	if err != nil {
		return nil
	}
	return data
}

// glibcBanner reads the version out of the sentence that the library prints when
// it is started as a program.
func glibcBanner(name string) string {
	data := readLibc(name)
	i := bytes.Index(data, []byte("GNU C Library "))
	if i < 0 {
		return ""
	}
	line := data[i:min(len(data), i+200)]
	m := regexp.MustCompile(`release version (\d+(?:\.\d+)+)`).FindSubmatch(line)
	if m == nil {
		return ""
	}
	return string(m[1])
}

func findMusl(root string) Libc {
	loaders, err := filepath.Glob(filepath.Join(root, "lib", "ld-musl-*.so.1"))
	if err != nil || len(loaders) == 0 {
		return Libc{}
	}
	slices.Sort(loaders)
	return Libc{"musl", muslVersion(readLibc(loaders[0]))}
}

// muslVersion finds the one string of the library that is a version: it stands
// alone between zero bytes.
func muslVersion(data []byte) string {
	m := regexp.MustCompile(`\x00(1\.\d{1,2}\.\d{1,3}(?:-git-[0-9a-z-]+)?|0\.\d{1,2}\.\d{1,3})\x00`).FindSubmatch(data)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// distribution reads os-release.
func distribution() Distribution {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if text, err := os.ReadFile(name); err == nil {
			return parseOSRelease(string(text))
		}
	}
	return systemName()
}

// parseOSRelease reads the lines NAME=VALUE of os-release, quoted as in a shell.
func parseOSRelease(text string) Distribution {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		values[name] = strings.NewReplacer(`\"`, `"`, `\$`, "$", `\\`, `\`, "\\`", "`").Replace(value)
	}
	d := Distribution{ID: values["ID"], Version: values["VERSION_ID"], Name: values["PRETTY_NAME"]}
	if d.Name == "" {
		d.Name = values["NAME"]
	}
	return d
}
