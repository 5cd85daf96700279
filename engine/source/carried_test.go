package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/source"
)

const carriedFixture = "../../testdata/formats/carried-1.json"

func TestCarriedFixture(t *testing.T) {
	want, err := os.ReadFile(carriedFixture)
	if err != nil {
		t.Fatal(err)
	}
	c, err := source.ParseCarried(want)
	if err != nil || *c != (source.Carried{Bundle: strings.Repeat("0123456789abcdef", 4), Go: "go1.26.8"}) {
		t.Fatalf("%+v, %v", c, err)
	}
	dir := t.TempDir()
	if err := source.WriteCarried(dir, *c); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, source.CarriedName))
	if err != nil || string(got) != string(want) {
		t.Errorf("%q, %v", got, err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 1 {
		t.Errorf("left: %v", names)
	}
	if again, err := source.ReadCarried(dir); err != nil || *again != *c {
		t.Errorf("%+v, %v", again, err)
	}
	if none, err := source.ReadCarried(t.TempDir()); none != nil || err != nil {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestCarriedRefuses(t *testing.T) {
	id := strings.Repeat("a", 64)
	for _, text := range []string{
		``, `[]`, `{}`, `{"version":2,"bundle":"` + id + `"}`, `{"version":1,"bundle":"../x"}`,
		`{"version":1,"bundle":"` + strings.ToUpper(id) + `"}`, `{"version":1,"bundle":"` + id + `","x":1}`,
		`{"version":1,"bundle":"` + id + `"} {}`, `{"version":1,"bundle":"` + id + `","go":"go1.26/../.."}`,
	} {
		if c, err := source.ParseCarried([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, c)
		}
	}
	if err := source.WriteCarried(t.TempDir(), source.Carried{Bundle: "x"}); err == nil {
		t.Error("a bad one was written")
	}
}

func FuzzParseCarried(f *testing.F) {
	seed, err := os.ReadFile(carriedFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := source.ParseCarried(b)
		if err != nil {
			return
		}
		dir := t.TempDir()
		if err := source.WriteCarried(dir, *c); err != nil {
			t.Fatal(err)
		}
		if again, err := source.ReadCarried(dir); err != nil || *again != *c {
			t.Errorf("%+v, %v", again, err)
		}
	})
}
