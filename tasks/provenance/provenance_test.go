package provenance

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/sign"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

func project(t *testing.T) fstest.MapFS {
	t.Helper()
	layout := strings.Repeat("ab", 32)
	return fstest.MapFS{
		"dist/app.txt":                  {Data: []byte("app")},
		"dist/image.oci/index.json":     {Data: []byte(`{"manifests":[{"digest":"sha256:` + layout + `"},{"digest":"sha256:` + layout + `"}]}`)},
		"dist/image.oci/blobs/sha256/x": {Data: []byte(`{"annotations":{"org.opencontainers.image.base.digest":"sha256:` + strings.Repeat("cd", 32) + `"}}`)},
		"host.json":                     {Data: []byte("host")},
		".airbuild-actions.json":        {Data: []byte(`[{"step":"bin","type":"go_build","action":"` + strings.Repeat("ef", 32) + `"}]`)},
	}
}

func block() *tasks.Block {
	b := tasktest.Block("provenance", "provenance", fstest.MapFS{})
	b.Project.Environ = func(string) (string, bool) { return "", false }
	b.Project.Recipe = &tasks.Recipe{
		Files:     []tasks.RecipeFile{{Name: "Airbuildfile", SHA256: strings.Repeat("01", 32)}, {Name: "build/common.hcl", SHA256: strings.Repeat("02", 32)}},
		Variables: []tasks.Variable{{Name: "version", Value: `"v1<2"`}},
		Commit:    commit,
	}
	tasktest.Set(b, "files", tasktest.Made("dist/image.oci", "dist/app.txt"))
	tasktest.Set(b, "source", "https://example.com/app.git")
	return b
}

func write(t *testing.T, b *tasks.Block, cfg *sign.Config) []byte {
	t.Helper()
	s := tasktest.Step(t, task{cfg}, b)
	l, err := s.Discoverer.Discover(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, log, err := tasktest.RunPrivate(t, Tools(cfg), s, project(t), l.Private)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(s.Command.OutputPaths[0])))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The statement of no program, frozen: those who check it hang on its form.
const frozen = `{"_type":"https://in-toto.io/Statement/v1","predicate":{"buildDefinition":{"buildType":"https://github.com/airbuild/airbuild/build/v1",` +
	`"externalParameters":{"airbuildfile":{"uri":"Airbuildfile","digest":{"sha256":"0101010101010101010101010101010101010101010101010101010101010101"}},` +
	`"includes":[{"uri":"build/common.hcl","digest":{"sha256":"0202020202020202020202020202020202020202020202020202020202020202"}}],"variables":{"version":"v1<2"}},` +
	`"internalParameters":{"actions":[{"step":"bin","type":"go_build","digest":{"sha256":"efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef"}}]},` +
	`"resolvedDependencies":[{"uri":"git+https://example.com/app.git","digest":{"gitCommit":"0123456789abcdef0123456789abcdef01234567"},"name":"source"},` +
	`{"uri":"oci:sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","digest":{"sha256":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"},"name":"base image"}]},` +
	`"runDetails":{"builder":{"id":"https://github.com/airbuild/airbuild"}}},"predicateType":"https://slsa.dev/provenance/v1",` +
	`"subject":[{"digest":{"sha256":"a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333"},"name":"app.txt"},` +
	`{"digest":{"sha256":"abababababababababababababababababababababababababababababababab"},"name":"image.oci"}]}`

func TestStatement(t *testing.T) {
	one, two := write(t, block(), &sign.Config{}), write(t, block(), &sign.Config{})
	if !bytes.Equal(one, two) || string(one) != frozen+"\n" {
		t.Errorf("%s\n%s\nwant %s", one, two, frozen)
	}
	b := block()
	tasktest.Set(b, "host", tasktest.Files("host.json"))
	b.Project.Recipe.Dirty = true
	s, err := Open(write(t, b, &sign.Config{}), Policy{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	d := s.Predicate.BuildDefinition
	if d.InternalParameters.Host == nil || len(d.InternalParameters.Host.Digest["sha256"]) != 64 || !d.ExternalParameters.Dirty {
		t.Errorf("%+v", d)
	}
}

func TestSigned(t *testing.T) {
	k, err := signing.Generate(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := signing.Generate(bytes.NewReader(bytes.Repeat([]byte{8}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := k.File("")
	if err != nil {
		t.Fatal(err)
	}
	b := block()
	b.Project.Environ = func(n string) (string, bool) { return string(secret), n == "KEY" }
	tasktest.Set(b, "key_env", "KEY")
	text := write(t, b, &sign.Config{})
	if !bytes.Equal(text, write(t, b, &sign.Config{})) || bytes.Count(text, []byte("\n")) != 1 {
		t.Errorf("%s", text)
	}
	plain := Policy{Keys: []signing.PublicKey{k.Public()}}
	s, err := Open(text, plain)
	if err != nil || len(s.SignedBy) != 1 || s.SignedBy[0] != k.Public() {
		t.Fatalf("%+v, %v", s, err)
	}
	with := func(f func(*Policy)) Policy { p := plain; f(&p); return p }
	for _, tt := range []struct {
		text  []byte
		p     Policy
		words string
	}{
		{text, with(func(p *Policy) {
			p.Commit, p.Source, p.Builder = commit[:10], "git+https://example.com/app.git", defaultBuilder
		}), ""},
		{text, Policy{Keys: []signing.PublicKey{other.Public()}}, "not trusted"},
		{text, Policy{Unsigned: true}, "not trusted"},
		{text, with(func(p *Policy) { p.Threshold = 2 }), "2"},
		{text, with(func(p *Policy) { p.Builder = "https://example.com" }), "it was built by"},
		{text, with(func(p *Policy) { p.Source = "https://example.com" }), "it is of the source"},
		{text, with(func(p *Policy) { p.Commit = "fffffff" }), "it is of the commit"},
		{text, with(func(p *Policy) { p.Commit = "012" }), "it is of the commit"},
		{[]byte(frozen), plain, "it is not signed"},
		{[]byte(`{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}`), Policy{Unsigned: true}, `but "x"`},
		{[]byte(`{}`), Policy{Unsigned: true}, ""},
		{[]byte(`nonsense`), Policy{Unsigned: true}, ""},
		{bytes.Replace(text, []byte(`"payload":"e`), []byte(`"payload":"f`), 1), plain, ""},
	} {
		_, err := Open(tt.text, tt.p)
		if good := tt.p.Builder == defaultBuilder; good != (err == nil) || !good && (!errors.Is(err, signing.ErrUnverified) || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%.40s: %v, want %q", tt.text, err, tt.words)
		}
	}
}

func TestCovers(t *testing.T) {
	s, err := Open(write(t, block(), &sign.Config{}), Policy{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, f := range project(t) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, f.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, good := range map[string]bool{"dist/app.txt": true, "dist/image.oci": true, "host.json": false, "dist": false, "gone": false} {
		if err := s.Covers(filepath.Join(dir, name)); (err == nil) != good || name == "host.json" && !errors.Is(err, signing.ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// producers is a workspace that knows who made the inputs.
type producers struct {
	engine.Files
	err error
}

func (m producers) Producers() ([]engine.Producer, error) {
	return []engine.Producer{{Name: "bin", Type: "go_build", Key: action.Of([]byte("x"))}}, m.err
}

func TestDiscoverer(t *testing.T) {
	l := &discoverer{output: "a.json"}
	got, err := l.Discover(t.Context(), producers{})
	if err != nil || len(got.Inputs) != 1 {
		t.Fatal(got, err)
	}
	var list []made
	if err := json.Unmarshal(got.Inputs[0].Text, &list); err != nil || len(list) != 1 || list[0].Step != "bin" || len(list[0].Action) != 64 {
		t.Errorf("%s, %v", got.Inputs[0].Text, err)
	}
	if _, err := l.Discover(t.Context(), producers{err: errors.New("not known")}); err == nil {
		t.Error("a key that is not known is left out")
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		attr  string
		value any
		words string
	}{
		{"files", []tasks.PathValue{}, "No files to attest"},
		{"files", tasktest.Files("a/x", "b/x"), "Two files of one name"},
		{"builder", "me", "Not a URI"},
		{"source", "here and there", "Not a URI"},
		{"key", "../x", "Name of a key"},
		{"public_key", "x", "No public key"},
	} {
		b := block()
		tasktest.Set(b, tt.attr, tt.value)
		if tt.attr == "public_key" {
			tasktest.Set(b, "key", "site")
		}
		tasktest.WantError(t, task{&sign.Config{}}, b, tt.words)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(frozen))
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Open(b, Policy{Unsigned: true}); err == nil && s.SignedBy != nil {
			t.Error("signed by nobody")
		}
	})
}
