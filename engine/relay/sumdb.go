package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"
)

// Bounds of what is read of a carried checksum database.
const (
	maxLookup  = 64 << 10 // bytes of an answer to a lookup
	maxTile    = 64 << 10 // bytes of a tile
	maxLookups = 1 << 16  // files looked at for the latest tree
)

// A sumDB serves the checksum databases of a Handler's modules.
type sumDB struct{ *Handler }

// serve passes a carried checksum database on
// (go.dev/design/25530-sumdb#proxying-a-checksum-database). Nothing in it needs
// to be trusted: the go command checks signatures and proofs.
func (h sumDB) serve(w *pacedWriter, r *http.Request, name string) error {
	db, op := splitSumDB(name)
	if db == "" || !h.modules.there("sumdb/"+db) {
		return refuse(http.StatusNotFound, "not found: this checksum database was not carried here")
	}
	file := "sumdb/" + db + "/" + op
	switch kind, rest, _ := strings.Cut(op, "/"); kind {
	case "supported":
		return sendText(w, r, "")
	case "latest":
		return h.latestTree(w, r, db)
	case "lookup":
		return h.lookup(w, r, file, rest)
	default:
		return h.tile(w, r, db, op)
	}
}

// splitSumDB takes the name of a database, which may hold slashes, from what is
// asked of it. db is "" if nothing is.
func splitSumDB(name string) (db, op string) {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		rest := name[i+1:]
		switch first, below, more := strings.Cut(rest, "/"); {
		case (first == "supported" || first == "latest") && !more,
			(first == "lookup" || first == "tile") && below != "":
			return name[:i], rest
		}
	}
	return "", ""
}

func (h sumDB) lookup(w *pacedWriter, r *http.Request, file, wanted string) error {
	mod, version, ok := strings.Cut(wanted, "@")
	_, errMod := module.UnescapePath(mod)
	_, errVersion := module.UnescapeVersion(version)
	if !ok || errMod != nil || errVersion != nil || strings.Contains(version, "/") {
		return refuse(http.StatusGone, "not found: %.200q is not a module and version", wanted)
	}
	err := h.sendPlain(w, r, file, maxLookup)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, "not found: no proof of %s was carried here", wanted)
	}
	return err
}

func (h sumDB) sendPlain(w *pacedWriter, r *http.Request, file string, limit int64) error {
	b, err := h.modules.read(file, limit)
	if err != nil {
		return err
	}
	return sendText(w, r, string(b))
}

// tile answers with a tile of hashes. One that is not full is the beginning of
// the full one, or of one with more in it, so that any of them will do.
func (h sumDB) tile(w *pacedWriter, r *http.Request, db, op string) error {
	t, err := tlog.ParseTilePath(op)
	if err != nil || t.L < 0 {
		return fs.ErrNotExist
	}
	want := t.W * tlog.HashSize
	for _, name := range h.tilesWith(db, t) {
		b, err := h.modules.read("sumdb/"+db+"/"+name, maxTile)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) < want {
			continue
		} else if err != nil {
			return err
		}
		return sendBytes(w, r, "application/octet-stream", b[:want])
	}
	return refuse(http.StatusNotFound, "not found: this tile was not carried here")
}

// tilesWith names the files that begin with what t holds, t's own first.
func (h sumDB) tilesWith(db string, t tlog.Tile) []string {
	names := []string{t.Path()}
	full := t
	full.W = 1 << t.H
	if t.W == full.W {
		return names
	}
	names = append(names, full.Path())
	folder := full.Path() + ".p"
	entries, err := h.modules.names("sumdb/" + db + "/" + folder)
	if err != nil {
		return names
	}
	for _, e := range entries {
		if w, err := strconv.Atoi(e.Name()); err == nil && w > t.W {
			names = append(names, path.Join(folder, e.Name()))
		}
	}
	return names
}

// latestNotes remembers the newest trees that lookups told of, where a database
// came without its latest. The zero value is ready.
type latestNotes struct {
	mu    sync.Mutex
	found map[string]latestNote
}

type latestNote struct {
	text string
	at   time.Time
}

// latestTree answers with the latest signed tree, or the newest that stands in
// an answer to a lookup.
func (h sumDB) latestTree(w *pacedWriter, r *http.Request, db string) error {
	err := h.sendPlain(w, r, "sumdb/"+db+"/latest", maxLookup)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h.latest.mu.Lock()
	defer h.latest.mu.Unlock()
	known, ok := h.latest.found[db]
	if !ok || time.Since(known.at) > time.Minute {
		text, err := h.newestTree(r, db)
		if err != nil {
			return err
		}
		known = latestNote{text, time.Now()}
		if h.latest.found == nil {
			h.latest.found = map[string]latestNote{}
		}
		h.latest.found[db] = known
	}
	if known.text == "" {
		return refuse(http.StatusNotFound, "not found: no tree of this checksum database was carried here")
	}
	return sendText(w, r, known.text)
}

func (h sumDB) newestTree(r *http.Request, db string) (string, error) {
	files, err := h.modules.list(r.Context(), "sumdb/"+db+"/lookup")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("find the latest tree of %s: %w", db, err)
	}
	newest, size := "", int64(-1)
	for _, f := range files[:min(len(files), maxLookups)] {
		b, err := h.modules.read("sumdb/"+db+"/lookup/"+f.path, maxLookup)
		if err != nil {
			continue
		}
		_, _, note, err := tlog.ParseRecord(b)
		if err != nil {
			continue
		}
		if t, err := tlog.ParseTree(note); err == nil && t.N > size {
			newest, size = string(note), t.N
		}
	}
	return newest, nil
}
