// Package gobinary finds the Go programs in what is released: in files,
// archives, packages and container images. It is for stage types that say
// what something is made of.
//
// Everything that is read may come from elsewhere: sizes and depths are
// bounded.
package gobinary

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/airbuild/airbuild/internal/lists"
)

// Limits of what is looked into.
const (
	maxProgram = 1 << 30 // bytes of one program, which is in memory
	maxDepth   = 4       // archives in archives
	maxTotal   = 64 << 30
)

// A Program is a Go program that was found.
type Program struct {
	// Path is where it lies inside: "usr/bin/app"; empty if the file is the
	// program.
	Path   string
	SHA256 string // lower-case hexadecimal
	Size   int64
	Info   *debug.BuildInfo
}

// Platform is what the program was built for, as GOOS/GOARCH.
func (p *Program) Platform() string { return p.Setting("GOOS") + "/" + p.Setting("GOARCH") }

// Setting is a setting of the build, or "".
func (p *Program) Setting(key string) string {
	for _, s := range p.Info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// A File is what was looked into.
type File struct {
	Programs []Program // sorted by path, platform and digest; each once
	// SHA256 of the file, and its size; of a directory they are unset.
	SHA256 string
	Size   int64
	Dir    bool
	Image  bool // a container image
	// Bases are the digests of the images that it was made from, as its
	// manifests say, sorted: "sha256:…".
	Bases []string
}

// Find looks into a file or directory. What cannot be unpacked although it
// looks like an archive is an error; what is no archive and no program is not.
func Find(ctx context.Context, in fs.FS, name string) (*File, error) {
	info, err := fs.Stat(in, name)
	if err != nil {
		return nil, err
	}
	s := &search{ctx: ctx, left: maxTotal}
	out := &File{Dir: info.IsDir()}
	if info.IsDir() {
		err = s.dir(in, name)
	} else {
		out.SHA256, out.Size, err = s.top(in, name)
	}
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", name, err)
	}
	slices.SortFunc(s.found, func(a, b Program) int {
		return strings.Compare(a.Path+"\x00"+a.Platform()+"\x00"+a.SHA256, b.Path+"\x00"+b.Platform()+"\x00"+b.SHA256)
	})
	out.Image = s.image
	out.Bases = lists.Unique(s.bases)
	out.Programs = slices.CompactFunc(s.found, func(a, b Program) bool { return a.Path == b.Path && a.SHA256 == b.SHA256 })
	return out, nil
}

type search struct {
	ctx   context.Context
	left  int64 // bytes that may still be unpacked
	found []Program
	image bool
	bases []string
}

func (s *search) dir(in fs.FS, name string) error {
	return fs.WalkDir(in, name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := in.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		inner := strings.TrimPrefix(p, name+"/")
		s.image = s.image || inner == "oci-layout"
		if err := s.look(place(inner), f, 1); err != nil {
			return fmt.Errorf("%s: %w", inner, err)
		}
		return nil
	})
}

// top looks into one file and hashes it on the way.
func (s *search) top(in fs.FS, name string) (sum string, size int64, err error) {
	f, err := in.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n := &counter{}
	r := io.TeeReader(f, io.MultiWriter(h, n))
	if err := s.look("", r, 0); err != nil {
		return "", 0, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), n.n, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// place is the path of what lies in a container's layer: blobs have no names
// that say something.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".gz"), ".tar")
	if len(base) == 64 && strings.Trim(base, "0123456789abcdef") == "" || strings.HasPrefix(name, "data.tar") {
		return ""
	}
	return name
}

// Magic numbers of what is looked into.
var programs = [...]string{"\x7fELF", "MZ", "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf"}

// look reads r, which lies at path inside, as its first bytes say.
func (s *search) look(at string, r io.Reader, depth int) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	b := bufio.NewReaderSize(&limit{s, r}, 64<<10)
	head, err := b.Peek(512)
	if err != nil && err != io.EOF {
		return err
	}
	is := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	for _, magic := range programs {
		if is(magic) {
			return s.program(at, b)
		}
	}
	if depth > maxDepth {
		return nil
	}
	switch {
	case is("\x1f\x8b"):
		z, err := gzip.NewReader(b)
		return s.unpacked(at, z, err, depth)
	case is("\x28\xb5\x2f\xfd"):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		return s.unpacked(at, z, nil, depth)
	case is("\xfd7zXZ\x00"):
		z, err := xz.NewReader(b)
		return s.unpacked(at, z, err, depth)
	case is("PK\x03\x04"):
		return s.zip(at, b, depth)
	case is("{") && depth > 0:
		return s.manifest(b)
	case is("!<arch>\n"):
		return s.ar(at, b, depth)
	case len(head) == 512 && string(head[257:262]) == "ustar":
		return s.tar(at, b, depth)
	}
	return nil
}

// unpacked looks at what a compressor packed; one file alone counts too.
func (s *search) unpacked(at string, r io.Reader, err error, depth int) error {
	if err != nil {
		return err
	}
	return s.look(at, r, depth+1)
}

// A limit stops what unpacks to more than anybody would release.
type limit struct {
	s *search
	r io.Reader
}

func (l *limit) Read(p []byte) (int, error) {
	if l.s.left <= 0 {
		return 0, errors.New("it unpacks to too much")
	}
	n, err := l.r.Read(p)
	l.s.left -= int64(n)
	return n, err
}

func (s *search) program(at string, r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxProgram+1))
	if err != nil {
		return err
	}
	if len(b) > maxProgram {
		return fmt.Errorf("the program %s has more than %d bytes", at, maxProgram)
	}
	info, err := buildinfo.Read(bytes.NewReader(b))
	if err != nil {
		return nil // a program of another language
	}
	sum := sha256.Sum256(b)
	s.found = append(s.found, Program{Path: at, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b)), Info: info})
	return nil
}

// maxManifest bounds what may be an image's manifest, in bytes.
const maxManifest = 4 << 20

// manifest notes the base of an image, if r is a manifest that names one.
func (s *search) manifest(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return err
	}
	var m struct{ Annotations map[string]string }
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	hash, ok := strings.CutPrefix(m.Annotations["org.opencontainers.image.base.digest"], "sha256:")
	if ok && len(hash) == 64 && strings.Trim(hash, "0123456789abcdef") == "" {
		s.bases = append(s.bases, "sha256:"+hash)
	}
	return nil
}

func (s *search) tar(at string, r io.Reader, depth int) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if name := path.Clean(h.Name); depth == 0 && (name == "oci-layout" || name == "manifest.json") {
			s.image = true
		}
		if err := s.look(path.Join(at, place(h.Name)), t, depth+1); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func (s *search) zip(at string, r io.Reader, depth int) error {
	b, err := io.ReadAll(io.LimitReader(r, maxProgram+1))
	if err != nil {
		return err
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	for _, m := range z.File {
		if !m.Mode().IsRegular() {
			continue
		}
		f, err := m.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		err = s.look(path.Join(at, place(m.Name)), f, depth+1)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// ar looks into a Debian package: an ar archive with tar files in it.
func (s *search) ar(at string, r *bufio.Reader, depth int) error {
	if _, err := r.Discard(8); err != nil {
		return err
	}
	for {
		var h [60]byte
		if _, err := io.ReadFull(r, h[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(h[48:58])), 10, 64)
		if err != nil || size < 0 {
			return errors.New("a member of the ar archive has no size")
		}
		member := io.LimitReader(r, size)
		name := strings.TrimRight(strings.TrimSpace(string(h[:16])), "/")
		if err := s.look(path.Join(at, place(name)), member, depth+1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := io.Copy(io.Discard, member); err != nil {
			return err
		}
		if size%2 == 1 {
			if _, err := r.Discard(1); err != nil && err != io.EOF {
				return err
			}
		}
	}
}
