package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/airbuild/airbuild/internal/canonjson"
)

// version is the newest version of source.json that this package knows. It
// reads the older ones too, and writes the oldest that can say what is to be
// said: version 2 came with "files", version 3 with what stands behind them.
const version = 3

// A file is source.json. The order of the fields is that of the file.
type file struct {
	Version  int    `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Short    string `json:"short,omitempty"`
	Branch   string `json:"branch,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Describe string `json:"describe,omitempty"`
	Dirty    bool   `json:"dirty"`
	Time     string `json:"time"`
	Files    string `json:"files,omitempty"`

	PreviousTag *string    `json:"previous_tag,omitempty"`
	CommitCount int        `json:"commit_count,omitempty"`
	URL         *string    `json:"url,omitempty"`
	Go          *buildFile `json:"go,omitempty"`
}

// A buildFile is a Build in source.json.
type buildFile struct {
	Modified  bool              `json:"modified"`
	Folder    string            `json:"folder,omitempty"`
	Module    string            `json:"module,omitempty"`
	Tags      []string          `json:"tags,omitempty"`
	Ancestors []string          `json:"ancestors,omitempty"`
	Mods      map[string]string `json:"mods,omitempty"`
}

// WriteJSON writes i as a source.json: two spaces of indent, a line break at
// the end, the same bytes for the same Info. What ParseJSON would refuse is
// not written.
func WriteJSON(w io.Writer, i *Info) error {
	if err := check(i); err != nil {
		return fmt.Errorf("write %s: %w", FileName, err)
	}
	f := file{
		Version: 1, Commit: i.Commit, Short: i.Short, Branch: i.Branch, Tag: i.Tag,
		Describe: i.Describe, Dirty: i.Dirty, Time: i.Time.Format(time.RFC3339), Files: i.Files,
	}
	if f.Files != "" {
		f.Version = 2
	}
	if i.has.previousTag {
		f.PreviousTag = &i.PreviousTag
	}
	if i.has.url {
		f.URL = &i.URL
	}
	if i.Go != nil {
		b := i.Go
		f.Go = &buildFile{b.Modified || len(b.Untracked) > 0, b.Folder, b.Module, b.Tags, b.Ancestors, b.Mods}
	}
	if f.CommitCount = i.CommitCount; f.CommitCount != 0 || f.PreviousTag != nil || f.URL != nil || f.Go != nil {
		f.Version = 3
	}
	b, err := canonjson.Indented(f)
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", FileName, err)
	}
	return nil
}

// ParseJSON reads a source.json. Anything that the version does not know is an
// error: unknown, double and misspelt names, another version, text behind the
// end. A short hash that is left out is made from the commit.
func ParseJSON(b []byte) (*Info, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	v, err := checkVersion(b)
	if err != nil {
		return nil, err
	}
	if err := checkNames(b, v); err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, plain(err)
	}
	t, err := time.Parse(time.RFC3339, f.Time)
	if err != nil || t.UTC().Format(time.RFC3339) != f.Time {
		return nil, fmt.Errorf(`"time" is %q, and must be a time in UTC and whole seconds, such as "2026-01-31T12:00:00Z"`, f.Time)
	}
	i := &Info{
		Commit: f.Commit, Short: f.Short, Branch: f.Branch, Tag: f.Tag,
		Describe: f.Describe, Dirty: f.Dirty, Time: t.UTC(), Files: f.Files,
	}
	i.CommitCount = f.CommitCount
	if i.has.previousTag = f.PreviousTag != nil; i.has.previousTag {
		i.PreviousTag = *f.PreviousTag
	}
	if i.has.url = f.URL != nil; i.has.url {
		i.URL = *f.URL
	}
	if f.Go != nil {
		i.Go = f.Go.build()
	}
	if i.Short == "" && isHash(i.Commit) {
		i.Short = i.Commit[:shortDigits]
	}
	return i, check(i)
}

// build is the Build of a file; empty lists are none.
func (f *buildFile) build() *Build {
	b := Build{Modified: f.Modified, Folder: f.Folder, Module: f.Module, Tags: f.Tags, Ancestors: f.Ancestors, Mods: f.Mods}
	if len(b.Tags) == 0 {
		b.Tags = nil
	}
	if len(b.Ancestors) == 0 {
		b.Ancestors = nil
	}
	if len(b.Mods) == 0 {
		b.Mods = nil
	}
	return &b
}

// checkVersion comes before all else: what a later version adds should be
// called that, not unknown.
func checkVersion(b []byte) (int, error) {
	var v struct {
		Version *int `json:"version"`
	}
	switch err := json.Unmarshal(b, &v); {
	case err != nil:
		return 0, plain(err)
	case v.Version == nil:
		return 0, fmt.Errorf(`it has no "version"; this airbuild reads versions 1 to %d`, version)
	case *v.Version < 1 || *v.Version > version:
		return 0, fmt.Errorf("it is of version %d, and this airbuild reads versions 1 to %d", *v.Version, version)
	}
	return *v.Version, nil
}

// names are the names in source.json, those of version 1 first.
var names = [...]string{"version", "commit", "short", "branch", "tag", "describe", "dirty", "time", "files", "previous_tag", "commit_count", "url", "go"}

// namesIn are the names that a version has.
func namesIn(v int) []string {
	switch v {
	case 1:
		return names[:8]
	case 2:
		return names[:9]
	}
	return names[:]
}

// checkNames holds the object's names against the exact ones. encoding/json
// alone would take "Commit" for "commit" and the last of two.
func checkNames(b []byte, v int) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is not a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return plain(err)
		}
		name, _ := t.(string)
		switch {
		case !slices.Contains(namesIn(v), name):
			return fmt.Errorf("unknown name %q; there are %s", name, strings.Join(namesIn(v), ", "))
		case seen[name]:
			return fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return plain(err)
		}
		if string(value) == "null" {
			return fmt.Errorf("%q is null: leave it out", name)
		}
		if name == "go" {
			if err := checkBuild(value); err != nil {
				return err
			}
		}
	}
	if !seen["time"] {
		return errors.New(`it has no "time", the time of the commit`)
	}
	if v == 2 && !seen["files"] {
		return fmt.Errorf(`it has no "files", which version %d must have`, v)
	}
	return nil
}

// checkBuild refuses unknown names in "go".
func checkBuild(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(new(buildFile)); err != nil {
		return fmt.Errorf(`"go": %w`, plain(err))
	}
	return nil
}

// plain says in the file's own words what encoding/json says in Go's.
func plain(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if t.Field == "" {
			return errors.New("it is not a JSON object")
		}
		want := map[string]string{"string": "a string", "bool": "true or false", "int": "a whole number"}[t.Type.String()]
		return fmt.Errorf("%q is a %s, and must be %s", t.Field, t.Value, want)
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is not JSON (at byte %d): %w", s.Offset, err)
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// maxName bounds a branch, a tag and a description, in bytes: they become
// parts of file names.
const maxName = 250

// check holds the rules of every source.json, read or written.
func check(i *Info) error {
	switch {
	case i.Commit != "" && !isHash(i.Commit):
		return fmt.Errorf(`"commit" is %q, and must be a whole hash in lower-case hexadecimal`, i.Commit)
	case i.Short != "" && (i.Commit == "" || !strings.HasPrefix(i.Commit, i.Short)):
		return fmt.Errorf(`"short" is %q, and must be the beginning of "commit"`, i.Short)
	case i.Time.IsZero() || i.Time.Location() != time.UTC || i.Time.Nanosecond() != 0 || i.Time.Year() < 1970 || i.Time.Year() > 9999:
		return fmt.Errorf(`"time" is %v, and must be in UTC and whole seconds, from 1970 on`, i.Time)
	}
	if i.Files != "" && !isSHA256(i.Files) {
		return fmt.Errorf(`"files" is %q, and must be a SHA-256 in lower-case hexadecimal`, i.Files)
	}
	if i.CommitCount < 0 {
		return fmt.Errorf(`"commit_count" is %d, and must be a number of commits`, i.CommitCount)
	}
	if len(i.URL) > 4*maxName || strings.ContainsFunc(i.URL, unicode.IsControl) {
		return fmt.Errorf(`"url" is %.100q, which is not the address of a repository`, i.URL)
	}
	if i.Go != nil {
		if err := i.Go.check(); err != nil {
			return fmt.Errorf(`"go": %w`, err)
		}
	}
	for _, f := range [...]struct{ name, value string }{{"branch", i.Branch}, {"tag", i.Tag}, {"describe", i.Describe}, {"previous_tag", i.PreviousTag}} {
		if !isRefName(f.value) {
			return fmt.Errorf("%q is %q, which is not a name that git accepts", f.name, f.value)
		}
	}
	return nil
}

// isRefName holds git's rules for the names of references, as far as they
// keep a value harmless in file names and arguments. Empty is allowed.
func isRefName(s string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }
	return len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, bad) && !strings.Contains(s, "..") &&
		!strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/") && !strings.Contains(s, "//")
}
