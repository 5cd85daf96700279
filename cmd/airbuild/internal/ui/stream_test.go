package ui

import (
	"errors"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

const testLog = `{"Action":"start","Package":"ex.com/a"}
{"Action":"run","Package":"ex.com/a","Test":"TestGood"}
{"Action":"output","Package":"ex.com/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"ex.com/a","Test":"TestGood","Output":"    noise of a passed test\n"}
{"Action":"pass","Package":"ex.com/a","Test":"TestGood","Elapsed":0.01}
{"Action":"run","Package":"ex.com/a","Test":"TestBad"}
{"Action":"output","Package":"ex.com/a","Test":"TestBad","Output":"    a_test.go:9: want 1, got 2\n"}
{"Action":"output","Package":"ex.com/a","Test":"TestBad","Output":"--- FAIL: TestBad (0.02s)\n"}
{"Action":"fail","Package":"ex.com/a","Test":"TestBad","Elapsed":0.02}
{"Action":"run","Package":"ex.com/a","Test":"TestLater"}
{"Action":"output","Package":"ex.com/a","Test":"TestLater","Output":"    a_test.go:20: needs a printer\n"}
{"Action":"skip","Package":"ex.com/a","Test":"TestLater","Elapsed":0}
{"Action":"output","Package":"ex.com/a","Output":"FAIL\n"}
{"Action":"output","Package":"ex.com/a","Output":"FAIL\tex.com/a\t0.050s\n"}
{"Action":"fail","Package":"ex.com/a","Elapsed":0.05}
{"ImportPath":"ex.com/b [ex.com/b.test]","Action":"build-output","Output":"# ex.com/b\n"}
{"ImportPath":"ex.com/b [ex.com/b.test]","Action":"build-output","Output":"b/b.go:3:1: undefined: x\n"}
{"ImportPath":"ex.com/b [ex.com/b.test]","Action":"build-fail"}
{"Action":"start","Package":"ex.com/b"}
{"Action":"output","Package":"ex.com/b","Output":"FAIL\tex.com/b [build failed]\n"}
{"Action":"fail","Package":"ex.com/b","Elapsed":0,"FailedBuild":"ex.com/b [ex.com/b.test]"}
{"Action":"output","Package":"ex.com/c","Output":"ok  \tex.com/c\t0.010s\n"}
{"Action":"pass","Package":"ex.com/c","Elapsed":0.01}
`

var (
	tidy   = &engine.Step{Name: "tidy", Stage: "tidy", Type: "go_tidy", Origin: "Airbuildfile:3,1-22"}
	linux  = &engine.Step{Name: "bin[linux/amd64]", Stage: "bin", Cell: "linux/amd64", Type: "go_build", Traits: engine.Traits{Shipped: true}, Origin: "Airbuildfile:8,1-22"}
	mac    = &engine.Step{Name: "bin[darwin/arm64]", Stage: "bin", Cell: "darwin/arm64", Type: "go_build", Traits: engine.Traits{Shipped: true}, Origin: "Airbuildfile:8,1-22"}
	tests  = &engine.Step{Name: "test", Stage: "test", Type: "go_test", LogFormat: GoTestJSON, Origin: "dir:x/Airbuildfile:20,1-15"}
	sums   = &engine.Step{Name: "sums", Stage: "sums", Type: "checksum"}
	upload = &engine.Step{Name: "upload", Stage: "upload", Type: "exec"}
)

// stream is a run in which everything happens that an Event can tell.
func stream() []engine.Event {
	keyed := action.Of([]byte("key"))
	failed := errors.New("go: exit status 1")
	return []engine.Event{
		{Kind: engine.RunStarted, Time: at(0), Total: 6, Jobs: 2},
		{Kind: engine.Notice, Time: at(1), Reason: "damaged blob 0123456789ab: its bytes are not its name's"},
		{Kind: engine.StepFinished, Time: at(10), ID: 0, Step: tidy, Status: engine.Hit, Key: keyed,
			Duration: 5 * time.Millisecond, Saved: 1200 * time.Millisecond},
		{Kind: engine.StepStarted, Time: at(11), ID: 1, Step: linux, Status: engine.Running, Key: keyed, Reason: "go.sum changed; 2 files"},
		{Kind: engine.StepStarted, Time: at(12), ID: 2, Step: mac, Status: engine.Running, Key: keyed, Reason: "not in the store"},
		{Kind: engine.StepWaiting, Time: at(13), ID: 2, Step: mac, Status: engine.Running, Key: keyed},
		{Kind: engine.StepOutput, Time: at(20), ID: 1, Step: linux, Output: []byte("line one\n")},
		{Kind: engine.StepBlocked, Time: at(20), ID: 1, Step: linux, Status: engine.Running, Key: keyed,
			Blocked: &engine.Attempt{Program: "go", PID: 7, Op: "connect", Address: "192.0.2.7:443"}},
		{Kind: engine.StepBlocked, Time: at(20), ID: 1, Step: linux, Status: engine.Running, Key: keyed,
			Blocked: &engine.Attempt{Op: "lookup", Host: "example.com"}},
		{Kind: engine.StepOutput, Time: at(21), ID: 1, Step: linux, Output: []byte("\x1b[31mline\x1b[0m \x1b]0;title\atwo\x07\n")},
		{Kind: engine.StepFinished, Time: at(1300), ID: 1, Step: linux, Status: engine.Done, Key: keyed, Duration: 1289 * time.Millisecond,
			Compiled: engine.Compiled{Hits: 512, Misses: 3},
			Log:      []byte("line one\n\x1b[31mline\x1b[0m \x1b]0;title\atwo\x07\nno end"),
			Outputs: []engine.Output{
				{Path: "dist/app_linux", Digest: keyed, Size: 10 << 20, Executable: true, Written: true, Before: 9 << 20},
				{Path: "vendor", Digest: keyed, Size: 2048, Dir: true, Before: -1},
			}},
		{Kind: engine.StepFinished, Time: at(1400), ID: 2, Step: mac, Status: engine.Hit, Key: keyed, Duration: 1388 * time.Millisecond,
			Saved: 3 * time.Second, Log: []byte("a warning\n##[error]not yours\n::error::nor this\n"),
			Outputs: []engine.Output{{Path: "dist/app_darwin", Digest: keyed, Size: 1 << 20, Before: -1}}},
		{Kind: engine.StepStarted, Time: at(1401), ID: 3, Step: tests, Status: engine.Running, Key: keyed},
		{Kind: engine.StepRetry, Time: at(1500), ID: 3, Step: tests, Err: failed},
		{Kind: engine.StepFinished, Time: at(1900), ID: 3, Step: tests, Status: engine.Failed, Key: keyed,
			Duration: 499 * time.Millisecond, Err: failed, Log: []byte(testLog)},
		{Kind: engine.StepFinished, Time: at(1901), ID: 4, Step: sums, Status: engine.Skipped, Reason: "needs test, which failed"},
		{Kind: engine.StepFinished, Time: at(1902), ID: 5, Step: upload, Status: engine.Cancelled, Reason: "test failed"},
		{Kind: engine.RunFinished, Time: at(2000), Summary: &engine.Summary{
			Steps: 6, Hits: 2, Ran: 1, Failed: 1, Skipped: 1, Cancelled: 1, Wall: 2 * time.Second, Saved: 4200 * time.Millisecond,
			Removed: []string{"dist/old"}, Damaged: 1, CompileHits: 512, CompileMisses: 3,
			Failures: []engine.Failure{{ID: 3, Step: tests, Err: failed, Log: []byte(testLog)}},
		}},
	}
}

func play(s Sink, events []engine.Event) {
	for _, e := range events {
		s.OnEvent(e)
	}
	s.Close()
}

func recorded(events []engine.Event) *Run {
	r := NewRecorder()
	play(r, events)
	return r.Run()
}

// environ makes a LookupEnv of name, value pairs.
func environ(pairs ...string) func(string) (string, bool) {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}
