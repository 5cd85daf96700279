package gocmd

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestPortsAreThoseOfTheToolchain(t *testing.T) {
	out, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); !slices.Equal(got, ports[:]) {
		t.Errorf("go tool dist list:\n got %v\nhave %v", got, ports)
	}
}

func TestParsePlatform(t *testing.T) {
	for _, tt := range []struct{ in, os, arch, variant, env string }{
		{"linux/amd64", "linux", "amd64", "", "GOOS=linux GOARCH=amd64 GOAMD64=v1"},
		{"linux/amd64/v3", "linux", "amd64", "v3", "GOOS=linux GOARCH=amd64 GOAMD64=v3"},
		{"linux/arm", "linux", "arm", "", "GOOS=linux GOARCH=arm GOARM=7"},
		{"linux/arm/v6", "linux", "arm", "v6", "GOOS=linux GOARCH=arm GOARM=6"},
		{"linux/arm/v7,softfloat", "linux", "arm", "v7,softfloat", "GOOS=linux GOARCH=arm GOARM=7,softfloat"},
		{"linux/arm64", "linux", "arm64", "", "GOOS=linux GOARCH=arm64 GOARM64=v8.0"},
		{"linux/arm64/v8", "linux", "arm64", "v8", "GOOS=linux GOARCH=arm64 GOARM64=v8.0"},
		{"linux/arm64/v8.2,lse", "linux", "arm64", "v8.2,lse", "GOOS=linux GOARCH=arm64 GOARM64=v8.2,lse"},
		{"windows/386/softfloat", "windows", "386", "softfloat", "GOOS=windows GOARCH=386 GO386=softfloat"},
		{"linux/mipsle", "linux", "mipsle", "", "GOOS=linux GOARCH=mipsle GOMIPS=hardfloat"},
		{"linux/mips64/softfloat", "linux", "mips64", "softfloat", "GOOS=linux GOARCH=mips64 GOMIPS64=softfloat"},
		{"aix/ppc64/power9", "aix", "ppc64", "power9", "GOOS=aix GOARCH=ppc64 GOPPC64=power9"},
		{"linux/riscv64/rva22u64", "linux", "riscv64", "rva22u64", "GOOS=linux GOARCH=riscv64 GORISCV64=rva22u64"},
		{"wasip1/wasm", "wasip1", "wasm", "", "GOOS=wasip1 GOARCH=wasm GOWASM="},
		{"js/wasm/satconv", "js", "wasm", "satconv", "GOOS=js GOARCH=wasm GOWASM=satconv"},
		{"linux/s390x", "linux", "s390x", "", "GOOS=linux GOARCH=s390x"},
		{"darwin/universal", "darwin", "universal", "", "GOOS=darwin"},
	} {
		p, err := ParsePlatform(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if env := strings.Join(p.Env, " "); p.OS != tt.os || p.Arch != tt.arch || p.Variant != tt.variant || env != tt.env {
			t.Errorf("%s: got %+v", tt.in, p)
		}
	}
}

func TestParsePlatformSuggests(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"linux/amd46", `did you mean "linux/amd64"?`},
		{"linux-amd64", `did you mean "linux/amd64"?`},
		{"amd64/linux", `did you mean "linux/amd64"?`},
		{"macos/arm64", `did you mean "darwin/arm64"?`},
		{"linux/aarch64", `did you mean "linux/arm64"?`},
		{"Linux/x86_64", `did you mean "linux/amd64"?`},
		{"darwin/fat", `did you mean "darwin/universal"?`},
		{"windows", `did you mean "windows/amd64"?`},
		{"linux/arm/7", `did you mean "linux/arm/v7"?`},
		{"linux/amd64/v33", `did you mean "linux/amd64/v3"?`},
		{"linux/amd64/haswell", `it has v1, v2, v3, v4 (GOAMD64)`},
		{"linux/s390x/z13", `has no variants`},
		{"darwin/universal/v1", `has no variants`},
		{"", `go tool dist list`},
		{"beos/m68k", `go tool dist list`},
	} {
		_, err := ParsePlatform(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.in, err, tt.want)
		}
	}
}

// Every variant of the table is one that the toolchain takes.
func TestVariantsAreThoseOfTheToolchain(t *testing.T) {
	for _, port := range []string{"linux/amd64", "linux/386", "linux/arm", "linux/mips", "linux/mips64", "linux/ppc64le", "linux/riscv64", "js/wasm", "linux/arm64"} {
		_, arch, _ := strings.Cut(port, "/")
		words := knobOf(arch).spelled()
		if arch == "arm64" { // 66 of them; both ends and the short form will do
			words = []string{"v8", "v8.0", "v8.9,lse,crypto", "v9.5"}
		}
		for _, w := range words {
			p, err := ParsePlatform(port + "/" + w)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("go", "list", "-f", "{{context.ToolTags}}", "runtime")
			cmd.Env = append(cmd.Environ(), p.Env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %v: %s", p.Env, err, out)
			}
		}
	}
}

func TestExe(t *testing.T) {
	for platform, want := range map[[2]string]string{
		{"windows", "arm64"}: ".exe", {"js", "wasm"}: ".wasm", {"wasip1", "wasm"}: ".wasm", {"linux", "amd64"}: "",
	} {
		if got := Exe(platform[0], platform[1]); got != want {
			t.Errorf("%s: %q, want %q", platform, got, want)
		}
	}
}
