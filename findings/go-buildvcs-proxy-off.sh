#!/bin/sh
# go 1.26.8 and 1.27.3: go build stamps a program with the version of its own module. Where the
# same commit was built before it had a tag, the module cache has a note of the pseudo-version
# (cache/download/MODULE/@v/*.info), and with GOPROXY=off go build takes the version from
# there: the release that was tagged since says v0.0.0-DATE-HASH. With GOPROXY unset, or with
# the list off,off, which permits as little, it says v1.0.0. Nothing is fetched in any of
# these builds, since the module has no dependencies; a release job that is offline on purpose
# gets another version than the same job with a proxy that it never asks.
set -eu
d=$(mktemp -d)
trap 'chmod -R u+w "$d"; rm -rf "$d"' EXIT
mkdir "$d/m" "$d/home"
cd "$d/m"
export HOME="$d/home" GOFLAGS=-modcacherw GOWORK=off GOMODCACHE="$d/mod" GOCACHE="${GOCACHE:-$d/cache}"
printf 'module example.com/m\n\ngo 1.26\n' >go.mod
printf 'package main\n\nfunc main() {}\n' >main.go
git init -q .
git add -A
GIT_COMMITTER_DATE='2026-01-02T03:04:05Z' GIT_AUTHOR_DATE='2026-01-02T03:04:05Z' \
  git -c user.name=test -c user.email=test@example.com commit -q -m first

version() { # TOOLCHAIN GOPROXY
  GOTOOLCHAIN=$1 GOPROXY=$2 go build -o ../p .
  go version -m ../p | awk '$1 == "mod" { print $3 }' | sed 's/-[0-9a-f]*$/-HASH/'
}
for go in go1.26.8 go1.27.3; do
  # A toolchain is fetched by a proxy, before the module cache of this test counts.
  GOTOOLCHAIN=$go go version >/dev/null
  rm -rf "$d/mod/cache/download/example.com"
  git tag -d v1.0.0 >/dev/null 2>&1 || true
  echo "$go, no tag yet: $(version "$go" off)"
  git tag v1.0.0
  echo "$go, tagged, off: $(version "$go" off)"
  echo "$go, tagged, off,off: $(version "$go" off,off)"
done | tee ../got
cat >../want <<'E'
go1.26.8, no tag yet: v0.0.0-20260102030405-HASH
go1.26.8, tagged, off: v0.0.0-20260102030405-HASH
go1.26.8, tagged, off,off: v1.0.0
go1.27.3, no tag yet: v0.0.0-20260102030405-HASH
go1.27.3, tagged, off: v0.0.0-20260102030405-HASH
go1.27.3, tagged, off,off: v1.0.0
E
cmp ../got ../want
