package deploy

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// maxWindow bounds the memory of a zstd decoder, in bytes.
const maxWindow = 128 << 20

// archive unpacks f if its name is an archive's, and reports whether it is.
func (in *installer) archive(a Artifact, f io.Reader) (bool, error) {
	name := path.Base(a.Path)
	is := func(ends ...string) bool {
		return slices.ContainsFunc(ends, func(e string) bool { return strings.HasSuffix(name, e) })
	}
	switch {
	case is(".tar"):
		return true, in.tar(f, a.Strip)
	case is(".tar.gz", ".tgz"):
		z, err := gzip.NewReader(f)
		if err != nil {
			return true, err
		}
		return true, in.tar(z, a.Strip)
	case is(".tar.xz", ".txz"):
		z, err := xz.NewReader(f)
		if err != nil {
			return true, err
		}
		return true, in.tar(z, a.Strip)
	case is(".tar.zst", ".tzst"):
		z, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return true, err
		}
		defer z.Close()
		return true, in.tar(z, a.Strip)
	case is(".zip"):
		return true, in.zip(f, a.Strip)
	}
	return false, nil
}

// stripped is a member's name in the release; "" for one that is left out.
func stripped(name string, n int) (string, error) {
	clean := path.Clean(name)
	if strings.HasPrefix(name, "/") || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("the name %q leaves the release", name)
	}
	for range n {
		_, rest, ok := strings.Cut(clean, "/")
		if !ok {
			return "", nil
		}
		clean = rest
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

func (in *installer) tar(r io.Reader, strip int) error {
	members := tar.NewReader(r)
	for {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := stripped(h.Name, strip)
		if err != nil {
			return err
		}
		switch {
		case name == "":
		case h.Typeflag == tar.TypeDir:
			err = in.mkdir(name)
		case h.Typeflag == tar.TypeSymlink:
			err = in.link(name, h.Linkname)
		case h.Typeflag == tar.TypeReg:
			err = in.write(name, members, fs.FileMode(h.Mode))
		default:
			err = fmt.Errorf("%s is neither a file nor a directory nor a symbolic link", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

// zip needs a file that can be read anywhere: what the reader gives is copied
// beside the release first, which verifies it.
func (in *installer) zip(r io.Reader, strip int) error {
	tmp, err := os.CreateTemp("", "airbuild-deploy-*.zip")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	size, err := io.Copy(tmp, ctxio.Reader(in.ctx, r))
	if err != nil {
		return err
	}
	z, err := zip.NewReader(tmp, size)
	if err != nil {
		return err
	}
	for _, m := range z.File {
		if err := in.zipMember(m, strip); err != nil {
			return err
		}
	}
	return nil
}

func (in *installer) zipMember(m *zip.File, strip int) error {
	name, err := stripped(m.Name, strip)
	if err != nil || name == "" {
		return err
	}
	mode := m.Mode()
	if mode.IsDir() {
		return in.mkdir(name)
	}
	f, err := m.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	if mode&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(f, 4096))
		if err != nil {
			return err
		}
		return in.link(name, string(target))
	}
	if !mode.IsRegular() {
		return fmt.Errorf("%s is neither a file nor a directory nor a symbolic link", m.Name)
	}
	return in.write(name, f, mode)
}
