package oci

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/airbuild/airbuild/engine"
)

// Annotations that an image on a base gets.
const (
	baseDigest = "org.opencontainers.image.base.digest"
	baseName   = "org.opencontainers.image.base.name"
)

// runImage writes the image that a spec describes.
func runImage(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	tmp, err := os.MkdirTemp(call.Dir, ".oci-")
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	defer os.RemoveAll(tmp)
	w := &work{ctx: ctx, sp: sp, in: call.In, tmp: tmp, log: call.Log}
	list, err := w.images()
	if err != nil {
		return fmt.Errorf("make image %s: %w", sp.Output, err)
	}
	if err := w.write(call.Dir, list); err != nil {
		return fmt.Errorf("write image %s: %w", sp.Output, err)
	}
	return nil
}

// A work is one run of the builder.
type work struct {
	ctx  context.Context
	sp   *spec
	in   fs.FS
	tmp  string
	log  io.Writer
	base v1.ImageIndex // nil: scratch
}

func (w *work) images() ([]found, error) {
	if len(w.sp.Merge) > 0 {
		return w.merged()
	}
	if w.sp.Base != "" {
		var err error
		if w.base, err = openLayout(w.ctx, w.tmp, w.in, w.sp.Base); err != nil {
			return nil, fmt.Errorf("base %s: %w", w.sp.Base, err)
		}
	}
	common, err := w.layers(w.sp.Layers)
	if err != nil {
		return nil, err
	}
	var list []found
	for _, p := range w.sp.Platforms {
		img, err := w.image(p, common)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		list = append(list, found{image: img, platform: p})
	}
	return list, nil
}

// merged are the images of other layouts, each platform once.
func (w *work) merged() (list []found, err error) {
	from := map[string]string{}
	for _, name := range w.sp.Merge {
		ix, err := openLayout(w.ctx, w.tmp, w.in, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		inside, err := images(ix, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		seen := map[v1.Hash]bool{} // a layout names an image once a tag
		for _, f := range inside {
			if seen[f.desc.Digest] {
				continue
			}
			seen[f.desc.Digest] = true
			if first, taken := from[f.platform.String()]; taken {
				return nil, fmt.Errorf("%s and %s both have an image for %s; leave one out", first, name, f.platform)
			}
			from[f.platform.String()] = name
			list = append(list, f)
		}
		if len(inside) == 0 {
			return nil, fmt.Errorf("%s: there is no image in it", name)
		}
	}
	slices.SortFunc(list, func(a, b found) int { return strings.Compare(a.platform.String(), b.platform.String()) })
	return list, nil
}

// layers makes the layers of a spec.
func (w *work) layers(list []layer) (adds []mutate.Addendum, err error) {
	for i := range list {
		l := &list[i]
		members, err := l.members(w.in)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.Name, err)
		}
		m, err := makeLayer(w.ctx, w.tmp, w.in, members, w.sp)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.Name, err)
		}
		adds = append(adds, mutate.Addendum{Layer: m, History: w.history(l.Name)})
	}
	return adds, nil
}

func (w *work) history(name string) v1.History {
	return v1.History{Created: w.created(), CreatedBy: "airbuild oci_image: " + name}
}

func (w *work) created() v1.Time { return v1.Time{Time: time.Unix(w.sp.Time, 0).UTC()} }

// image makes the image of one platform.
func (w *work) image(p platform, common []mutate.Addendum) (v1.Image, error) {
	for _, f := range p.Programs {
		if err := checkProgram(w.in, f, p, w.base == nil, w.log); err != nil {
			return nil, err
		}
	}
	own := []layer{}
	if len(p.Programs) > 0 {
		own = append(own, layer{Name: "programs", File: p.Programs})
	}
	programs, err := w.layers(own)
	if err != nil {
		return nil, err
	}
	file := &v1.ConfigFile{}
	adds := []mutate.Addendum{}
	notes := map[string]string{}
	if w.base != nil {
		if adds, file, err = w.onBase(p, notes); err != nil {
			return nil, fmt.Errorf("base %s: %w", w.sp.Base, err)
		}
	}
	history := file.History
	for _, a := range slices.Concat(common, programs) {
		adds = append(adds, a)
		history = append(history, a.History)
	}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), adds...)
	if err != nil {
		return nil, err
	}
	plain, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file.RootFS, file.History = plain.RootFS, history
	file.OS, file.Architecture, file.Variant = p.OS, p.Arch, p.Variant
	file.Created = w.created()
	w.configure(&file.Config)
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return nil, err
	}
	for _, a := range w.sp.Annotations {
		notes[a.Name] = a.Value
	}
	return mutate.Annotations(img, notes).(v1.Image), nil
}

// onBase begins an image with the base's layers and configuration.
func (w *work) onBase(p platform, notes map[string]string) (adds []mutate.Addendum, file *v1.ConfigFile, err error) {
	base, err := choose(w.base, w.sp.BaseTag, p)
	if err != nil {
		return nil, nil, err
	}
	list, err := base.Layers()
	if err != nil {
		return nil, nil, err
	}
	for _, l := range list {
		media, err := l.MediaType()
		if err == nil {
			media, err = ociLayer(media)
		}
		if err != nil {
			return nil, nil, err
		}
		adds = append(adds, mutate.Addendum{Layer: &baseLayer{l, media}, MediaType: media})
	}
	digest, err := base.Digest()
	if err != nil {
		return nil, nil, err
	}
	notes[baseDigest] = digest.String()
	if w.sp.BaseTag != "" {
		notes[baseName] = w.sp.BaseTag
	}
	if file, err = base.ConfigFile(); err != nil {
		return nil, nil, err
	}
	file = file.DeepCopy()
	// What another program noted about how it made the base.
	file.Container, file.Author = "", ""
	//lint:ignore SA1019 a base that has it would pass it on
	file.DockerVersion = ""
	return adds, file, nil
}

// configure lays what the stage says over the base's configuration.
func (w *work) configure(c *v1.Config) {
	from := &w.sp.Config
	if len(from.Entrypoint) > 0 {
		c.Entrypoint, c.Cmd = from.Entrypoint, nil // the base's arguments are of its own entrypoint
	}
	if len(from.Cmd) > 0 {
		c.Cmd = from.Cmd
	}
	c.Env = environment(c.Env, from.Environment)
	for to, value := range map[*string]string{&c.User: from.User, &c.WorkingDir: from.Workdir, &c.StopSignal: from.StopSignal} {
		if value != "" {
			*to = value
		}
	}
	c.Labels = with(c.Labels, from.Labels)
	for _, p := range from.Ports {
		if c.ExposedPorts == nil {
			c.ExposedPorts = map[string]struct{}{}
		}
		c.ExposedPorts[p] = struct{}{}
	}
	for _, v := range from.Volumes {
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		c.Volumes[v] = struct{}{}
	}
}

// defaultPath is what programs of an image find others in, where neither the
// base nor the stage says.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment lays variables over the base's, in whose places they stay.
func environment(base []string, own []pair) []string {
	out := slices.Clone(base)
	set := func(name, value string, over bool) {
		at := slices.IndexFunc(out, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		if at < 0 {
			out = append(out, name+"="+value)
		} else if over {
			out[at] = name + "=" + value
		}
	}
	for _, v := range own {
		set(v.Name, v.Value, true)
	}
	set("PATH", defaultPath, false)
	return out
}

func with(m map[string]string, list []pair) map[string]string {
	if len(list) == 0 {
		return m
	}
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	for _, p := range list {
		out[p.Name] = p.Value
	}
	return out
}
