package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// goEnv asks the go command for settings, once.
var goEnv = sync.OnceValues(func() (map[string]string, error) {
	cmd := exec.Command("go", "env", "-json", "GOROOT", "GOVERSION", "GOMODCACHE")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	return m, json.Unmarshal(out, &m)
})

func goSetting(t testing.TB, name string) string {
	t.Helper()
	m, err := goEnv()
	if err != nil {
		t.Fatal(err)
	}
	return m[name]
}

// newQuery is a query of the host's Go for a platform ("linux/amd64").
func newQuery(t testing.TB, dir, platform string, patterns ...string) Query {
	t.Helper()
	goos, arch, _ := strings.Cut(platform, "/")
	q := Query{
		Dir: dir, Patterns: patterns, GOOS: goos, GOARCH: arch, Std: true,
		GOROOT: goSetting(t, "GOROOT"), GOVERSION: goSetting(t, "GOVERSION"), Release: true,
		ModCache: func() (string, error) { return goSetting(t, "GOMODCACHE"), nil },
	}
	askGo(t, &q)
	return q
}

// askGo has the toolchain say which tags it sets for the query's target.
func askGo(t testing.TB, q *Query) {
	env := append(os.Environ(), "GOOS="+q.GOOS, "GOARCH="+q.GOARCH, "GOFLAGS=", "GOTOOLCHAIN=local", "GO111MODULE=off")
	if q.Variant != "" {
		env = append(env, "GO"+strings.ToUpper(q.GOARCH)+"="+q.Variant)
	}
	q.ToolTags = func() ([]string, error) {
		cmd := exec.Command(filepath.Join(goSetting(t, "GOROOT"), "bin", "go"), "list", "-f", "{{join context.ToolTags \" \"}}", "unsafe")
		cmd.Env = env
		out, err := cmd.Output()
		return strings.Fields(string(out)), err
	}
}

// goList asks the go command the same.
func goList(t testing.TB, q Query) ([]*Package, error) {
	t.Helper()
	args := []string{"list", "-deps", "-json=" + Fields, "-buildvcs=false", "-pgo=off"}
	if q.Test {
		args = append(args, "-test")
	}
	if q.Race {
		args = append(args, "-race")
	}
	if q.Mod != "" {
		args = append(args, "-mod="+q.Mod)
	}
	if len(q.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(q.Tags, ","))
	}
	cmd := exec.Command(filepath.Join(q.GOROOT, "bin", "go"), append(append(args, "--"), q.Patterns...)...)
	cmd.Dir = q.Dir
	cache, err := q.ModCache()
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "PWD="+q.Dir, "GOOS="+q.GOOS, "GOARCH="+q.GOARCH, "GOENV=off", "GOFLAGS=", "GOTOOLCHAIN=local",
		"GOPROXY=off", "GOSUMDB=off", "GOMODCACHE="+cache, "GOWORK="+orOff(q.Work), "CGO_ENABLED="+map[bool]string{true: "1", false: "0"}[q.Cgo])
	if q.Variant != "" {
		cmd.Env = append(cmd.Env, "GO"+strings.ToUpper(q.GOARCH)+"="+q.Variant)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &stderr)
	}
	var all []*Package
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &Package{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func orOff(s string) string {
	if s == "" {
		return "off"
	}
	return s
}

// differences compares two lists of packages field by field.
func differences(got, want []*Package) []string {
	var out []string
	index := map[string]*Package{}
	for _, p := range got {
		if index[p.ImportPath] != nil {
			out = append(out, "twice: "+p.ImportPath)
		}
		index[p.ImportPath] = p
	}
	for _, w := range want {
		g := index[w.ImportPath]
		delete(index, w.ImportPath)
		if g == nil {
			out = append(out, "missing: "+w.ImportPath)
			continue
		}
		out = append(out, fieldDifferences(g, w)...)
	}
	for path := range index {
		out = append(out, "too much: "+path)
	}
	slices.Sort(out)
	return out
}

func fieldDifferences(got, want *Package) []string {
	var out []string
	if want.Name == "main" && len(want.GoFiles) == 1 && filepath.IsAbs(want.GoFiles[0]) {
		dup := *want
		dup.GoFiles = []string{filepath.Join(want.Dir, "_testmain.go")}
		want = &dup
	}
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		a, b := g.Field(i), w.Field(i)
		if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			out = append(out, fmt.Sprintf("%s: %s: got %s, want %s", want.ImportPath, g.Type().Field(i).Name, show(a.Interface()), show(b.Interface())))
		}
	}
	return out
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// same demands that Load says what the go command says, of the whole standard
// library and without it. It returns how many packages there are.
func same(t *testing.T, q Query, facts *Facts) int {
	t.Helper()
	got, err := Load(q, disk{}, facts)
	if err != nil {
		t.Fatalf("%s/%s %v: %v", q.GOOS, q.GOARCH, q.Patterns, err)
	}
	want, err := goList(t, q)
	if err != nil {
		t.Fatal(err)
	}
	if d := differences(got.Packages, want); len(d) > 0 {
		t.Fatalf("%s/%s cgo=%v test=%v %v: %d differences in %d packages\n%s", q.GOOS, q.GOARCH, q.Cgo, q.Test, q.Patterns, len(d), len(want), strings.Join(d[:min(len(d), 20)], "\n"))
	}
	q.Std = false
	few, err := Load(q, disk{}, facts)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(few.Packages, func(p *Package) bool { return p.Standard }) {
		want = slices.DeleteFunc(want, func(p *Package) bool { return p.Standard })
	}
	if d := differences(few.Packages, want); len(d) > 0 {
		t.Fatalf("without the standard library: %s", strings.Join(d[:min(len(d), 20)], "\n"))
	}
	return len(want)
}

func host() string { return runtime.GOOS + "/" + runtime.GOARCH }

// tree writes files ("path": text) below a directory.
func tree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// disk is the Source that reads the disk each time.
type disk struct{}

// ReadDir implements Source.
func (disk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// ReadSources implements Source.
func (disk) ReadSources(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// ReadFrozen implements Source.
func (disk) ReadFrozen(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// ReadFile implements Source.
func (disk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// Digest implements Source.
func (disk) Digest(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
