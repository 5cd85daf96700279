package linuxpkg

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/klauspost/compress/zstd"
)

// An owner is whom pacman gives a file to when it installs it.
type owner struct{ user, group string }

// root owns what nobody else is named for. nfpm writes it as the number 0.
var root = owner{"root", "root"}

// owners returns the owners of the contents of an Arch Linux package by the names
// of its archive, or nil where root owns all of them.
func owners(contents files.Contents) map[string]owner {
	all := map[string]owner{}
	for _, c := range contents {
		if c.FileInfo == nil {
			continue
		}
		o := owner{c.FileInfo.Owner, c.FileInfo.Group}
		o.user = cmp.Or(o.user, root.user)
		o.group = cmp.Or(o.group, root.group)
		all[strings.Trim(c.Destination, "/")] = o
	}
	for _, o := range all {
		if o != root {
			return all
		}
	}
	return nil
}

// packageArch writes an Arch Linux package. nfpm writes owners of directories
// only; with a mode such as 4750 a file that belongs to root instead of its owner
// is a hole, so the others are written into the finished archive here.
func packageArch(info *nfpm.Info, w io.Writer) error {
	own := owners(info.Contents)
	if own == nil {
		return packagers[archlinux].Package(info, w)
	}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := writeOwners(w, pr, own)
		done <- errors.Join(err, pr.CloseWithError(err))
	}()
	err := packagers[archlinux].Package(info, pw)
	return errors.Join(err, pw.CloseWithError(err), <-done)
}

// writeOwners copies a compressed archive and sets the owners of its entries.
func writeOwners(w io.Writer, r io.Reader, own map[string]owner) error {
	in, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) // the same bytes on every host
	if err != nil {
		return err
	}
	archive := tar.NewWriter(out)
	for entries := tar.NewReader(in); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("set owners: %w", err)
		}
		if o, ok := own[strings.Trim(h.Name, "/")]; ok {
			h.Uname, h.Gname = o.user, o.group
		}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("set owners: %w", err)
		}
		if _, err := io.Copy(archive, entries); err != nil {
			return fmt.Errorf("set owners: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), out.Close()); err != nil {
		return fmt.Errorf("set owners: %w", err)
	}
	_, err = io.Copy(io.Discard, r) // what may follow the archive
	return err
}
