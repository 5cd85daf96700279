#!/bin/sh
# Puts airbuild on a host where there is none yet, and imports this bundle with
# it. Needs a POSIX shell, sha256sum and tar; no root, no network; the media may
# be read-only.
#
#   sh bootstrap.sh [--to DIR] [--cache DIR] [--trust FILE.pub] [-- IMPORT-FLAG…]
#
#   --to DIR      where airbuild is put (default: ~/.local/bin)
#   --cache DIR   airbuild's cache (default: airbuild's own)
#   --trust FILE  trust this key first: the public key of who made the bundle
#   -- …          further arguments of `airbuild bundle import`, such as --source-to DIR,
#                 or the folders of further discs
#
# This script is not signed. It came with the bundle, whose digest is
#   @DIGEST@
# Compare the script's own SHA-256 with the one that its maker told you some
# other way. What it installs it compares with the sums below; the bundle itself
# is verified by airbuild, against keys that you trust.
set -eu

bundle='@NAME@'
# host  sha256  size  path in the layout
programs='@PROGRAMS@'

fail() {
  printf 'bootstrap: %s\n' "$*" >&2
  exit "${code:-1}"
}

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; }

to=${HOME:-}/.local/bin
cache=
trust=
while [ $# -gt 0 ]; do
  case $1 in
    --to | --cache | --trust)
      [ $# -ge 2 ] || { code=2 fail "$1 needs a value"; }
      case $1 in --to) to=$2 ;; --cache) cache=$2 ;; --trust) trust=$2 ;; esac
      shift 2
      ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; code=2 fail "unknown argument $1" ;;
  esac
done

for program in sha256sum tar uname mktemp; do
  command -v "$program" >/dev/null 2>&1 || fail "$program is missing"
done
[ "$to" != /.local/bin ] || fail 'HOME is not set; say where airbuild goes: --to DIR'

media=$(CDPATH='' && cd -- "$(dirname -- "$0")" && pwd)

case $(uname -s) in
  Linux) os=linux ;;
  Darwin) os=darwin ;;
  FreeBSD) os=freebsd ;;
  *) os=$(uname -s | tr '[:upper:]' '[:lower:]') ;;
esac
case $(uname -m) in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  armv5* | armv6* | armv7* | arm) arch=arm ;;
  i386 | i486 | i586 | i686) arch=386 ;;
  riscv64) arch=riscv64 ;;
  ppc64le) arch=ppc64le ;;
  s390x) arch=s390x ;;
  *) arch=$(uname -m) ;;
esac
host=$os-$arch

sum=
path=
while read -r name s _ p; do
  if [ "$name" = "$host" ]; then
    sum=$s path=$p
  fi
done <<END
$programs
END
[ -n "$sum" ] || fail "the bundle has no airbuild for $host; it has:
$programs"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/airbuild-bootstrap.XXXXXX")
trap 'rm -rf "$scratch" "$to/.airbuild.$$"' EXIT
trap 'exit 1' HUP INT TERM

# The program is in the layout, or in one of the volumes.
found=
if [ -f "$media/$path" ]; then
  cp "$media/$path" "$scratch/airbuild"
  found=1
else
  for volume in "$media"/*.tar; do
    [ -f "$volume" ] || continue
    if tar -xOf "$volume" "$path" >"$scratch/airbuild" 2>/dev/null && [ -s "$scratch/airbuild" ]; then
      found=1
      break
    fi
  done
fi
[ -n "$found" ] || { code=3 fail "airbuild for $host is not in $media: is a volume missing?"; }

have=$(sha256sum <"$scratch/airbuild")
have=${have%% *}
[ "$have" = "$sum" ] || { code=3 fail "airbuild for $host is damaged: SHA-256 $have instead of $sum"; }

mkdir -p "$to"
chmod 755 "$scratch/airbuild"
# Beside its place first, so that it appears whole, also where it runs already.
cp "$scratch/airbuild" "$to/.airbuild.$$"
mv -f "$to/.airbuild.$$" "$to/airbuild"
"$to/airbuild" version >/dev/null || fail "$to/airbuild does not start here"
printf 'installed %s\n' "$to/airbuild"

[ -z "$cache" ] || { AIRBUILD_CACHE=$cache && export AIRBUILD_CACHE; }
[ -z "$trust" ] || "$to/airbuild" key trust "$trust"

"$to/airbuild" bundle import "$media" "$@" || exit $?

case :$PATH: in
  *":$to:"*) ;;
  *) printf 'to have it found: PATH=%s:$PATH\n' "$to" ;;
esac
