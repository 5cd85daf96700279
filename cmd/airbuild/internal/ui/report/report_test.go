package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

func TestWrite(t *testing.T) {
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	step := &engine.Step{Name: "bin[<b>]", Stage: "bin", Type: "go_build"}
	r := ui.NewRecorder()
	for _, e := range []engine.Event{
		{Kind: engine.RunStarted, Time: start, Total: 1, Jobs: 1},
		{Kind: engine.StepStarted, Time: start.Add(time.Second), Step: step, Status: engine.Running},
		{Kind: engine.StepFinished, Time: start.Add(4 * time.Second), Step: step, Status: engine.Failed, Duration: 3 * time.Second,
			Key: action.Of(nil), Log: []byte("</pre><script>alert(1)</script>\n"),
			Outputs: []engine.Output{{Path: "dist/a", Size: 2048, Before: 1024}}},
		{Kind: engine.RunFinished, Time: start.Add(4 * time.Second), Summary: &engine.Summary{Steps: 1, Ran: 1, Failed: 1, Wall: 4 * time.Second}},
	} {
		r.OnEvent(e)
	}
	var b bytes.Buffer
	if err := Write(&b, "release", r.Run()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"release: <span class=\"bad\">failed</span>", "bin[&lt;b&gt;]", "left:25.00%;width:75.00%", "&#43;1.0 KiB", "&lt;script&gt;", action.Of(nil).Hex(),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	for _, bad := range []string{"<script", "src=", "http://", "https://", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q:\n%s", bad, page)
		}
	}
}
