package graphview

import (
	"bytes"
	"io"
	"testing"

	"github.com/airbuild/airbuild/engine"
)

// sample is tidy → vendor → bin (two cells, one with an inner step) → sums,
// and test, which needs vendor too.
func sample(t *testing.T) (*engine.Graph, []engine.StepID) {
	t.Helper()
	g := &engine.Graph{}
	add := func(s engine.Step, after ...engine.StepID) engine.StepID {
		s.After = after
		id, err := g.Add(s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	tidy := add(engine.Step{Name: "tidy", Stage: "tidy", Type: "go_tidy"})
	vendor := add(engine.Step{Name: "vendor", Stage: "vendor", Type: "go_vendor"}, tidy)
	linux := add(engine.Step{Name: `bin["linux"]`, Stage: "bin", Cell: `"linux"`, Type: "go_build"}, vendor)
	arm := add(engine.Step{Name: "bin[mac]/arm64", Stage: "bin", Cell: "mac", Type: "go_build", Inner: true}, vendor)
	mac := add(engine.Step{Name: "bin[mac]", Stage: "bin", Cell: "mac", Type: "go_build"}, arm)
	sums := add(engine.Step{Name: "sums", Stage: "sums", Type: "checksum"}, linux, mac)
	test := add(engine.Step{Name: "test", Stage: "test", Type: "go_test"}, vendor)
	return g, []engine.StepID{sums, test}
}

func TestWrite(t *testing.T) {
	g, targets := sample(t)
	stages, steps := New(g, targets, false), New(g, targets, true)
	for _, tt := range []struct {
		name  string
		write func(io.Writer) error
		want  string
	}{
		{"text", stages.WriteText, `sums  checksum
└─ bin  go_build ×2
   └─ vendor  go_vendor
      └─ tidy  go_tidy
test  go_test
└─ vendor  go_vendor  (needs as above)
`},
		{"text cells", steps.WriteText, `sums  checksum
├─ bin["linux"]  go_build
│  └─ vendor  go_vendor
│     └─ tidy  go_tidy
└─ bin[mac]  go_build
   └─ vendor  go_vendor  (needs as above)
test  go_test
└─ vendor  go_vendor  (needs as above)
`},
		{"dot", steps.WriteDOT, `digraph airbuild {
	rankdir=LR
	node [shape=box, fontname="sans-serif"]
	"tidy" [label="tidy\ngo_tidy"]
	"vendor" [label="vendor\ngo_vendor"]
	"bin[\"linux\"]" [label="bin[\"linux\"]\ngo_build"]
	"bin[mac]" [label="bin[mac]\ngo_build"]
	"sums" [label="sums\nchecksum"]
	"test" [label="test\ngo_test"]
	"tidy" -> "vendor"
	"vendor" -> "bin[\"linux\"]"
	"vendor" -> "bin[mac]"
	"bin[\"linux\"]" -> "sums"
	"bin[mac]" -> "sums"
	"vendor" -> "test"
}
`},
		{"mermaid", steps.WriteMermaid, `flowchart LR
    n0["tidy<br/>go_tidy"]
    n1["vendor<br/>go_vendor"]
    n2["bin[#quot;linux#quot;]<br/>go_build"]
    n3["bin[mac]<br/>go_build"]
    n4["sums<br/>checksum"]
    n5["test<br/>go_test"]
    n0 --> n1
    n1 --> n2
    n1 --> n3
    n2 --> n4
    n3 --> n4
    n1 --> n5
`},
		{"json", stages.WriteJSON, `{"nodes":[{"name":"tidy","type":"go_tidy","needs":[]},{"name":"vendor","type":"go_vendor","needs":["tidy"]},{"name":"bin","type":"go_build","cells":2,"needs":["vendor"]},{"name":"sums","type":"checksum","needs":["bin"]},{"name":"test","type":"go_test","needs":["vendor"]}]}
`},
	} {
		var b bytes.Buffer
		if err := tt.write(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, b.String(), tt.want)
		}
	}
}
