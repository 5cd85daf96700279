// Package oci holds the stage types oci_image, which makes container images
// without a daemon and without a registry, and oci_push, which copies them to
// one.
//
// An image hangs on nothing but its files, its configuration and the source's
// time. Layers are sorted by name, owned by 0 unless the stage says otherwise,
// and hold no entries for directories that are only on the way, so that a
// layer never changes the mode of a directory of the base. They are compressed
// in one thread by the compressors named in go.mod.
package oci

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// imageTool and imageVersion begin the command of every image. The version
// changes when the bytes that the tool writes for a spec change.
const (
	imageTool    = "oci-image"
	imageVersion = "1"
)

// Forms in which an image is written, as users write them: the names of
// skopeo's transports.
const (
	layoutDir     = "oci"
	layoutArchive = "oci-archive"
	dockerArchive = "docker-archive"
)

// Compressions of layers, as users write them.
const (
	compressGzip = "gzip"
	compressZstd = "zstd"
	compressNone = "none"
)

// scratch is the base that holds nothing.
const scratch = "scratch"

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{imageTask{}, pushTask{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{imageTool: tasks.Tool[spec](runImage), pushTool: tasks.Tool[pushSpec](runPush)}
}

type imageTask struct{}

func (imageTask) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "oci_image",
		Traits: tasks.Traits{Timed: true, Traits: engine.Traits{Shipped: true}},
		Doc:    "Builds a container image for one or more platforms, without a daemon or a registry.",
		Attrs: []tasks.Attr{
			{Name: "binaries", Kind: tasks.StageRef, Picks: true, Some: true, Doc: "Stage, or one of its cells, whose outputs are the image's programs. Each cell goes into the image of its platform; only Linux cells are used."},
			{Name: "binary", Kind: tasks.String, Default: "`/usr/bin/` and the program's name", Doc: "Path of the program in the image; with a trailing slash, the directory of all programs."},
			{Name: "platforms", Kind: tasks.Strings, Default: "those of `binaries`; without it that of the cell, or `linux` with the host's architecture", Doc: "Platforms of the image, `os/arch` or `os/arch/variant`. Several platforms give an index."},
			{Name: "images", Kind: tasks.Paths, Doc: "OCI layouts, directories or tar files, to combine into one index instead of building an image."},
			{Name: "base", Kind: tasks.String, Default: scratch, Doc: "OCI layout of the base image: a directory or tar file of the project, an output of another stage, or `scratch`."},
			{Name: "base_tag", Kind: tasks.String, Doc: "Selects an image of a base that holds several, by its `org.opencontainers.image.ref.name`."},
			{Name: "certificates", Kind: tasks.Path, Doc: "File of root certificates (PEM), for `/etc/ssl/certs/ca-certificates.crt`."},
			{Name: "timezones", Kind: tasks.Path, Doc: "Time zones: a directory for `/usr/share/zoneinfo`, or Go's `zoneinfo.zip`, for which `ZONEINFO` is set."},
			{Name: "directories", Kind: tasks.StringMap, Doc: "Directories to create: mode by path, optionally followed by a space and the owner: `\"/tmp\" = \"1777\"`, `\"/data\" = \"0750 65532:65532\"`."},
			{Name: "entrypoint", Kind: tasks.Strings, Default: "the program, if there is exactly one", Doc: "Command of the container."},
			{Name: "cmd", Kind: tasks.Strings, Doc: "Default arguments."},
			{Name: "environment", Kind: tasks.StringMap, Doc: "Environment of the container. (`env` is the stage's.)"},
			{Name: "user", Kind: tasks.String, Doc: "User and group of the container: `65532:65532`. A name must exist in the base's `/etc/passwd`."},
			{Name: "workdir", Kind: tasks.String, Doc: "Working directory of the container."},
			{Name: "labels", Kind: tasks.StringMap, Doc: "Labels in the image configuration."},
			{Name: "annotations", Kind: tasks.StringMap, Doc: "Annotations of the image manifests and of the index."},
			{Name: "ports", Kind: tasks.Strings, Doc: "Ports that the program listens on: `8080`, `53/udp`."},
			{Name: "volumes", Kind: tasks.Strings, Doc: "Directories for the container's data."},
			{Name: "stop_signal", Kind: tasks.String, Doc: "Signal that stops the program: `SIGINT`."},
			{Name: "tags", Kind: tasks.Strings, Doc: "Names of the image: `registry.example/app:v1.0`."},
			{Name: "compression", Kind: tasks.String, Enum: []string{compressGzip, compressZstd, compressNone}, Default: compressGzip, Doc: "Compression of new layers."},
			{Name: "format", Kind: tasks.Strings, Enum: []string{layoutDir, layoutArchive, dockerArchive}, Default: layoutArchive, Doc: "Output formats: `oci` is an OCI layout directory, `oci-archive` an OCI layout as a tar file, `docker-archive` a tar file for `docker load`, one per platform."},
			{Name: "output", Kind: tasks.Output, Default: "the stage's name with the cell", Doc: "Name of the output, without the extension `.oci`, `.oci.tar` or `.docker.tar`."},
		},
		Blocks: []tasks.Nested{{
			Type: "layer", Labels: []string{"name"},
			Doc: "A layer of files. Layers are stacked in the order in which they are written, above the base and below the programs.",
			Attrs: []tasks.Attr{
				{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files and directories of the layer."},
				{Name: "to", Kind: tasks.String, Required: true, Doc: "Path in the image; with a trailing slash, the directory that holds everything under its base name, without one, the path of the one file or directory."},
				{Name: "mode", Kind: tasks.String, Default: "0755 for executables, 0644 for the rest", Doc: "Octal permissions for every file."},
				{Name: "owner", Kind: tasks.String, Default: "0:0", Doc: "User and group id of all files."},
			},
		}},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Output      string     `json:"output"` // project-relative, without ending
	Formats     []string   `json:"formats"`
	Time        int64      `json:"time"` // seconds since 1970, UTC
	Tags        []string   `json:"tags,omitempty"`
	Merge       []string   `json:"merge,omitempty"`     // layouts, project-relative
	Platforms   []platform `json:"platforms,omitempty"` // sorted; without Merge at least one
	Base        string     `json:"base,omitempty"`      // project-relative; empty: scratch
	BaseTag     string     `json:"base_tag,omitempty"`
	Compression string     `json:"compression,omitempty"`
	Layers      []layer    `json:"layers,omitempty"`
	Config      config     `json:"config,omitzero"`
	Annotations []pair     `json:"annotations,omitempty"` // sorted
}

// A platform is one image and the programs that it alone has.
type platform struct {
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Variant  string `json:"variant,omitempty"`
	Programs []file `json:"programs,omitempty"`
}

func (p platform) String() string {
	s := p.OS + "/" + p.Arch
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// A layer is files for every platform.
type layer struct {
	Name string `json:"name"`
	Dirs []dir  `json:"dirs,omitempty"`
	File []file `json:"files,omitempty"`
	Mode string `json:"mode,omitempty"` // octal; empty: by executable bit
	UID  int    `json:"uid,omitempty"`
	GID  int    `json:"gid,omitempty"`
}

// A dir is an empty directory. To is its path in the image.
type dir struct {
	To   string `json:"to"`
	Mode int64  `json:"mode"`
	UID  int    `json:"uid,omitempty"`
	GID  int    `json:"gid,omitempty"`
}

// A file is a file or directory and its path in the image: clean, without a
// slash in front.
type file struct {
	Path string `json:"path"`
	To   string `json:"to"`
	// Dir: the path is a directory whose content lies in To.
	Dir bool `json:"dir,omitempty"`
}

// A config is what the image's configuration says beside the base's.
type config struct {
	Entrypoint  []string `json:"entrypoint,omitempty"`
	Cmd         []string `json:"cmd,omitempty"`
	Environment []pair   `json:"environment,omitempty"` // sorted
	User        string   `json:"user,omitempty"`
	Workdir     string   `json:"workdir,omitempty"`
	Labels      []pair   `json:"labels,omitempty"` // sorted
	Ports       []string `json:"ports,omitempty"`  // "8080/tcp", sorted
	Volumes     []string `json:"volumes,omitempty"`
	StopSignal  string   `json:"stop_signal,omitempty"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func pairs(m map[string]string) (list []pair) {
	return lists.Map(slices.Sorted(maps.Keys(m)), func(name string) pair { return pair{name, m[name]} })
}

// outputs are the paths of what is written: files, and directories.
func (sp *spec) outputs() (files, dirs []string) {
	for _, f := range sp.Formats {
		switch f {
		case layoutDir:
			dirs = append(dirs, sp.Output+".oci")
		case layoutArchive:
			files = append(files, sp.Output+".oci.tar")
		case dockerArchive:
			for _, p := range sp.Platforms {
				files = append(files, sp.dockerFile(p))
			}
		}
	}
	return files, dirs
}

// dockerFile is the tar file for docker load of one platform.
func (sp *spec) dockerFile(p platform) string {
	if len(sp.Platforms) == 1 {
		return sp.Output + ".docker.tar"
	}
	return sp.Output + "_" + strings.ReplaceAll(p.String(), "/", "_") + ".docker.tar"
}

func (imageTask) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	p := &imagePlan{b: b, step: b.NewStep(engine.InProcess)}
	p.output()
	if b.Has("images") {
		p.merge()
	} else {
		p.build()
	}
	p.annotations()
	b.AddRefs(&p.step)
	if p.diags.HasErrors() {
		return nil, p.diags
	}
	files, dirs := p.spec.outputs()
	tasks.SetOutputs(&p.step, files, dirs)
	return b.ToolStep(p.step, imageTool, imageVersion, p.spec, p.diags)
}

// An imagePlan collects what a stage says, and its mistakes.
type imagePlan struct {
	b     *tasks.Block
	step  engine.Step
	spec  spec
	diags hcl.Diagnostics
}

func (p *imagePlan) fail(attr, summary, format string, args ...any) {
	p.diags = append(p.diags, p.b.Error(attr, summary, fmt.Sprintf(format, args...)))
}

// output decides where the image is written, in which forms, and its names.
func (p *imagePlan) output() {
	b := p.b
	p.spec.Time = seconds(b.Project.Source.Time)
	p.spec.Output = b.DistPath(b.StringOr("output", cellName(b)))
	p.spec.Formats = b.Strings("format")
	if len(p.spec.Formats) == 0 {
		p.spec.Formats = []string{layoutArchive}
	}
	p.spec.Formats = lists.Unique(p.spec.Formats)
	for _, end := range []string{".oci", ".tar", ".docker"} {
		if strings.HasSuffix(p.spec.Output, end) {
			p.fail("output", "Name with an ending", "output must not have an extension, which depends on format: remove %q.", end)
		}
	}
	for _, t := range b.Strings("tags") {
		full, why := fullTag(t)
		if why != "" {
			p.fail("tags", "Not a name of an image", "%q: %s", t, why)
		} else if !slices.Contains(p.spec.Tags, full) {
			p.spec.Tags = append(p.spec.Tags, full)
		}
	}
	slices.Sort(p.spec.Tags)
}

// seconds is the source's time; 1970 where it is not known.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// cellName is a stage's name with its cell, as part of a file name.
func cellName(b *tasks.Block) string {
	if b.Cell == "" {
		return b.Name
	}
	return b.Name + "_" + strings.NewReplacer("/", "_", ",", "_", " ", "_", "\\", "_", ":", "_").Replace(b.Cell)
}

// merge plans an index of images that were made before.
func (p *imagePlan) merge() {
	b := p.b
	for _, attr := range []string{
		"binaries", "binary", "platforms", "base", "base_tag", "certificates", "timezones", "directories", "entrypoint", "cmd",
		"environment", "user", "workdir", "labels", "ports", "volumes", "stop_signal", "compression",
	} {
		if b.Has(attr) {
			p.fail(attr, "Index of existing images", "images joins images as they are: set %s in the stages that make them.", attr)
		}
	}
	if len(b.Labels["layer"]) > 0 {
		p.fail("", "Index of existing images", "images joins images as they are: add layers in the stages that make them.")
	}
	if slices.Contains(p.spec.Formats, dockerArchive) {
		p.fail("format", "No tar file of an index for docker load", "docker-archive holds the image of one platform: set it in the stages that make the images.")
	}
	for _, in := range b.Paths("images") {
		tasks.AddInput(&p.step, in.Input())
		p.spec.Merge = append(p.spec.Merge, in.Path)
	}
	if len(p.spec.Merge) == 0 {
		p.diags = append(p.diags, b.NoFiles("images", "Nothing to join"))
	}
}

// build plans images that are made of files.
func (p *imagePlan) build() {
	p.spec.Compression = p.b.StringOr("compression", compressGzip)
	if p.spec.Compression == compressZstd && slices.Contains(p.spec.Formats, dockerArchive) {
		p.fail("compression", "docker load reads no zstd", "Use gzip, or leave docker-archive out of format.")
	}
	p.base()
	p.systemLayer()
	p.layers()
	p.platforms()
	p.config()
}

// base takes the layout to begin with as an input.
func (p *imagePlan) base() {
	b := p.b
	name := b.StringOr("base", scratch)
	if name == scratch {
		if b.Has("base_tag") {
			p.fail("base_tag", "Tag of no base", "base_tag chooses an image of base, and there is none.")
		}
		return
	}
	p.spec.BaseTag = b.String("base_tag")
	p.spec.Base = path.Clean(name)
	for _, ref := range b.Values["base"].Refs {
		if ref.Path == p.spec.Base {
			tasks.AddInput(&p.step, engine.StepInput(ref.Path, ref.Step, ref.Path))
			return
		}
	}
	p.spec.Base = path.Clean(b.DirPath(name))
	if why := p.notThere(p.spec.Base); why != "" {
		p.fail("base", "No base", "%s Name an OCI layout of the project (skopeo copy docker://NAME oci:DIR makes one), an output of another stage, or %q.", why, scratch)
		return
	}
	tasks.AddInput(&p.step, engine.FileInput(p.spec.Base))
}

// notThere says why a path of the project cannot be read, or nothing.
func (p *imagePlan) notThere(name string) string {
	if path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return fmt.Sprintf("%q leaves the project.", name)
	}
	if !exists(p.b.Project.Files, name) {
		return fmt.Sprintf("There is no %q in the project.", name)
	}
	return ""
}

// annotations are of every manifest that is made.
func (p *imagePlan) annotations() {
	p.spec.Annotations = pairs(p.b.Map("annotations"))
	for _, a := range p.spec.Annotations {
		if a.Name == "" {
			p.fail("annotations", "Annotation without a name", "Every annotation has a name, such as \"org.opencontainers.image.source\".")
		}
	}
}

// sortPlatforms puts platforms in the order of an index.
func sortPlatforms(list []platform) {
	slices.SortFunc(list, func(a, b platform) int {
		return cmp.Or(cmp.Compare(a.OS, b.OS), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Variant, b.Variant))
	})
}
