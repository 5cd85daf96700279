#!/bin/sh
# github.com/knqyf263/go-apk-version (v0.0.0-20200609155635-041fdbb8563f), a comparison of
# Alpine versions that vulnerability scanners use, takes a pre-release for newer than its
# release if the last number of the version is 0: 1.2.0_rc1 > 1.2.0, but 1.2.3_rc1 < 1.2.3.
# Alpine's own package manager takes every pre-release for older. Who checks an upgrade to
# a .0 release with the library is told that the release candidate is the newer one.
set -eu
d=$(mktemp -d)
trap 'chmod -R u+w "$d"; rm -rf "$d"' EXIT
cd "$d"
cat >go.mod <<'E'
module example.com/finding

go 1.26

require github.com/knqyf263/go-apk-version v0.0.0-20200609155635-041fdbb8563f
E
cat >main.go <<'E'
package main

import (
	"fmt"

	version "github.com/knqyf263/go-apk-version"
)

func main() {
	for _, p := range [][2]version.Version{{"1.2.3_rc1", "1.2.3"}, {"1.2.10_rc1", "1.2.10"}, {"1.2.0_rc1", "1.2.0"}, {"2.0_alpha2", "2.0"}} {
		fmt.Println(p[0], p[1], p[0].Compare(p[1]))
	}
}
E
GOFLAGS=-mod=mod go run . >out 2>err || { cat err; exit 1; }
cat out
cat >want <<'E'
1.2.3_rc1 1.2.3 -1
1.2.10_rc1 1.2.10 -1
1.2.0_rc1 1.2.0 1
2.0_alpha2 2.0 1
E
cmp out want
