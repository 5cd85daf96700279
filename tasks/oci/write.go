package oci

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/airbuild/airbuild/internal/ctxio"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// fullName is the annotation that containerd and Docker take a name from.
const fullName = "io.containerd.image.name"

// write writes the images in all forms that the spec asks for.
func (w *work) write(root string, list []found) error {
	top, err := w.index(list)
	if err != nil {
		return err
	}
	files := lists.Set(w.sp.Formats)
	if files[layoutDir] || files[layoutArchive] {
		if err := w.layouts(root, top, files); err != nil {
			return err
		}
	}
	if files[dockerArchive] {
		for _, f := range list {
			if err := w.dockerTar(root, f); err != nil {
				return err
			}
		}
	}
	return w.tell(list, top)
}

// index is the layout's index.json: the image, or an index of several, once
// for each tag.
func (w *work) index(list []found) (v1.ImageIndex, error) {
	var one mutate.IndexAddendum
	if len(list) == 1 && len(w.sp.Merge) == 0 {
		one = descriptor(list[0])
	} else {
		inner := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
		for _, f := range list {
			inner = mutate.AppendManifests(inner, descriptor(f))
		}
		notes := map[string]string{}
		for _, a := range w.sp.Annotations {
			notes[a.Name] = a.Value
		}
		one = mutate.IndexAddendum{Add: mutate.Annotations(inner, notes).(v1.ImageIndex)}
	}
	top := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	if len(w.sp.Tags) == 0 {
		return mutate.AppendManifests(top, one), nil
	}
	for _, tag := range w.sp.Tags {
		add := one
		add.Annotations = map[string]string{refName: tag[strings.LastIndex(tag, ":")+1:], fullName: tag}
		top = mutate.AppendManifests(top, add)
	}
	return top, nil
}

func descriptor(f found) mutate.IndexAddendum {
	return mutate.IndexAddendum{Add: f.image, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: f.platform.OS, Architecture: f.platform.Arch, Variant: f.platform.Variant},
	}}
}

// layouts writes the layout and, from its files, the tar file.
func (w *work) layouts(root string, top v1.ImageIndex, want map[string]bool) error {
	dir := filepath.Join(w.tmp, "layout")
	if want[layoutDir] {
		dir = filepath.Join(root, filepath.FromSlash(w.sp.Output+".oci"))
	}
	if _, err := layout.Write(dir, top); err != nil {
		return err
	}
	files, err := plainFiles(dir)
	if err != nil || !want[layoutArchive] {
		return err
	}
	return w.tarFile(filepath.Join(root, filepath.FromSlash(w.sp.Output+".oci.tar")), func(t *tar.Writer) error {
		for _, name := range files {
			if err := w.addFile(t, dir, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// plainFiles are the files of a layout, those that a reader wants first in
// front. The library makes some executable; none is.
func plainFiles(dir string) (files []string, err error) {
	err = paths.Walk(dir, func(p, rel string, d fs.DirEntry) error {
		if d.IsDir() {
			return nil
		}
		files = append(files, rel)
		return os.Chmod(p, 0o644)
	})
	slices.SortFunc(files, func(a, b string) int {
		if x, y := strings.HasPrefix(a, "blobs/"), strings.HasPrefix(b, "blobs/"); x != y {
			if x {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	return files, err
}

func (w *work) addFile(t *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.addEntry(t, name, info.Size(), f)
}

func (w *work) addEntry(t *tar.Writer, name string, size int64, r io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: w.created().Time}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(t, ctxio.Reader(w.ctx, r))
	return err
}

func (w *work) tarFile(name string, fill func(*tar.Writer) error) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	t := tar.NewWriter(f)
	if err := fill(t); err != nil {
		return err
	}
	return t.Close()
}

// A dockerImage is an element of manifest.json in a tar file for docker load.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerTar writes a tar file for docker load. The library could too, but
// lists several tags of one image in the order of a map.
func (w *work) dockerTar(root string, f found) error {
	layers, err := f.image.Layers()
	if err != nil {
		return err
	}
	conf, err := f.image.RawConfigFile()
	if err != nil {
		return err
	}
	name, err := f.image.ConfigName()
	if err != nil {
		return err
	}
	m := dockerImage{Config: name.Hex + ".json", RepoTags: w.sp.Tags}
	return w.tarFile(filepath.Join(root, filepath.FromSlash(w.sp.dockerFile(f.platform))), func(t *tar.Writer) error {
		if err := w.addEntry(t, m.Config, int64(len(conf)), bytes.NewReader(conf)); err != nil {
			return err
		}
		written := map[string]bool{}
		for _, l := range layers {
			file, err := dockerLayer(l)
			if err != nil {
				return err
			}
			m.Layers = append(m.Layers, file)
			if written[file] {
				continue
			}
			written[file] = true
			if err := w.addLayer(t, file, l); err != nil {
				return err
			}
		}
		text, err := json.Marshal([]dockerImage{m})
		if err != nil {
			return err
		}
		return w.addEntry(t, "manifest.json", int64(len(text)), bytes.NewReader(text))
	})
}

// dockerLayer is the name of a layer's file.
func dockerLayer(l v1.Layer) (string, error) {
	d, err := l.Digest()
	if err != nil {
		return "", err
	}
	media, err := l.MediaType()
	if err != nil {
		return "", err
	}
	switch media {
	case types.OCILayerZStd:
		return "", errors.New("docker load reads no zstd, and the base has such a layer; leave docker-archive out of format")
	case types.OCIUncompressedLayer:
		return d.Hex + ".tar", nil
	}
	return d.Hex + ".tar.gz", nil
}

func (w *work) addLayer(t *tar.Writer, name string, l v1.Layer) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	return w.addEntry(t, name, size, r)
}

// tell writes digests and sizes to the log.
func (w *work) tell(list []found, top v1.ImageIndex) error {
	for _, f := range list {
		d, err := f.image.Digest()
		if err != nil {
			return err
		}
		size, err := imageSize(f.image)
		if err != nil {
			return err
		}
		fmt.Fprintf(w.log, "%s %s, %.1f MB\n", f.platform, d, float64(size)/1e6)
	}
	m, err := top.IndexManifest()
	if err == nil && len(list) > 1 {
		_, err = fmt.Fprintf(w.log, "index %s\n", m.Manifests[0].Digest)
	}
	return err
}

// imageSize is what a registry keeps of an image, in bytes.
func imageSize(img v1.Image) (int64, error) {
	m, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	size, err := img.Size()
	size += m.Config.Size
	for _, l := range m.Layers {
		size += l.Size
	}
	return size, err
}
