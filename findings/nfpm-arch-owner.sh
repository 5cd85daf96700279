#!/bin/sh
# github.com/goreleaser/nfpm/v2 v2.45.2: an Arch Linux package keeps owner and group of
# directories and drops those of files; the same description as an apk keeps both. A file
# with owner "appuser" and mode 4750 is installed set-user-id root.
set -eu
d=$(mktemp -d)
trap 'chmod -R u+w "$d"; rm -rf "$d"' EXIT
cd "$d"
cat >go.mod <<'E'
module example.com/finding

go 1.26

require github.com/goreleaser/nfpm/v2 v2.45.2
E
cat >main.go <<'E'
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/apk"
	"github.com/goreleaser/nfpm/v2/arch"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/klauspost/compress/zstd"
)

func main() {
	check(os.WriteFile("tool", []byte("x"), 0o644))
	for _, p := range []nfpm.PackagerWithExtension{arch.Default, apk.Default} {
		own := &files.ContentFileInfo{Owner: "appuser", Group: "appgroup", Mode: 0o4750, MTime: time.Unix(1e9, 0)}
		dir := *own
		info := &nfpm.Info{Name: "app", Arch: "amd64", Platform: "linux", Version: "1.2.3", Release: "1", MTime: time.Unix(1e9, 0)}
		info.Contents = files.Contents{
			{Source: "tool", Destination: "/usr/bin/tool", FileInfo: own},
			{Destination: "/var/lib/app", Type: files.TypeDir, FileInfo: &dir},
		}
		var b bytes.Buffer
		check(p.Package(nfpm.WithDefaults(info), &b))
		list(p.ConventionalExtension(), b.Bytes())
	}
}

func list(kind string, b []byte) {
	var r io.Reader
	if zr, err := zstd.NewReader(bytes.NewReader(b)); err == nil && kind == ".pkg.tar.zst" {
		r = zr
	} else if gr, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		r = gr
	}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		check(err)
		if strings.HasSuffix(h.Name, "tool") || strings.Contains(h.Name, "var/lib/app") {
			fmt.Printf("%s %s %o %q %q\n", kind, strings.Trim(h.Name, "/"), h.Mode, h.Uname, h.Gname)
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
E
export GOFLAGS=-mod=mod
go mod tidy >log 2>&1 || { cat log; exit 1; }
go run . >out 2>log || { cat log; exit 1; }
cat out
grep -qxF '.pkg.tar.zst usr/bin/tool 4750 "" ""' out
grep -qxF '.pkg.tar.zst var/lib/app 4750 "appuser" "appgroup"' out
grep -qxF '.apk usr/bin/tool 4750 "appuser" "appgroup"' out
