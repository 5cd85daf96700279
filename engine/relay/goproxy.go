package relay

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// maxInfo bounds what is read of an .info file, in bytes.
const maxInfo = 64 << 10

// serveGoProxy speaks the GOPROXY protocol (go.dev/ref/mod#goproxy-protocol).
// What is not carried is 404, which lets a go command with further proxies ask
// the next; what no tree could hold, like the name of a branch, is 410.
//
// list and @latest are made from the versions whose zips are there. Those that a
// tree was filled with name what its source had; a version that cannot be
// served breaks `go get`.
func (h *Handler) serveGoProxy(w *pacedWriter, r *http.Request, name string) error {
	if h.o.GoProxy == "" {
		return refuse(http.StatusNotFound, "no modules are served here")
	}
	if _, err := plainQuery(r, ""); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(name, "sumdb/"); ok {
		return sumDB{h}.serve(w, r, rest)
	}
	if escaped, ok := strings.CutSuffix(name, "/@latest"); ok {
		return h.latestVersion(w, r, escaped)
	}
	at := strings.LastIndex(name, "/@v/")
	if at < 0 {
		return fs.ErrNotExist
	}
	escaped, file := name[:at], name[at+len("/@v/"):]
	if file == "list" {
		return h.listVersions(w, r, escaped)
	}
	return h.moduleFile(w, r, escaped, file)
}

func modulePath(escaped string) (string, error) {
	mod, err := module.UnescapePath(escaped)
	if err != nil {
		return "", refuse(http.StatusGone, "not found: %v", err)
	}
	return mod, nil
}

func (h *Handler) moduleFile(w *pacedWriter, r *http.Request, escaped, file string) error {
	mod, err := modulePath(escaped)
	if err != nil {
		return err
	}
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return fs.ErrNotExist
	}
	kind := file[dot:]
	if kind != ".info" && kind != ".mod" && kind != ".zip" {
		return fs.ErrNotExist
	}
	version, err := module.UnescapeVersion(file[:dot])
	if err != nil || strings.Contains(version, "/") {
		return refuse(http.StatusGone, "not found: %.200q is not a version", file[:dot])
	}
	if module.CanonicalVersion(version) != version {
		return refuse(http.StatusGone, "not found: %s@%s: a relay has versions and resolves no branches, tags or parts of versions", mod, version)
	}
	name := escaped + "/@v/" + file
	err = h.sendFile(w, r, h.modules, name, "")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if kind == ".info" && (h.modules.has(escaped+"/@v/"+file[:dot]+".mod") || h.modules.has(escaped+"/@v/"+file[:dot]+".zip")) {
		return sendInfo(w, r, madeInfo(version))
	}
	return refuse(http.StatusNotFound, "not found: %s@%s: no %s of it was carried here", mod, version, kind)
}

// A versionInfo is what an .info file says.
type versionInfo struct {
	Version string
	Time    *time.Time `json:",omitempty"`
}

// madeInfo is the .info of a version that came without: trees filled by `go mod
// tidy` have none. The time is known of pseudo-versions only.
func madeInfo(version string) versionInfo {
	info := versionInfo{Version: version}
	if t, err := module.PseudoVersionTime(version); err == nil {
		info.Time = &t
	}
	return info
}

func sendInfo(w *pacedWriter, r *http.Request, info versionInfo) error {
	b, err := json.Marshal(info)
	if err != nil {
		return err
	}
	return sendBytes(w, r, "application/json", b)
}

// versions returns the versions of a module whose zips are there, in semantic
// order.
func (h *Handler) versions(escaped string) (all []string, err error) {
	entries, err := h.modules.names(escaped + "/@v")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".zip")
		if !ok {
			continue
		}
		v, err := module.UnescapeVersion(name)
		if err == nil && module.CanonicalVersion(v) == v {
			all = append(all, v)
		}
	}
	semver.Sort(all)
	return all, nil
}

// listVersions answers with the versions that are no pseudo-versions.
func (h *Handler) listVersions(w *pacedWriter, r *http.Request, escaped string) error {
	mod, err := modulePath(escaped)
	if err != nil {
		return err
	}
	all, err := h.versions(escaped)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, "not found: module %s was not carried here", mod)
	} else if err != nil {
		return err
	}
	var b strings.Builder
	for _, v := range all {
		if !module.IsPseudoVersion(v) {
			b.WriteString(v + "\n")
		}
	}
	return sendText(w, r, b.String())
}

// latestVersion answers with the highest release, or else the highest
// pre-release, or else the newest pseudo-version.
func (h *Handler) latestVersion(w *pacedWriter, r *http.Request, escaped string) error {
	mod, err := modulePath(escaped)
	if err != nil {
		return err
	}
	all, err := h.versions(escaped)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	version := latestOf(all)
	if version == "" {
		return refuse(http.StatusNotFound, "not found: no version of %s was carried here", mod)
	}
	info, err := h.readInfo(escaped, version)
	if err != nil {
		info = madeInfo(version)
	}
	return sendInfo(w, r, info)
}

// latestOf takes versions in semantic order.
func latestOf(all []string) string {
	best, rank := "", 0
	for _, v := range all {
		n := 3
		if module.IsPseudoVersion(v) {
			n = 1
		} else if semver.Prerelease(v) != "" {
			n = 2
		}
		if n > rank || n == rank && (n > 1 || newer(v, best)) {
			best, rank = v, n
		}
	}
	return best
}

// newer compares pseudo-versions by their times.
func newer(v, than string) bool {
	a, errA := module.PseudoVersionTime(v)
	b, errB := module.PseudoVersionTime(than)
	return errA == nil && errB == nil && a.After(b)
}

func (h *Handler) readInfo(escaped, version string) (versionInfo, error) {
	ev, err := module.EscapeVersion(version)
	if err != nil {
		return versionInfo{}, err
	}
	b, err := h.modules.read(escaped+"/@v/"+ev+".info", maxInfo)
	if err != nil {
		return versionInfo{}, err
	}
	var info versionInfo
	if err := json.Unmarshal(b, &info); err != nil || info.Version != version {
		return versionInfo{}, errors.New("it is about another version")
	}
	return info, nil
}

// read returns a file of at most limit bytes.
func (t tree) read(name string, limit int64) ([]byte, error) {
	f, _, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = errors.New("it is too large")
	}
	return b, err
}
