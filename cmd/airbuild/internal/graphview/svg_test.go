package graphview

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
)

// svgOf draws, and checks that it is XML and draws the same again.
func svgOf(t *testing.T, v *View) string {
	t.Helper()
	var one, two bytes.Buffer
	if err := v.WriteSVG(&one); err != nil {
		t.Fatal(err)
	}
	if err := v.WriteSVG(&two); err != nil {
		t.Fatal(err)
	}
	if one.String() != two.String() {
		t.Error("the same graph was drawn in two ways")
	}
	for d := xml.NewDecoder(bytes.NewReader(one.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, one.String())
		}
	}
	return one.String()
}

func TestWriteSVG(t *testing.T) {
	g, targets := sample(t)
	v := New(g, targets, true)
	got := svgOf(t, v)
	edges := 0
	for _, n := range v.Nodes {
		edges += len(n.Needs)
	}
	if n := strings.Count(got, `class="way"`); n != edges {
		t.Errorf("%d arrows, want %d", n, edges)
	}
	if n := strings.Count(got, `class="box"`); n != len(v.Nodes) {
		t.Errorf("%d boxes, want %d", n, len(v.Nodes))
	}
	if !strings.Contains(got, ">bin[&#34;linux&#34;]<") {
		t.Errorf("the name of a step is not there, escaped:\n%s", got)
	}
}

// A node is to the right of all that it needs, and no two boxes overlap.
func TestSVGPlaces(t *testing.T) {
	g := &engine.Graph{}
	var ids []engine.StepID
	for i := range 60 {
		s := engine.Step{Name: fmt.Sprint("s", i), Stage: fmt.Sprint("s", i), Type: "exec"}
		for _, back := range []int{1, 7, 30} {
			if i%back == 0 && i >= back {
				s.After = append(s.After, ids[i-back])
			}
		}
		id, err := g.Add(s)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	v := New(g, ids, true)
	columns, spots := v.columns()
	place(columns)
	for _, n := range v.Nodes {
		for _, need := range n.Needs {
			if a, b := spots[need], spots[n]; a.x+a.width >= b.x {
				t.Errorf("%s is at %d, and %s, which it needs, ends at %d", n.Name, b.x, need.Name, a.x+a.width)
			}
		}
	}
	for _, column := range columns {
		for i := 1; i < len(column); i++ {
			if a, b := column[i-1], column[i]; a.y+a.height()/2 > b.y-b.height()/2 {
				t.Errorf("two spots of a column overlap: %d and %d", a.y, b.y)
			}
		}
	}
	svgOf(t, v)
	svgOf(t, New(&engine.Graph{}, nil, false))
}
