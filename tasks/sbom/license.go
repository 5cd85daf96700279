package sbom

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licensecheck"
	"golang.org/x/mod/module"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/gobinary"
)

const (
	maxLicense = 1 << 20 // bytes of a licence file that is looked at
	// sure is how many percent of a file's text must be of known licences.
	sure = 75.0
	// whole is how many percent end the search with the common licences.
	whole = 95.0
	// detector is of what is remembered of texts: it changes when the same
	// text would be called otherwise.
	detector = "1"
)

// A discoverer finds what licences the modules of go.sum have.
type discoverer struct {
	dir     string // of the module, project-relative
	vendor  bool   // modules are in vendor, and nowhere else
	environ func(string) (string, bool)
	trees   []string // module caches and GOPROXY trees of the run
	output  string   // input that holds what was found
}

// A license is what a module's files say.
type license struct {
	Module     string `json:"module"` // path@version
	Expression string `json:"expression"`
}

// Discover implements engine.InputDiscoverer.
func (l *discoverer) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	known := loadTexts(files.State())
	list, err := l.vendored(files, known)
	if err != nil {
		return engine.Discovery{}, fmt.Errorf("find licences in vendor: %w", err)
	}
	if list == nil && !l.vendor {
		if list, err = l.cached(ctx, files, known); err != nil {
			return engine.Discovery{}, fmt.Errorf("find licences of modules: %w", err)
		}
	}
	if own := l.ownLicense(files, known); own != "" {
		list = append(list, license{"", own})
	}
	slices.SortFunc(list, func(a, b license) int { return cmp.Compare(a.Module, b.Module) })
	text, err := json.Marshal(list)
	if err != nil {
		return engine.Discovery{}, err
	}
	known.save(files.State())
	return engine.Discovery{
		Inputs: []engine.Input{engine.TextInput(l.output, append(text, '\n'))},
		Notes:  []string{fmt.Sprintf("licences of %d modules were found", len(list))},
	}, nil
}

// vendored looks into vendor; nil if there is none.
func (l *discoverer) vendored(files engine.Files, known *texts) ([]license, error) {
	list := []license{}
	dir := path.Join(l.dir, "vendor")
	text, err := os.ReadFile(filepath.Join(files.Root(), filepath.FromSlash(dir), "modules.txt"))
	if errors.Is(err, fs.ErrNotExist) && !l.vendor {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		w := strings.Fields(line)
		if len(w) < 3 || w[0] != "#" {
			continue
		}
		m := w[1] + "@" + w[2]
		if at := slices.Index(w, "=>"); at > 0 && len(w) == at+3 {
			m = w[at+1] + "@" + w[at+2]
		}
		here := path.Join(dir, w[1])
		entries, err := files.ReadDir(here)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no package of it is used
		}
		if err != nil {
			return nil, err
		}
		if e := known.expression(readLicenses(filepath.Join(files.Root(), filepath.FromSlash(here)), entries)); e != "" {
			list = append(list, license{m, e})
		}
	}
	return list, nil
}

// ownLicense is that of the project itself.
func (l *discoverer) ownLicense(files engine.Files, known *texts) string {
	entries, err := files.ReadDir(cmp.Or(l.dir, "."))
	if err != nil {
		return ""
	}
	return known.expression(readLicenses(filepath.Join(files.Root(), filepath.FromSlash(l.dir)), entries))
}

// cached looks for the modules of go.sum in module caches and GOPROXY trees.
func (l *discoverer) cached(ctx context.Context, files engine.Files, known *texts) (list []license, err error) {
	sums, err := gobinary.Sums(tasks.ProjectFiles(files.Root()), path.Join(l.dir, "go.sum"), path.Join(l.dir, "go.work.sum"))
	if err != nil {
		return nil, err
	}
	places := l.places()
	for m := range sums {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, v, _ := strings.Cut(m, "@")
		for _, dir := range places {
			if e := known.expression(moduleLicenses(dir, p, v)); e != "" {
				list = append(list, license{m, e})
				break
			}
		}
	}
	return list, nil
}

// places are the directories that modules may lie in.
func (l *discoverer) places() []string {
	get := func(name string) string { v, _ := l.environ(name); return v }
	list := slices.Clone(l.trees)
	switch {
	case get("GOMODCACHE") != "":
		list = append(list, get("GOMODCACHE"))
	case get("GOPATH") != "":
		list = append(list, filepath.Join(filepath.SplitList(get("GOPATH"))[0], "pkg", "mod"))
	case cmp.Or(get("HOME"), get("USERPROFILE")) != "":
		list = append(list, filepath.Join(cmp.Or(get("HOME"), get("USERPROFILE")), "go", "pkg", "mod"))
	}
	for _, proxy := range strings.FieldsFunc(get("GOPROXY"), func(r rune) bool { return r == ',' || r == '|' }) {
		if dir, ok := strings.CutPrefix(proxy, "file://"); ok {
			list = append(list, filepath.FromSlash(dir))
		}
	}
	return list
}

// moduleLicenses reads the licence files of a module in a module cache, or in
// a GOPROXY tree.
func moduleLicenses(dir, name, version string) [][]byte {
	p, err1 := module.EscapePath(name)
	v, err2 := module.EscapeVersion(version)
	if err1 != nil || err2 != nil {
		return nil
	}
	unpacked := filepath.Join(dir, filepath.FromSlash(p)+"@"+v)
	if entries, err := os.ReadDir(unpacked); err == nil {
		return readLicenses(unpacked, entries)
	}
	for _, root := range []string{dir, filepath.Join(dir, "cache", "download")} {
		if found := zipLicenses(filepath.Join(root, filepath.FromSlash(p), "@v", v+".zip"), name+"@"+version+"/"); found != nil {
			return found
		}
	}
	return nil
}

func zipLicenses(name, prefix string) (found [][]byte) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil
	}
	defer z.Close()
	for _, f := range z.File {
		base, ok := strings.CutPrefix(f.Name, prefix)
		if !ok || !isLicense(base) || f.UncompressedSize64 > maxLicense {
			continue
		}
		r, err := f.Open()
		if err != nil {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(r, maxLicense))
		r.Close()
		if err == nil {
			found = append(found, text)
		}
	}
	return found
}

// isLicense reports whether a file of a module's root holds its licence.
func isLicense(name string) bool {
	upper := strings.ToUpper(name)
	if strings.Contains(name, "/") || strings.HasSuffix(upper, ".GO") {
		return false
	}
	for _, p := range []string{"LICENSE", "LICENCE", "COPYING", "UNLICENSE", "MIT-LICENSE"} {
		if strings.HasPrefix(upper, p) {
			return true
		}
	}
	return false
}

// readLicenses reads the licence files among a directory's entries, by name.
func readLicenses(dir string, entries []fs.DirEntry) (found [][]byte) {
	for _, e := range entries {
		if !isLicense(e.Name()) || e.IsDir() {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxLicense {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
			found = append(found, text)
		}
	}
	return found
}

// texts remembers what licence a text is, by its SHA-256: to find it out
// costs more than to read the file. Losing it costs time only.
type texts struct {
	Detector string            `json:"detector"`
	Found    map[string]string `json:"found"`
	changed  bool
	common   *licensecheck.Scanner // nil until it is needed
}

const textsFile = "licenses.json"

func loadTexts(state string) *texts {
	t := &texts{}
	b, err := os.ReadFile(filepath.Join(state, textsFile))
	if err != nil || json.Unmarshal(b, t) != nil || t.Detector != detector || t.Found == nil {
		return &texts{Detector: detector, Found: map[string]string{}}
	}
	return t
}

// save writes the texts for later runs; another process may read them meanwhile.
func (t *texts) save(state string) {
	if !t.changed || state == "" {
		return
	}
	b, err := json.Marshal(t)
	if err != nil {
		return
	}
	_ = atomicfile.Write(filepath.Join(state, textsFile), b, atomicfile.Options{Perm: 0o600, Mkdir: 0o777}) // what is not kept is found again
}

// expression is the SPDX expression of licence texts, or "" if they are none
// that is known.
func (t *texts) expression(list [][]byte) string {
	var all []string
	for _, text := range list {
		sum := sha256.Sum256(text)
		key := hex.EncodeToString(sum[:])
		e, ok := t.Found[key]
		if !ok {
			e = strings.Join(t.identify(text), " AND ")
			t.Found[key], t.changed = e, true
		}
		if e != "" {
			all = append(all, strings.Split(e, " AND ")...)
		}
	}
	return strings.Join(lists.Unique(all), " AND ")
}

// common are the licences of nearly every module. A scanner of them is ready
// in milliseconds, one of all takes seconds.
const common = " MIT BSD-2-Clause BSD-3-Clause Apache-2.0 ISC MPL-2.0 Unlicense CC0-1.0 0BSD Zlib BSL-1.0 "

// identify names the licences that a text is made of, sorted; none if much of
// it is something else.
func (t *texts) identify(text []byte) (ids []string) {
	if t.common == nil {
		var some []licensecheck.License
		for _, l := range licensecheck.BuiltinLicenses() {
			if strings.Contains(common, " "+l.ID+" ") {
				some = append(some, l)
			}
		}
		var err error
		if t.common, err = licensecheck.NewScanner(some); err != nil {
			t.common = &licensecheck.Scanner{}
		}
	}
	c := t.common.Scan(text)
	if c.Percent < whole {
		c = licensecheck.Scan(text)
	}
	if c.Percent < sure {
		return nil
	}
	for _, m := range c.Match {
		if !m.IsURL && !strings.Contains(notSPDX, " "+m.ID+" ") {
			ids = append(ids, m.ID)
		}
	}
	return lists.Unique(ids)
}

// notSPDX are names of the detector that are not in SPDX's list of licences. A
// text of such a licence has none that could be named.
const notSPDX = " Aladdin-9 Anti996 BSD-1-Clause-Clear BSD-3-Clause-NoTrademark CC-BY-NC-SA-3.0-US CommonsClause" +
	" GPL-2.0-or-3.0 GooglePatentClause GooglePatentsFile MIT-NoAd Prosperity-3.0.0 "
