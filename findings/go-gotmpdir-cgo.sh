#!/usr/bin/env bash
# Go 1.26.8, gcc: with GOTMPDIR inside the module, a program with cgo is another
# one each time it is built, also with -trimpath and an empty GOCACHE. With
# GOTMPDIR outside the module all builds give the same bytes.
#
# Seen: inside: different
#       outside: same
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export CGO_ENABLED=1 GOWORK=off
mkdir "$dir/module"
cd "$dir/module"
go mod init example.com/finding 2>/dev/null
cat >main.go <<'GO'
package main

/*
static int two(void) { return 2; }
*/
import "C"

func main() { println(C.two()) }
GO
out=
for where in inside outside; do
  tmp="$dir/module/tmp"
  [ "$where" = inside ] || tmp="$dir/tmp"
  mkdir -p "$tmp"
  for n in 1 2; do
    GOCACHE="$dir/cache-$where-$n" GOTMPDIR="$tmp" go build -trimpath -buildvcs=false -o "$dir/$where-$n" .
  done
  same=different
  cmp -s "$dir/$where-1" "$dir/$where-2" && same=same
  out+="$where: $same"$'\n'
done
printf %s "$out"
[ "$out" = $'inside: different\noutside: same\n' ] || { echo 'this has changed' >&2; exit 1; }
