#!/usr/bin/env bash
# Go 1.26.8: in a workspace, go list -mod=readonly writes a file. Two modules whose
# go.sum files are complete, with golang.org/x/text v0.20.0 and v0.21.0, need sums
# of go.mod files that neither has; go list fetches these and writes go.work.sum
# beside go.work. The flag keeps go.mod and go.sum from being written, and a clone
# that was only looked at is not clean any more.
#
# Seen: go.work.sum: 3 lines
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOFLAGS='' GOTOOLCHAIN=local
module() { # module NAME VERSION
  mkdir "$1"
  printf 'module example.com/%s\n\ngo 1.26\n\nrequire golang.org/x/text %s\n' "$1" "$2" >"$1/go.mod"
  printf 'package main\n\nimport "golang.org/x/text/language"\n\nfunc main() { println(language.English.String()) }\n' >"$1/main.go"
  (cd "$1" && GOWORK=off go mod tidy 2>/dev/null)
}
module a v0.20.0
module b v0.21.0
go work init ./a ./b
[ ! -e go.work.sum ]
go list -mod=readonly -deps ./a >/dev/null
echo "go.work.sum: $(wc -l <go.work.sum) lines"
[ "$(wc -l <go.work.sum)" -eq 3 ] || { echo 'this has changed' >&2; exit 1; }
