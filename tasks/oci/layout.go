package oci

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// refName is the annotation that names an image in a layout.
const refName = "org.opencontainers.image.ref.name"

// maxMeta bounds the index of a layout, in bytes.
const maxMeta = 4 << 20

// blobDigest is the digest in the name of a blob, or "".
func blobDigest(name string) string {
	hex, ok := strings.CutPrefix(name, "blobs/sha256/")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return ""
	}
	return hex
}

// openLayout copies a layout, a directory or a tar file, into a new directory
// below tmp. Every blob is held against its name: what is damaged is refused.
func openLayout(ctx context.Context, tmp string, in fs.FS, name string) (v1.ImageIndex, error) {
	info, err := fs.Stat(in, name)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(tmp, "layout-")
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		err = copyLayout(ctx, dir, in, name)
	} else {
		err = unpackLayout(ctx, dir, in, name)
	}
	if err != nil {
		return nil, err
	}
	p, err := layout.FromPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it is not an OCI layout: it has no index.json")
	}
	if err != nil {
		return nil, fmt.Errorf("it is not an OCI layout: %w", err)
	}
	return p.ImageIndex()
}

func copyLayout(ctx context.Context, dir string, in fs.FS, name string) error {
	return fs.WalkDir(in, name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := in.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		return copyPart(ctx, dir, strings.TrimPrefix(p, name+"/"), f)
	})
}

func unpackLayout(ctx context.Context, dir string, in fs.FS, name string) error {
	f, err := in.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := unpacker(f)
	if err != nil {
		return err
	}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, f) // reading to the end verifies
			return err
		}
		if err != nil {
			return fmt.Errorf("it is not an OCI layout: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := copyPart(ctx, dir, path.Clean(h.Name), t); err != nil {
			return err
		}
	}
}

// copyPart copies one file of a layout. What is no part of one is passed over.
func copyPart(ctx context.Context, dir, name string, r io.Reader) error {
	want := blobDigest(name)
	if want == "" && name != "index.json" && name != "oci-layout" {
		return nil
	}
	if want == "" {
		r = io.LimitReader(r, maxMeta)
	}
	to := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), ctxio.Reader(ctx, r))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); want != "" && got != want {
		return fmt.Errorf("%s is damaged: its SHA-256 is %s; get the layout again", name, got)
	}
	return nil
}

// A found is an image of a layout.
type found struct {
	image    v1.Image
	desc     v1.Descriptor
	platform platform
}

// images are all images of a layout, those of inner indexes too.
func images(ix v1.ImageIndex, depth int) (list []found, err error) {
	if depth > 4 {
		return nil, errors.New("its indexes are nested too deeply")
	}
	m, err := ix.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		switch {
		case d.MediaType.IsIndex():
			inner, err := ix.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			below, err := images(inner, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, below...)
		case d.MediaType.IsImage():
			f, ok, err := oneImage(ix, d)
			if err != nil {
				return nil, err
			}
			if ok {
				list = append(list, f)
			}
		}
	}
	return list, nil
}

// oneImage reads an image's platform from its configuration. ok is false for
// what is no image, such as an attestation.
func oneImage(ix v1.ImageIndex, d v1.Descriptor) (f found, ok bool, err error) {
	img, err := ix.Image(d.Digest)
	if err != nil {
		return f, false, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return f, false, fmt.Errorf("image %s: %w", d.Digest, err)
	}
	if c.OS == "" || c.OS == "unknown" {
		return f, false, nil
	}
	v := c.Variant
	if d.Platform != nil && v == "" {
		v = d.Platform.Variant
	}
	return found{img, d, platform{OS: c.OS, Arch: c.Architecture, Variant: variant(c.Architecture, v)}}, true, nil
}

// choose finds the image of a layout for a platform. tag may be empty.
func choose(ix v1.ImageIndex, tag string, want platform) (v1.Image, error) {
	if tag != "" {
		var err error
		if ix, err = tagged(ix, tag); err != nil {
			return nil, err
		}
	}
	list, err := images(ix, 0)
	if err != nil {
		return nil, err
	}
	var fit []found
	var has []string
	for _, f := range list {
		has = append(has, f.platform.String())
		if f.platform.String() == want.String() && (len(fit) == 0 || fit[0].desc.Digest != f.desc.Digest) {
			fit = append(fit, f)
		}
	}
	switch len(fit) {
	case 1:
		return fit[0].image, nil
	case 0:
		return nil, fmt.Errorf("it has no image for %s; it has %s", want, strings.Join(has, ", "))
	}
	return nil, fmt.Errorf("it has %d images for %s; choose one with base_tag", len(fit), want)
}

// tagged is an index of what a layout calls tag.
func tagged(ix v1.ImageIndex, tag string) (v1.ImageIndex, error) {
	m, err := ix.IndexManifest()
	if err != nil {
		return nil, err
	}
	var has []string
	for _, d := range m.Manifests {
		name := d.Annotations[refName]
		if name != tag {
			has = append(has, name)
			continue
		}
		if d.MediaType.IsIndex() {
			return ix.ImageIndex(d.Digest)
		}
		return &only{ix, d}, nil
	}
	return nil, fmt.Errorf("it has no image with the tag %q; it has %q", tag, has)
}

// An only is one image of an index.
type only struct {
	whole
	desc v1.Descriptor
}

// whole is a name for embedding: ImageIndex is a method too.
type whole = v1.ImageIndex

func (o *only) IndexManifest() (*v1.IndexManifest, error) {
	return &v1.IndexManifest{Manifests: []v1.Descriptor{o.desc}}, nil
}
