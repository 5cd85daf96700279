#!/usr/bin/env bash
# bmatcuk/doublestar v4.10.4: Match and Glob disagree on escaped characters that
# are no wildcards. Match takes the pattern a\.go for the file a.go, and
# {c\,d,b}/*.go for c,d/x.go; Glob of the same patterns finds neither file,
# without an error, because it removes the backslash before * ? [ ] { and } only.
#
# Seen: true []
#       true [b/y.go]
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOFLAGS=-mod=mod GOWORK=off
go mod init example.com/finding 2>/dev/null
go mod edit -require github.com/bmatcuk/doublestar/v4@v4.10.4
cat >main.go <<'GO'
package main

import (
	"fmt"
	"testing/fstest"

	"github.com/bmatcuk/doublestar/v4"
)

func main() {
	files := fstest.MapFS{"a.go": {}, "c,d/x.go": {}, "b/y.go": {}}
	show(files, `a\.go`, "a.go")
	show(files, `{c\,d,b}/*.go`, "c,d/x.go")
}

func show(files fstest.MapFS, pattern, name string) {
	matches, err := doublestar.Match(pattern, name)
	if err != nil {
		panic(err)
	}
	found, err := doublestar.Glob(files, pattern)
	if err != nil {
		panic(err)
	}
	fmt.Println(matches, found)
}
GO
out=$(go run .)
echo "$out"
[ "$out" = $'true []\ntrue [b/y.go]' ] || { echo 'this has changed' >&2; exit 1; }
