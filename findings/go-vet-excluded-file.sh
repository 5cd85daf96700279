#!/bin/sh
# go 1.26.8: go vet answers "ok" from its cache although a file of the package has become
# wrong, if that file is excluded on the platform. The analyzers buildtag and directive
# read such files, but the id under which the go command caches what vet said is made of
# the compiled files only. An empty GOCACHE shows the mistake; a warm one hides it, so a
# check on a CI runner that keeps its cache passes.
set -eu
d=$(mktemp -d)
trap 'chmod -R u+w "$d"; rm -rf "$d"' EXIT
mkdir "$d/p"
cd "$d/p"
export GOFLAGS= GOTOOLCHAIN=go1.26.8 GOCACHE="$d/warm" CGO_ENABLED=0 GOOS=linux
go version
printf 'module example.com/v\n\ngo 1.26\n' >go.mod
printf 'package v\n' >v.go
printf '//go:build windows\n\npackage v\n' >v_windows.go
go vet .
printf 'package v\n\n//go:build windows\n\nvar x = 1\n' >v_windows.go
go vet . || { echo 'changed: the warm cache shows the mistake too'; exit 1; }
echo 'warm cache: ok'
if GOCACHE="$d/empty" go vet . >out 2>&1; then
  echo 'changed: an empty cache finds nothing'
  exit 1
fi
cat out
grep -q 'v_windows.go:3:1: misplaced //go:build comment' out
