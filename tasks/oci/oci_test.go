package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

var commitTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// program is enough of an ELF file to see what it is for. A loader is asked
// for unless it is empty.
func program(machine uint16, loader string) []byte {
	b := make([]byte, 120)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[18:], machine)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	if loader != "" {
		le.PutUint16(b[56:], 1)
		le.PutUint32(b[64:], 3)
		le.PutUint64(b[64+8:], 120)
		le.PutUint64(b[64+32:], uint64(len(loader)+1))
		b = append(append(b, loader...), 0)
	}
	return b
}

func sample() fstest.MapFS {
	return fstest.MapFS{
		"dist/app_linux_amd64": {Data: program(62, ""), Mode: 0o755},
		"dist/app_linux_arm64": {Data: program(183, ""), Mode: 0o755},
		"etc/ca.pem":           {Data: []byte("certificates")},
		"zoneinfo.zip":         {Data: []byte("zones")},
		"share/a":              {Data: []byte("a")},
		"share/run":            {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"share/empty":          {Mode: fs.ModeDir | 0o755},
		"share/link":           {Data: []byte("a"), Mode: fs.ModeSymlink | 0o777},
	}
}

// built is a go_build stage for both platforms, and for Windows.
func built(platforms ...string) tasks.Value {
	sv := tasks.StageValue{Name: "bin", Type: "go_build"}
	for i, name := range platforms {
		os, arch, _ := strings.Cut(name, "/")
		out := "dist/app_" + os + "_" + arch
		sv.Steps = append(sv.Steps, tasks.StepOutputs{ID: engine.StepID(7 + i), Outputs: []string{out}, Step: &engine.Step{
			Name: "bin[" + name + "]",
			Command: action.Command{
				Arguments: []string{"go", "build", "-o", out, "--", "./cmd/app"},
				Env:       []action.EnvVar{{Name: "GOARCH", Value: arch}, {Name: "GOOS", Value: os}},
			},
		}})
	}
	return tasks.Value{Cty: cty.StringVal("bin"), Stages: []tasks.StageValue{sv}, Range: hcl.Range{Filename: "Airbuildfile"}}
}

func sampleBlock(formats ...string) *tasks.Block {
	b := tasktest.Block("oci_image", "image", sample())
	b.Project.Source.Time = commitTime
	b.Values["binaries"] = built("linux/arm64", "linux/amd64", "windows/amd64")
	tasktest.Set(b, "format", formats)
	tasktest.Set(b, "certificates", tasktest.Files("etc/ca.pem"))
	tasktest.Set(b, "timezones", tasktest.Files("zoneinfo.zip"))
	tasktest.Set(b, "directories", map[string]string{"/tmp": "1777", "/data": "0750 65532:65532"})
	tasktest.Set(b, "user", "65532:65532")
	tasktest.Set(b, "workdir", "/data")
	tasktest.Set(b, "labels", map[string]string{"b": "2", "a": "1"})
	tasktest.Set(b, "annotations", map[string]string{"org.opencontainers.image.source": "https://example.com/app"})
	tasktest.Set(b, "environment", map[string]string{"MODE": "release"})
	tasktest.Set(b, "ports", []string{"8080", "53/udp"})
	tasktest.Set(b, "volumes", []string{"/data"})
	tasktest.Set(b, "stop_signal", "SIGINT")
	tasktest.Set(b, "cmd", []string{"serve"})
	tasktest.Set(b, "tags", []string{"registry.example/app:v1", "registry.example/app"})
	b.Labels = map[string][]string{"layer": {"share"}}
	tasktest.Set(b, "layer.share.files", tasktest.Files("share"))
	tasktest.Set(b, "layer.share.to", "/usr/share/")
	tasktest.Set(b, "layer.share.owner", "10:20")
	return b
}

func build(t *testing.T, b *tasks.Block, in fs.FS) (dir, log string) {
	t.Helper()
	s := tasktest.Step(t, imageTask{}, b)
	dir, log, err := tasktest.Run(t, Tools(), s, in)
	if err != nil {
		t.Fatalf("run: %v\n%s", err, log)
	}
	for _, o := range s.Command.OutputPaths {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(o))); err != nil {
			t.Error(err)
		}
	}
	return dir, log
}

// digestOf is of all files below dir, names and modes included.
func digestOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(h, "%s %v\n", filepath.ToSlash(rel), info.Mode()&0o111 != 0)
		b, err := os.ReadFile(p)
		h.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The digest is part of the promise that a carried cache stays good: if it
// changes, so must imageVersion.
const frozen = "baff00d5c876d7182ec062123e8dfb6c8833668d7d4a23ad77be77e9ac5b104d"

func TestSameBytes(t *testing.T) {
	formats := []string{layoutDir, layoutArchive, dockerArchive}
	one, log := build(t, sampleBlock(formats...), sample())
	two, _ := build(t, sampleBlock(formats...), sample())
	a := digestOf(t, one)
	if b := digestOf(t, two); a != b {
		t.Errorf("two runs, two images: %s %s", a, b)
	}
	if a != frozen {
		t.Errorf("digest %s, frozen %s", a, frozen)
	}
	if !strings.Contains(log, "linux/amd64 sha256:") || !strings.Contains(log, "index sha256:") {
		t.Errorf("log: %s", log)
	}
	entries, err := os.ReadDir(filepath.Join(one, "dist"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "image.oci image.oci.tar image_linux_amd64.docker.tar image_linux_arm64.docker.tar" {
		t.Error(got)
	}
}

// open reads back what was written, and holds every digest and size in it
// against the bytes.
func open(t *testing.T, dir, name string) v1.ImageIndex {
	t.Helper()
	ix, err := openLayout(t.Context(), t.TempDir(), os.DirFS(dir), name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := images(ix, 0)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d images, %v", len(list), err)
	}
	for _, f := range list {
		if err := validate.Image(f.image); err != nil {
			t.Errorf("%s: %v", f.platform, err)
		}
	}
	return ix
}

func TestContent(t *testing.T) {
	dir, _ := build(t, sampleBlock(layoutDir, layoutArchive), sample())
	ix := open(t, dir, "dist/image.oci")
	m, err := ix.IndexManifest()
	if err != nil || len(m.Manifests) != 2 || m.Manifests[0].Digest != m.Manifests[1].Digest || !m.Manifests[0].MediaType.IsIndex() {
		t.Fatalf("%+v, %v", m, err)
	}
	if a := m.Manifests[1].Annotations; a[refName] != "v1" || a[fullName] != "registry.example/app:v1" {
		t.Errorf("%v", a)
	}
	img, err := choose(open(t, dir, "dist/image.oci.tar"), "v1", platform{OS: "linux", Arch: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Cmd":["serve"],"Entrypoint":["/usr/bin/app"],"Env":["MODE=release","ZONEINFO=/usr/share/zoneinfo.zip","PATH=` + defaultPath + `"],` +
		`"Labels":{"a":"1","b":"2"},"User":"65532:65532","Volumes":{"/data":{}},"WorkingDir":"/data","ExposedPorts":{"53/udp":{},"8080/tcp":{}},"StopSignal":"SIGINT"}`
	if string(text) != want {
		t.Errorf("config\n%s, want\n%s", text, want)
	}
	if c.OS != "linux" || c.Architecture != "arm64" || !c.Created.Time.Equal(commitTime) || len(c.History) != 3 || c.Author != "" {
		t.Errorf("%+v", c)
	}
	got := members(t, img)
	for name, want := range map[string]string{
		"tmp/": "drwxrwxrwx 0:0 ", "data/": "drwxr-x--- 65532:65532 ", "etc/ssl/certs/ca-certificates.crt": "-rw-r--r-- 0:0 certificates",
		"usr/share/zoneinfo.zip": "-rw-r--r-- 0:0 zones", "usr/share/share/a": "-rw-r--r-- 10:20 a", "usr/share/share/run": "-rwxr-xr-x 10:20 #!/bin/sh\n",
		"usr/share/share/empty/": "drwxr-xr-x 10:20 ", "usr/share/share/link": "-rwxrwxrwx 10:20 a", "usr/bin/app": "-rwxr-xr-x 0:0 " + string(program(183, "")),
	} {
		if got[name] != want {
			t.Errorf("%s: %.60q, want %.60q", name, got[name], want)
		}
	}
	if len(got) != 9 {
		t.Errorf("%d members", len(got))
	}
}

// members are all entries of an image's layers.
func members(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		last := ""
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if h.Name <= last || h.Uname != "" || !h.ModTime.Equal(commitTime) {
				t.Errorf("header %+v after %s", h, last)
			}
			last = h.Name
			body, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			kind := fs.FileMode(h.Mode).Perm()
			if h.Typeflag == tar.TypeDir {
				kind |= fs.ModeDir
			}
			out[h.Name] = fmt.Sprintf("%v %d:%d %s%s", kind, h.Uid, h.Gid, h.Linkname, body)
		}
		r.Close()
	}
	return out
}

// based is a project with a base that an earlier stage made.
func based(t *testing.T, format string) (fs.FS, string) {
	t.Helper()
	b := tasktest.Block("oci_image", "base", sample())
	b.Project.Source.Time = commitTime
	tasktest.Set(b, "platforms", []string{"linux/amd64", "linux/arm64"})
	tasktest.Set(b, "environment", map[string]string{"FROM": "base", "MODE": "base"})
	tasktest.Set(b, "entrypoint", []string{"/base"})
	tasktest.Set(b, "cmd", []string{"base"})
	tasktest.Set(b, "tags", []string{"base:v1"})
	tasktest.Set(b, "certificates", tasktest.Files("etc/ca.pem"))
	tasktest.Set(b, "format", []string{format})
	dir, _ := build(t, b, sample())
	for name, f := range sample() {
		if !f.Mode.IsRegular() {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, f.Data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return os.DirFS(dir), map[string]string{layoutDir: "dist/base.oci", layoutArchive: "dist/base.oci.tar"}[format]
}

func onBase(name string) *tasks.Block {
	b := tasktest.Block("oci_image", "image", sample())
	b.Project.Source.Time = commitTime
	b.Values["binaries"] = built("linux/arm64", "linux/amd64")
	b.Values["base"] = tasks.Value{Cty: cty.StringVal(name), Refs: []tasks.Ref{{Step: 3, Path: name}}}
	tasktest.Set(b, "environment", map[string]string{"MODE": "own"})
	return b
}

func TestBase(t *testing.T) {
	for _, format := range []string{layoutDir, layoutArchive} {
		in, name := based(t, format)
		b := onBase(name)
		s := tasktest.Step(t, imageTask{}, b)
		if !slices.ContainsFunc(s.Inputs, func(i engine.Input) bool { return i.Kind == engine.FromStep && i.Step == 3 }) {
			t.Errorf("inputs %+v", s.Inputs)
		}
		dir, _ := build(t, b, in)
		img, err := choose(open(t, dir, "dist/image.oci.tar"), "", platform{OS: "linux", Arch: "amd64"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Config.Env, " "); got != "FROM=base MODE=own PATH="+defaultPath {
			t.Error(got)
		}
		if fmt.Sprint(c.Config.Entrypoint, c.Config.Cmd, len(c.History)) != "[/usr/bin/app] [] 2" {
			t.Errorf("%+v", c)
		}
		if got := members(t, img); len(got) != 2 {
			t.Errorf("%v", got)
		}
		m, err := img.Manifest()
		if err != nil || !strings.HasPrefix(m.Annotations[baseDigest], "sha256:") {
			t.Errorf("%v, %v", m.Annotations, err)
		}
	}
}

func TestBadBase(t *testing.T) {
	in, name := based(t, layoutDir)
	list, err := fs.Glob(in, name+"/blobs/sha256/*")
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	broken := fstest.MapFS{"dist/app_linux_amd64": sample()["dist/app_linux_amd64"], "dist/app_linux_arm64": sample()["dist/app_linux_arm64"]}
	for _, p := range append(list, name+"/index.json", name+"/oci-layout") {
		b, err := fs.ReadFile(in, p)
		if err != nil {
			t.Fatal(err)
		}
		broken[p] = &fstest.MapFile{Data: b}
	}
	for _, tt := range []struct {
		edit  func(*tasks.Block, fstest.MapFS)
		words string
	}{
		{func(_ *tasks.Block, m fstest.MapFS) { m[list[0]] = &fstest.MapFile{Data: []byte("x")} }, "is damaged: its SHA-256 is"},
		{func(_ *tasks.Block, m fstest.MapFS) { delete(m, name+"/index.json") }, "it is not an OCI layout: it has no index.json"},
		{func(_ *tasks.Block, m fstest.MapFS) { m[name+"/index.json"] = &fstest.MapFile{Data: []byte("{")} }, "base dist/base.oci: unexpected end of JSON input"},
		{func(b *tasks.Block, _ fstest.MapFS) { tasktest.Set(b, "base_tag", "v2") }, `no image with the tag "v2"; it has ["v1"]`},
		{func(b *tasks.Block, _ fstest.MapFS) {
			b.Values["binaries"] = built("linux/s390x")
		}, "it has no image for linux/s390x; it has linux/amd64, linux/arm64"},
	} {
		m := fstest.MapFS{"dist/app_linux_s390x": {Data: program(22, "")}}
		for k, v := range broken {
			m[k] = v
		}
		b := onBase(name)
		tt.edit(b, m)
		s := tasktest.Step(t, imageTask{}, b)
		if _, _, err := tasktest.Run(t, Tools(), s, m); err == nil || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%v, want %q", err, tt.words)
		}
	}
}

func TestMerge(t *testing.T) {
	dirs := fstest.MapFS{}
	var names []tasks.PathValue
	for _, arch := range []string{"arm64", "amd64"} {
		b := tasktest.Block("oci_image", "image", sample())
		b.Cell, b.Platform = "linux/"+arch, &tasks.Platform{OS: "linux", Arch: arch}
		b.Values["binaries"] = built("linux/" + arch)
		tasktest.Set(b, "tags", []string{"a:1", "a:2"})
		dir, _ := build(t, b, sample())
		file := "dist/image_linux_" + arch + ".oci.tar"
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		dirs[file] = &fstest.MapFile{Data: text}
		names = append(names, tasktest.Made(file)...)
	}
	b := tasktest.Block("oci_image", "all", sample())
	tasktest.Set(b, "images", names)
	tasktest.Set(b, "annotations", map[string]string{"k": "v"})
	dir, _ := build(t, b, dirs)
	list, err := images(open(t, dir, "dist/all.oci.tar"), 0)
	if err != nil || len(list) != 2 || list[0].platform.Arch != "amd64" || list[0].desc.Platform.Architecture != "amd64" {
		t.Fatalf("%+v, %v", list, err)
	}
	tasktest.Set(b, "images", append(names, tasktest.Made("dist/again.oci.tar")...))
	dirs["dist/again.oci.tar"] = dirs["dist/image_linux_arm64.oci.tar"]
	s := tasktest.Step(t, imageTask{}, b)
	if _, _, err := tasktest.Run(t, Tools(), s, dirs); err == nil || !strings.Contains(err.Error(), "both have an image for linux/arm64") {
		t.Error(err)
	}
	tasktest.Set(b, "user", "0")
	tasktest.WantError(t, imageTask{}, b, "set user in the stages that make them")
}

func TestPrograms(t *testing.T) {
	for _, tt := range []struct {
		content []byte
		words   string // of the error, or of the log after "log:"
	}{
		{program(183, ""), "is a program for EM_AARCH64, which does not run on linux/amd64"},
		{[]byte("MZ\x90"), "program for Windows"},
		{[]byte{0xcf, 0xfa, 0xed, 0xfe, 7}, "program for macOS"},
		{[]byte("\x7fELF"), "header is cut off"},
		{program(62, "/lib64/ld-linux-x86-64.so.2"), "log:needs /lib64/ld-linux-x86-64.so.2, which scratch has not"},
		{[]byte("#!/bin/sh\n"), "log:linux/amd64 sha256:"},
	} {
		b := tasktest.Block("oci_image", "image", sample())
		b.Values["binaries"] = built("linux/amd64")
		s := tasktest.Step(t, imageTask{}, b)
		_, log, err := tasktest.Run(t, Tools(), s, fstest.MapFS{"dist/app_linux_amd64": {Data: tt.content}})
		words, inLog := strings.CutPrefix(tt.words, "log:")
		if inLog && (err != nil || !strings.Contains(log, words)) || !inLog && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%v, %s, want %q", err, log, tt.words)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		attr  string
		value any
		words string
	}{
		{"platforms", []string{"linux"}, "write os/arch"},
		{"platforms", []string{"windows/amd64"}, "images are made for Linux"},
		{"platforms", []string{"linux/amd64", "linux/s390x"}, "binaries has none for linux/s390x; it has linux/arm64, windows/amd64"},
		{"binary", "bin/app", "begin it with a slash"},
		{"binary", "/usr/../app", "not a plain path"},
		{"base", "nowhere", `There is no "nowhere" in the project`},
		{"base", "../x", "leaves the project"},
		{"base_tag", "x", "there is none"},
		{"directories", map[string]string{"/tmp": "x"}, "up to 7777 in octal"},
		{"directories", map[string]string{"tmp": "1777"}, "begin it with a slash"},
		{"directories", map[string]string{"/tmp": "1777 root"}, "as numbers"},
		{"directories", map[string]string{"/tmp": ""}, "write its mode"},
		{"environment", map[string]string{"A=B": "c"}, "Not the name of a variable"},
		{"workdir", "data", "begin it with a slash"},
		{"volumes", []string{"data"}, "begin it with a slash"},
		{"ports", []string{"http"}, `write "8080"`},
		{"ports", []string{"70000"}, "1 to 65535"},
		{"stop_signal", "int", "Write its name"},
		{"tags", []string{"App:v1"}, "in lower case"},
		{"tags", []string{"app@sha256:00"}, "names a digest"},
		{"output", "image.oci.tar", "remove \".tar\""},
		{"compression", "zstd", "docker load reads no zstd"},
		{"annotations", map[string]string{"": "x"}, "without a name"},
		{"layer.share.to", "share", "begin it with a slash"},
		{"layer.share.files", tasktest.Files(), "names no file"},
		{"layer.share.files", tasktest.Files("."), "Whole project"},
		{"layer.share.files", tasktest.Files("a/x", "b/x"), "would both be /usr/share/x"},
		{"layer.share.mode", "999", "octal"},
		{"layer.share.owner", "root", "as numbers"},
	} {
		b := sampleBlock(dockerArchive)
		tasktest.Set(b, tt.attr, tt.value)
		tasktest.WantError(t, imageTask{}, b, tt.words)
	}
	b := sampleBlock(layoutDir)
	tasktest.Set(b, "layer.share.files", tasktest.Files("a", "b"))
	tasktest.Set(b, "layer.share.to", "/x")
	tasktest.WantError(t, imageTask{}, b, "Put a slash at the end")
	b = sampleBlock(layoutDir)
	b.Values["binaries"] = built("darwin/arm64")
	tasktest.WantError(t, imageTask{}, b, "binaries has darwin/arm64")
	b = sampleBlock(layoutDir)
	delete(b.Values, "binaries")
	tasktest.Set(b, "binary", "/app")
	tasktest.WantError(t, imageTask{}, b, "Path of no program")
	b = sampleBlock(layoutDir)
	b.Values["binaries"] = built("linux/amd64", "linux/amd64")
	tasktest.WantError(t, imageTask{}, b, "would both be /usr/bin/app")
	b = tasktest.Block("oci_image", "all", sample())
	tasktest.Set(b, "images", tasktest.Files("a"))
	tasktest.Set(b, "format", []string{dockerArchive})
	tasktest.WantError(t, imageTask{}, b, "docker-archive holds the image of one platform")
}

func TestLayerNames(t *testing.T) {
	in := fstest.MapFS{"a/x": {Data: []byte("1")}, "b": {Data: []byte("2")}, "c/.wh.x": {}}
	for _, tt := range []struct {
		files []file
		want  string
	}{
		{[]file{{Path: "a", To: ""}}, "x"},
		{[]file{{Path: "a", To: "opt"}}, "opt/x"},
		{[]file{{Path: "b", To: "x"}, {Path: "a", To: ""}}, "two things are called /x"},
		{[]file{{Path: "b", To: "opt"}, {Path: "a", To: "opt"}}, "/opt is a file, but /opt/x is below it"},
		{[]file{{Path: "c", To: "c"}}, "means that something is deleted"},
		{[]file{{Path: "b", To: ""}}, "cannot be the image's root"},
		{[]file{{Path: "gone", To: "x"}}, "read gone"},
	} {
		list, err := (&layer{File: tt.files}).members(in)
		got := fmt.Sprint(err)
		if err == nil {
			got = list[0].name
		}
		if err == nil && got != tt.want || !strings.Contains(got, tt.want) {
			t.Errorf("%v: %s, want %s", tt.files, got, tt.want)
		}
	}
}

func TestVariants(t *testing.T) {
	for _, tt := range [][3]string{
		{"arm", "", "v7"}, {"arm", "6", "v6"}, {"arm", "v7,softfloat", "v7"}, {"amd64", "v1", ""}, {"amd64", "v3", "v3"},
		{"arm64", "v8.2", ""}, {"386", "sse2", ""},
	} {
		if got := variant(tt[0], tt[1]); got != tt[2] {
			t.Errorf("variant(%s, %s) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

// TestSpec freezes the last argument of the command: keys hang on it.
func TestSpec(t *testing.T) {
	b := tasktest.Block("oci_image", "image", sample())
	b.Values["binaries"] = built("linux/amd64")
	got := tasktest.Step(t, imageTask{}, b).Command.Arguments
	const want = `[oci_image 1 {"output":"dist/image","formats":["oci-archive"],"time":0,"platforms":[{"os":"linux","arch":"amd64","programs":[{"path":"dist/app_linux_amd64","to":"usr/bin/app"}]}],"compression":"gzip","config":{"entrypoint":["/usr/bin/app"]}}]`
	if s := strings.Replace(fmt.Sprint(got), "airbuild:oci-image", "oci_image", 1); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
}

// TestSkopeo lets a program that users have read what we wrote.
func TestSkopeo(t *testing.T) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("this host has no skopeo to read images with")
	}
	dir, _ := build(t, sampleBlock(layoutDir, layoutArchive, dockerArchive), sample())
	for _, image := range []string{"oci:image.oci:v1", "oci-archive:image.oci.tar:latest", "docker-archive:image_linux_arm64.docker.tar"} {
		c := exec.Command("skopeo", "inspect", "--override-os=linux", "--override-arch=arm64", image)
		c.Dir = filepath.Join(dir, "dist")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", image, err, out)
			continue
		}
		if !bytes.Contains(out, []byte(`"Architecture": "arm64"`)) || !bytes.Contains(out, []byte("2026-03-04T05:06:07Z")) {
			t.Errorf("%s: %s", image, out)
		}
	}
	c := exec.Command("skopeo", "copy", "--all", "--insecure-policy", "oci:image.oci:v1", "oci:"+filepath.Join(t.TempDir(), "copy"))
	c.Dir = filepath.Join(dir, "dist")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("copy: %v: %s", err, out)
	}
}
