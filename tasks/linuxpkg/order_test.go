package linuxpkg

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	apkversion "github.com/knqyf263/go-apk-version"

	"github.com/airbuild/airbuild/tasks/tasktest"
)

// Each of them is older than the next.
var ascending = []string{
	"0123abc", // a commit without a tag
	"v0.0.1",
	"v1.1.9",
	"v1.2.3-alpha", "v1.2.3-alpha-3-gabcdef0", "v1.2.3-alpha.1", "v1.2.3-alpha.1-12-gabcdef0", "v1.2.3-alpha.2", "v1.2.3-alpha.11",
	"v1.2.3-beta", "v1.2.3-beta-dirty", "v1.2.3-beta-5-gabcdef0", "v1.2.3-beta1", "v1.2.3-beta1-9-gfedcba9", "v1.2.3-beta2",
	"v1.2.3-rc.1", "v1.2.3-rc.1-1-g1234567", "v1.2.3-rc.1-10-g0234567", "v1.2.3-rc.2", "v1.2.3-rc.10",
	"v1.2.3", "v1.2.3-dirty", "v1.2.3-4-gabcdef0", "v1.2.3-4-gabcdef0-dirty", "v1.2.3-10-g9bcdef0",
	"v1.2.3.1", "v1.2.4-rc.1", "v1.2.4-rc.1-2-gabcdef0", "v1.2.4", "v1.2.4-400-gabcdef0",
	"v1.10.2-rc1", "v1.10.2", "v1.10.2-4-gabcdef0", "v1.10.3", "v2", "v2-4-gabcdef0", "v2.0.1", "v2.1-rc.1", "v2.1", "v2.1-3-gabcdef0", "v2.1.1", "v10",
}

// The formats' own programs agree on the order. apk-tools are in no package of
// Debian: a Go library that scanners of Alpine use stands in.
func TestVersionOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("starts package managers many times")
	}
	compare := map[string]func(t *testing.T, pairs [][2]string) []int{
		deb: func(t *testing.T, pairs [][2]string) []int {
			need(t, "dpkg")
			return compareAll(t, pairs, `while read -r a b; do if dpkg --compare-versions "$a" lt "$b"; then echo -1; elif dpkg --compare-versions "$a" eq "$b"; then echo 0; else echo 1; fi; done`)
		},
		rpm: func(t *testing.T, pairs [][2]string) []int {
			need(t, "rpm")
			var lua strings.Builder
			for _, p := range pairs {
				fmt.Fprintf(&lua, "%%{lua: print(rpm.vercmp('%s','%s'))}\n", p[0], p[1])
			}
			cmd := exec.Command("rpm", "--eval", lua.String())
			return numbers(t, cmd)
		},
		archlinux: func(t *testing.T, pairs [][2]string) []int {
			need(t, "pacman", "gcc", "ldd")
			dir := t.TempDir()
			source := `#include <stdio.h>
int alpm_pkg_vercmp(const char *a, const char *b);
int main(void) {
	char a[999], b[999];
	while (scanf("%998s %998s", a, b) == 2)
		printf("%d\n", alpm_pkg_vercmp(a, b));
}
`
			if err := os.WriteFile(filepath.Join(dir, "vercmp.c"), []byte(source), 0o666); err != nil {
				t.Fatal(err)
			}
			must(t, false, `lib=$(ldd "$(command -v pacman)" | sed -n 's/.*libalpm.*=> \([^ ]*\).*/\1/p'); gcc -o "$1/vercmp" "$1/vercmp.c" "$lib"`, dir)
			return compareAll(t, pairs, filepath.Join(dir, "vercmp"))
		},
		apk: func(t *testing.T, pairs [][2]string) (out []int) {
			for _, p := range pairs {
				for _, s := range p {
					if !apkversion.Valid(s) {
						t.Fatalf("%s is not a version of apk", s)
					}
				}
				out = append(out, apkversion.Version(p[0]).Compare(apkversion.Version(p[1])))
			}
			return out
		},
	}
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			var written []string
			for _, s := range ascending {
				v, err := parseVersion(s, noCommit)
				if err != nil {
					t.Fatal(err)
				}
				written = append(written, v.in(format))
			}
			var pairs [][2]string
			for _, a := range written {
				for _, b := range written {
					pairs = append(pairs, [2]string{a, b})
				}
			}
			got := compare[format](t, pairs)
			if len(got) != len(pairs) {
				t.Fatalf("%d answers to %d pairs", len(got), len(pairs))
			}
			for i, a := range ascending {
				for j, b := range ascending {
					want := cmp.Compare(i, j)
					if format == apk && strings.TrimSuffix(a, "-dirty") == strings.TrimSuffix(b, "-dirty") && written[i] == written[j] {
						want = 0 // apk has no text that could say it
					}
					if got := got[i*len(ascending)+j]; got != want {
						t.Errorf("%s (%s) against %s (%s): %d, want %d", written[i], a, written[j], b, got, want)
					}
				}
			}
		})
	}
}

// compareAll runs a script that answers a number for each pair of its input.
func compareAll(t *testing.T, pairs [][2]string, script string) []int {
	t.Helper()
	var in strings.Builder
	for _, p := range pairs {
		fmt.Fprintln(&in, p[0], p[1])
	}
	cmd := exec.Command("sh", "-euc", script)
	cmd.Stdin = strings.NewReader(in.String())
	return numbers(t, cmd)
}

func numbers(t *testing.T, cmd *exec.Cmd) (out []int) {
	t.Helper()
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// pacman gives a file to the owner that the archive names.
func TestArchOwners(t *testing.T) {
	need(t, "bsdtar")
	b := block(archlinux)
	for label, mode := range map[string]string{"/etc/hello/secret": "0640", "/usr/bin/hello-run": "4750"} {
		set(b, "contents."+label+".src", tasktest.Files("packaging/hello.conf"), "contents."+label+".mode", mode,
			"contents."+label+".owner", "hello", "contents."+label+".group", "staff")
	}
	set(b, "contents./usr/share/hello/plain.src", tasktest.Files("packaging/empty"),
		"contents./var/lib/hello.type", "dir", "contents./var/lib/hello.owner", "hello", "contents./var/lib/hello.mode", "0750")
	list := must(t, false, `bsdtar tvf "$1" | awk '{print $1, $3, $4, $9}'`, one(t, b))
	for _, want := range []string{
		"-rw-r----- hello staff etc/hello/secret\n", "-rwsr-x--- hello staff usr/bin/hello-run\n",
		"-rw-r--r-- root root usr/share/hello/plain\n", "drwxr-x--- hello root var/lib/hello/\n",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is missing in\n%s", want, list)
		}
	}
	if first, second := one(t, b), one(t, b); !bytes.Equal(read(t, first), read(t, second)) {
		t.Error("other bytes the second time")
	}
}
