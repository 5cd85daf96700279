package source

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fixture is frozen, and fixture2 and fixture3 too: they are read and written for ever.
var (
	fixture  = filepath.Join("..", "..", "testdata", "formats", "source-1.json")
	fixture2 = filepath.Join("..", "..", "testdata", "formats", "source-2.json")
	fixture3 = filepath.Join("..", "..", "testdata", "formats", "source-3.json")
)

var fixtureInfo = Info{
	Commit: "0123456789abcdef0123456789abcdef01234567", Short: "0123456", Branch: "release/1.x",
	Tag: "v1.2.3", Describe: "v1.2.3-dirty", Dirty: true, Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
}

func TestFixture(t *testing.T) {
	second := fixtureInfo
	second.Files = strings.Repeat("0123456789abcdef", 4)
	third := second
	third.PreviousTag, third.CommitCount, third.URL = "v1.2.2", 42, "https://example.org/r.git"
	third.has.previousTag, third.has.url = true, true
	third.Go = &Build{
		Modified: true, Folder: "tools/gen", Module: "example.org/r/v2", Tags: []string{"sub/v1.0.0", "v1.2.3"}, Ancestors: []string{"v0.9.0", "v1.2.2"},
		Mods: map[string]string{"new/go.mod": "", "go.mod": "example.org/r"},
	}
	for name, want := range map[string]Info{fixture: fixtureInfo, fixture2: second, fixture3: third} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseJSON(b)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%v %+v, want %+v", err, got, want)
		}
		var w bytes.Buffer
		if err := WriteJSON(&w, &want); err != nil || w.String() != string(b) {
			t.Errorf("%v\n%s", err, w.String())
		}
	}
}

func TestParse(t *testing.T) {
	const at = `,"time":"2026-03-04T05:06:07Z"}`
	for _, tt := range []struct{ text, words string }{
		{`{"version":1` + at, ""},
		{`{"time":"2026-03-04T05:06:07Z","version":1,"commit":"0123456789abcdef0123456789abcdef01234567"}`, ""},
		{``, "it is not JSON"},
		{`[]`, "not a JSON object"},
		{`null`, `no "version"`},
		{`{"version":1`, "it is not JSON"},
		{`{"version":1` + at + ` {}`, "it is not JSON"},
		{`{}`, `no "version"`},
		{`{"version":2,"new":1}`, "unknown name \"new\""},
		{`{"version":4,"new":1}`, "of version 4, and this airbuild reads versions 1 to 3"},
		{`{"version":2,"url":"","files":"` + strings.Repeat("a", 64) + `"` + at, `unknown name "url"`},
		{`{"version":3` + at, ""},
		{`{"version":3,"previous_tag":"","url":"","commit_count":1,"go":{"modified":false}` + at, ""},
		{`{"version":3,"previous_tag":"a b"` + at, "not a name that git accepts"},
		{`{"version":3,"commit_count":-1` + at, "must be a number of commits"},
		{`{"version":3,"url":"a\nb"` + at, "not the address of a repository"},
		{`{"version":3,"go":[]` + at, `"go"`},
		{`{"version":3,"go":{"new":1}` + at, `unknown field "new"`},
		{`{"version":3,"go":{"tags":["x"]}` + at, `the tag "x" is not the version of a module`},
		{`{"version":3,"go":{"folder":"../x"}` + at, "not a folder of a repository"},
		{`{"version":3,"go":{"mods":{"a/b":""}}` + at, "not a go.mod of a repository"},
		{`{"version":1,"files":"` + strings.Repeat("a", 64) + `"` + at, `unknown name "files"`},
		{`{"version":2` + at, `no "files"`},
		{`{"version":2,"files":"abc"` + at, "must be a SHA-256"},
		{`{"version":2,"files":"` + strings.Repeat("a", 64) + `"` + at, ""},
		{`{"version":"1"` + at, `"version" is a string, and must be a whole number`},
		{`{"version":1}`, `no "time"`},
		{`{"version":1,"brunch":"x"` + at, `unknown name "brunch"`},
		{`{"Version":1` + at, `unknown name "Version"`},
		{`{"version":1,"dirty":false,"dirty":true` + at, `"dirty" is there twice`},
		{`{"version":1,"tag":null` + at, `"tag" is null`},
		{`{"version":1,"dirty":"yes"` + at, `"dirty" is a string, and must be true or false`},
		{`{"version":1,"commit":"0123"` + at, "a whole hash"},
		{`{"version":1,"commit":"0123456789ABCDEF0123456789abcdef01234567"` + at, "lower-case"},
		{`{"version":1,"commit":"0123456789abcdef0123456789abcdef01234567","short":"abc"` + at, "beginning of"},
		{`{"version":1,"short":"abc"` + at, "beginning of"},
		{`{"version":1,"time":"2026-03-04T05:06:07+01:00"}`, "in UTC"},
		{`{"version":1,"time":"2026-03-04T05:06:07.5Z"}`, "whole seconds"},
		{`{"version":1,"time":"1960-03-04T05:06:07Z"}`, "from 1970 on"},
		{`{"version":1,"tag":"../x"` + at, "not a name that git accepts"},
		{`{"version":1,"describe":"-x"` + at, "not a name that git accepts"},
		{`{"version":1,"branch":"a\nb"` + at, "not a name that git accepts"},
		{`{"version":1,"tag":"` + strings.Repeat("x", 251) + `"` + at, "not a name that git accepts"},
		{"{\"version\":1,\"tag\":\"\xff\"" + at, "not UTF-8"},
	} {
		_, err := ParseJSON([]byte(tt.text))
		if (err == nil) != (tt.words == "") || err != nil && !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.words)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, i := range []Info{{}, {Time: time.Now()}, {Time: fixtureInfo.Time, Tag: "a b"}} {
		if err := WriteJSON(new(bytes.Buffer), &i); err == nil || !strings.HasPrefix(err.Error(), "write source.json: ") {
			t.Errorf("%+v: %v", i, err)
		}
	}
}

// FuzzParse: what is read can be written, and is the same when read again.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob(filepath.Join(filepath.Dir(fixture), "source-*.json"))
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range seeds {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"tag":"ü<&>","time":"2026-03-04T05:06:07Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := ParseJSON(b)
		if err != nil {
			return
		}
		var w bytes.Buffer
		if err := WriteJSON(&w, i); err != nil {
			t.Fatalf("%+v: %v", i, err)
		}
		again, err := ParseJSON(w.Bytes())
		if err != nil || !reflect.DeepEqual(i, again) {
			t.Fatalf("%+v became %+v, %v", i, again, err)
		}
	})
}
