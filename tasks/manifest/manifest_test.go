package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

func block() *tasks.Block {
	b := tasktest.Block("metadata", "meta", fstest.MapFS{})
	b.Project.Source.Time = time.Unix(1700000000, 0).UTC()
	b.Values["stages"] = tasks.Value{Stages: []tasks.StageValue{
		{Name: "sums", Type: "checksum", Steps: []tasks.StepOutputs{{ID: 9, Outputs: []string{"dist/checksums.txt"}}}},
		{Name: "bin", Type: "go_build", Steps: []tasks.StepOutputs{
			{ID: 7, Cell: "linux/arm/v7", Outputs: []string{"dist/arm/app"}, Platform: &tasks.Platform{OS: "linux", Arch: "arm", Variant: "v7"}},
			{ID: 7, Cell: "linux/arm/v7", Outputs: []string{"dist/arm/app"}},
		}},
		{Name: "site", Type: "exec", Steps: []tasks.StepOutputs{{ID: 8, Outputs: []string{"site"}}}},
	}}
	return b
}

var files = fstest.MapFS{
	"dist/checksums.txt": {Data: []byte("x\n")}, "dist/arm/app": {Data: []byte("app"), Mode: 0o755},
	"site/b/c.txt": {Data: []byte("c")}, "site/a.txt": {Data: nil},
}

// TestFixture holds version 1 of both files to the frozen ones.
func TestFixture(t *testing.T) {
	b := block()
	tasktest.Set(b, "version", "1.2.3")
	tasktest.Set(b, "commit", strings.Repeat("ab", 20))
	tasktest.Set(b, "extra", map[string]string{"b": "<2>", "a": "1"})
	for range 2 {
		dir, _, err := tasktest.Run(t, Tools(), tasktest.Step(t, task{}, b), files)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{metadataFile, artifactsFile} {
			got, err := os.ReadFile(filepath.Join(dir, "dist", name))
			if err != nil {
				t.Fatal(err)
			}
			fixture := "../../testdata/formats/" + strings.TrimSuffix(name, ".json") + "-1.json"
			want, err := os.ReadFile(fixture)
			if err != nil || string(got) != string(want) {
				t.Errorf("%s (%v):\n%s", fixture, err, got)
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	b := block()
	b.Values["stages"] = tasks.Value{Range: b.Range, Stages: []tasks.StageValue{{Name: "vet", Type: "go_vet", Steps: []tasks.StepOutputs{{ID: 1}}}}}
	tasktest.WantError(t, task{}, b, "Nothing was made")
	b = block()
	s := b.Values["stages"].Stages
	s[0].Steps[0].Outputs = []string{"dist/artifacts.json"}
	b.Values["stages"] = tasks.Value{Range: b.Range, Stages: s}
	tasktest.WantError(t, task{}, b, "Output of another stage")
	b = block()
	if _, _, err := tasktest.Run(t, Tools(), tasktest.Step(t, task{}, b), fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "describe dist/arm/app") {
		t.Errorf("missing input: %v", err)
	}
}
