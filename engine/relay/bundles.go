package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// A place is one bundle: where it lies in the tree of bundles.
type place struct {
	name string
	dir  string // "." if the tree itself is the bundle
	kind string
}

// file is the name in the tree of one of the bundle's files.
func (p place) file(name string) string { return path.Join(p.dir, name) }

// kindOf is "layout" for an OCI image layout that is finished, "volumes" for a
// directory with volumes, and "" for what is no bundle.
func (t tree) kindOf(dir string) string {
	if t.has(path.Join(dir, "oci-layout")) {
		if t.has(path.Join(dir, "index.json")) {
			return "layout"
		}
		return "" // the index is written last
	}
	entries, err := t.names(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".tar") {
			return "volumes"
		}
	}
	return ""
}

// bundleAt returns the bundle of that name.
func (h *Handler) bundleAt(name string) (place, error) {
	if h.o.Bundles == "" || !cleanName(name) || strings.Contains(name, "/") {
		return place{}, fs.ErrNotExist
	}
	if kind := h.bundles.kindOf("."); kind != "" {
		if name != h.rootName() {
			return place{}, fs.ErrNotExist
		}
		return place{name, ".", kind}, nil
	}
	kind := h.bundles.kindOf(name)
	if kind == "" {
		return place{}, fs.ErrNotExist
	}
	return place{name, name, kind}, nil
}

// rootName is the name of the tree itself, where it is the bundle.
func (h *Handler) rootName() string {
	name := filepath.Base(h.o.Bundles)
	if !cleanName(name) || strings.ContainsAny(name, `/:`) {
		return "bundle" // the root of a disk
	}
	return name
}

// places returns all bundles, by name.
func (h *Handler) places() ([]place, error) {
	if h.o.Bundles == "" {
		return nil, nil
	}
	if kind := h.bundles.kindOf("."); kind != "" {
		return []place{{h.rootName(), ".", kind}}, nil
	}
	entries, err := h.bundles.names(".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // not mounted now
	} else if err != nil {
		return nil, err
	}
	var all []place
	for _, e := range entries {
		if kind := h.bundles.kindOf(e.Name()); kind != "" {
			all = append(all, place{e.Name(), e.Name(), kind})
		}
	}
	return all, nil
}

// Bundles lists the bundles that are served.
func (h *Handler) Bundles(ctx context.Context) ([]Summary, error) {
	places, err := h.places()
	if err != nil {
		return nil, fmt.Errorf("list bundles: %w", err)
	}
	all := []Summary{}
	for _, p := range places {
		files, err := h.bundles.list(ctx, p.dir)
		if err != nil {
			return nil, fmt.Errorf("list bundle %s: %w", p.name, err)
		}
		s := Summary{Name: p.name, Kind: p.kind, Files: len(files)}
		for _, f := range files {
			s.Size += f.info.Size()
		}
		all = append(all, s)
	}
	return all, nil
}

// Prepare begins to hash what indexes need, so that the first client does not
// wait for it. It returns at once.
func (h *Handler) Prepare(ctx context.Context) error {
	places, err := h.places()
	if err != nil {
		return err
	}
	for _, p := range places {
		files, err := h.bundles.list(ctx, p.dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			if digestOf(f.path) == "" {
				h.sums.start(h.bundles, p.file(f.path), f.info)
			}
		}
	}
	return nil
}

func (h *Handler) serveBundles(w *pacedWriter, r *http.Request, rest string) error {
	if h.o.Bundles == "" {
		return refuse(http.StatusNotFound, "no bundles are served here")
	}
	if _, err := plainQuery(r, ""); err != nil {
		return err
	}
	if rest == "" {
		if !strings.HasSuffix(r.URL.Path, "/") {
			return redirect(w, "/bundles/")
		}
		all, err := h.Bundles(r.Context())
		if err != nil {
			return err
		}
		if wantsJSON(r) {
			return sendJSON(w, r, summaries{listFormat, all})
		}
		return sendPage(w, r, bundlesPage(all, baseURL(r)))
	}
	name, file, inside := strings.Cut(rest, "/")
	p, err := h.bundleAt(name)
	if err != nil {
		return refuse(http.StatusNotFound, "there is no bundle of that name; /bundles/ lists the existing ones")
	}
	switch {
	case !inside:
		return redirect(w, "/bundles/"+name+"/")
	case file == "":
		return h.bundleIndex(w, r, p)
	}
	return h.bundleFile(w, r, p, file)
}

func (h *Handler) bundleIndex(w *pacedWriter, r *http.Request, p place) error {
	x, err := h.index(r.Context(), h.bundles, p)
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		return sendJSON(w, r, x)
	}
	return sendPage(w, r, filesPage(x, "/bundles/"))
}

func (h *Handler) bundleFile(w *pacedWriter, r *http.Request, p place, name string) error {
	if strings.HasSuffix(name, "/") {
		return fs.ErrNotExist
	}
	etag := digestOf(name)
	if etag == "" {
		var err error
		if etag, err = h.etag(r, h.bundles, p.file(name)); err != nil {
			return err
		}
	}
	return h.sendFile(w, r, h.bundles, p.file(name), etag)
}

// etag returns the checksum of a file. A client that asks for no condition does
// not wait for it: the answer then has no ETag.
func (h *Handler) etag(r *http.Request, t tree, name string) (string, error) {
	f, info, err := t.open(name)
	if err != nil {
		return "", err
	}
	f.Close()
	conditional := r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Range") != ""
	wait := patience
	if !conditional {
		wait = patience / 10
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	sum, err := h.sums.start(t, name, info).wait(ctx)
	if errors.Is(err, errHashing) && !conditional {
		return "", nil
	}
	return sum, err
}

// digestOf is the SHA-256 that the name of a layout's blob says, or "". It is
// not checked here: who fetches it does.
func digestOf(name string) string {
	hex, ok := strings.CutPrefix(name, "blobs/sha256/")
	if !ok {
		return ""
	}
	if _, err := action.ParseHash(hex); err != nil {
		return ""
	}
	return hex
}

// index lists the files below a place with their checksums.
func (h *Handler) index(ctx context.Context, t tree, p place) (*Index, error) {
	files, err := t.list(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	under := make([]*hashing, len(files))
	for i, f := range files {
		if p.kind != "layout" || digestOf(f.path) == "" {
			under[i] = h.sums.start(t, p.file(f.path), f.info)
		}
	}
	x := &Index{Format: indexFormat, Name: p.name, Kind: p.kind, Files: []File{}}
	for i, f := range files {
		sum := digestOf(f.path)
		if under[i] != nil {
			if sum, err = under[i].wait(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", f.path, err)
			}
		}
		x.Files = append(x.Files, File{f.path, f.info.Size(), sum})
		x.Size += f.info.Size()
	}
	sortFiles(x.Files)
	return x, nil
}
