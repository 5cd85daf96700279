package relay

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
)

// sumsFile is the list of checksums among the artifacts.
const sumsFile = "checksums.txt"

func sortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

func (h *Handler) serveArtifacts(w *pacedWriter, r *http.Request, name string) error {
	if h.o.Artifacts == "" {
		return refuse(http.StatusNotFound, "no artifacts are served here")
	}
	if name == "" && !strings.HasSuffix(r.URL.Path, "/") {
		return redirect(w, "/artifacts/")
	}
	sum, err := plainQuery(r, "checksum")
	switch {
	case err != nil:
		return err
	case sum && (name == "" || name == sumsFile):
		return refuse(http.StatusBadRequest, "%s has the checksums of all", sumsFile)
	case name == "":
		return h.artifactsIndex(w, r)
	case strings.HasSuffix(name, "/"):
		return fs.ErrNotExist
	case sum:
		return h.artifactSum(w, r, name)
	case name == sumsFile && !h.artifacts.has(name):
		return h.artifactSums(w, r)
	}
	etag, err := h.etag(r, h.artifacts, name)
	if err != nil {
		return err
	}
	return h.sendFile(w, r, h.artifacts, name, etag)
}

func (h *Handler) artifactsIndex(w *pacedWriter, r *http.Request) error {
	x, err := h.artifactFiles(r.Context())
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		return sendJSON(w, r, x)
	}
	return sendPage(w, r, filesPage(x, "/"))
}

// artifactFiles lists the artifacts; there are none where the directory is not
// there yet.
func (h *Handler) artifactFiles(ctx context.Context) (*Index, error) {
	x, err := h.index(ctx, h.artifacts, place{"artifacts", ".", "artifacts"})
	if errors.Is(err, fs.ErrNotExist) && !h.artifacts.there(".") {
		return &Index{Format: indexFormat, Name: "artifacts", Kind: "artifacts", Files: []File{}}, nil
	}
	return x, err
}

// artifactSum answers with one line of checksums.txt.
func (h *Handler) artifactSum(w *pacedWriter, r *http.Request, name string) error {
	f, info, err := h.artifacts.open(name)
	if err != nil {
		return err
	}
	f.Close()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	sum, err := h.sums.start(h.artifacts, name, info).wait(ctx)
	if err != nil {
		return err
	}
	return sendText(w, r, sum+"  "+name+"\n")
}

// artifactSums makes the list where the directory has none.
func (h *Handler) artifactSums(w *pacedWriter, r *http.Request) error {
	x, err := h.artifactFiles(r.Context())
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range x.Files {
		b.WriteString(f.SHA256 + "  " + f.Path + "\n")
	}
	return sendText(w, r, b.String())
}
