#!/bin/sh
# github.com/cpuguy83/go-md2man/v2 v2.0.7, which turns Markdown into manual pages, escapes the
# dash between a program's name and its summary (\-), and no other: options and code keep
# plain dashes. In the language of man a plain dash is a hyphen. groff prints it as U+2010
# where the distribution does not map it back to ASCII, and then an option that is copied
# from the page into a shell is an unknown argument, and a search for "--dry-run" in the
# page finds nothing. The output has to be escaped by whoever calls the library.
set -eu
d=$(mktemp -d)
trap 'chmod -R u+w "$d"; rm -rf "$d"' EXIT
cd "$d"
cat >go.mod <<'E'
module example.com/finding

go 1.26

require github.com/cpuguy83/go-md2man/v2 v2.0.7
E
cat >main.go <<'E'
package main

import (
	"os"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

func main() {
	os.Stdout.Write(md2man.Render([]byte("# NAME\ntool - does it\n\n# OPTIONS\n`--dry-run`\n: show only\n\n```\ntool --dry-run\n```\n")))
}
E
GOFLAGS=-mod=mod go run . >out 2>err || { cat err; exit 1; }
grep -e dry -e does out | tee got
cat >want <<'E'
tool \- does it
\fB--dry-run\fR
tool --dry-run
E
cmp got want
