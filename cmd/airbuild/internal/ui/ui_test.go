package ui

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
)

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		c     Config
		mode  Mode
		ci    CI
		color bool
	}{
		{"a pipe", Config{}, Plain, NoCI, false},
		{"asked for", Config{Mode: TTY}, TTY, NoCI, true},
		{"no color", Config{Mode: TTY, LookupEnv: environ("NO_COLOR", "1")}, TTY, NoCI, false},
		{"empty NO_COLOR counts for nothing", Config{Mode: TTY, LookupEnv: environ("NO_COLOR", "")}, TTY, NoCI, true},
		{"always wins", Config{Color: ColorAlways, LookupEnv: environ("NO_COLOR", "1")}, Plain, NoCI, true},
		{"never wins", Config{Mode: TTY, Color: ColorNever}, TTY, NoCI, false},
		{"dumb", Config{Mode: TTY, LookupEnv: environ("TERM", "dumb")}, TTY, NoCI, false},
		{"gitlab", Config{LookupEnv: environ("GITLAB_CI", "true", "CI", "true")}, Plain, GitLab, true},
		{"github", Config{LookupEnv: environ("GITHUB_ACTIONS", "true")}, Plain, GitHub, true},
		{"jenkins", Config{LookupEnv: environ("JENKINS_URL", "http://ci/", "CI", "1")}, Plain, Jenkins, false},
		{"other", Config{LookupEnv: environ("CI", "1")}, Plain, OtherCI, false},
		{"CI=false", Config{LookupEnv: environ("CI", "false")}, Plain, NoCI, false},
		{"json", Config{Mode: JSON, LookupEnv: environ("GITLAB_CI", "true")}, JSON, GitLab, false},
	} {
		tt.c.Out = &bytes.Buffer{}
		d := Detect(tt.c)
		if d.Mode != tt.mode || d.CI != tt.ci || d.Palette.On() != tt.color {
			t.Errorf("%s: got %s %q color=%t, want %s %q color=%t", tt.name, d.Mode, d.CI, d.Palette.On(), tt.mode, tt.ci, tt.color)
		}
	}
}

func TestPlain(t *testing.T) {
	var out, errs bytes.Buffer
	play(New(Config{Out: &out, Err: &errs}), stream())
	want := `6 steps, 2 jobs
notice: damaged blob 0123456789ab: its bytes are not its name's
tidy: hit, saved 1.2s
bin[linux/amd64]: run, go.sum changed; 2 files
bin[darwin/arm64]: run, not in the store
bin[darwin/arm64]: waiting, another airbuild runs this step
bin[linux/amd64]: done, 1.3s
bin[linux/amd64] | line one
bin[linux/amd64] | line two
bin[linux/amd64] | no end
bin[darwin/arm64]: hit, saved 3.0s
bin[darwin/arm64] | a warning
bin[darwin/arm64] | ##[error]not yours
bin[darwin/arm64] | ::error::nor this
test: run
test: retry, go: exit status 1
test: failed, 0.50s: go: exit status 1
test |     a_test.go:9: want 1, got 2
test | --- FAIL: TestBad (0.02s)
test | FAIL
test | FAIL	ex.com/a	0.050s
test | # ex.com/b
test | b/b.go:3:1: undefined: x
test | FAIL	ex.com/b [build failed]
test | ok  	ex.com/c	0.010s
test: cause: x, used in b/b.go line 3, is declared in no file that counts for this platform and these tags.
test: fix: correct the name or declare it; if the file that has it is for another platform (_windows.go, go:build), add one for this; if it is generated, run that stage first
sums: skipped, needs test, which failed
upload: cancelled, test failed
  dist/app_darwin     1.0 MiB  new
  dist/app_linux     10.0 MiB  +1.0 MiB (+11.1 %)
dist/: 2 outputs, 11.0 MiB, 1 written
vendor/: 1 output, 2.0 KiB, 0 written
removed 1 stale output: dist/old
1 damaged part in the cache discarded and rebuilt
compile cache: 512 hits, 3 misses
failed: 6 steps: 2 hits, 1 ran, 1 failed, 1 skipped, 1 cancelled in 2.0s, saved 4.2s
`
	if got := out.String(); got != want {
		t.Errorf("stdout:\n%s\nwant:\n%s", got, want)
	}
	wantErr := `error: test failed: go: exit status 1
  stage go_test "test", dir:x/Airbuildfile:20
      a_test.go:9: want 1, got 2
  --- FAIL: TestBad (0.02s)
  FAIL
  FAIL	ex.com/a	0.050s
  # ex.com/b
  b/b.go:3:1: undefined: x
  FAIL	ex.com/b [build failed]
  ok  	ex.com/c	0.010s
  cause: x, used in b/b.go line 3, is declared in no file that counts for this platform and these tags.
  fix: correct the name or declare it; if the file that has it is for another platform (_windows.go, go:build), add one for this; if it is generated, run that stage first
`
	if got := errs.String(); got != wantErr {
		t.Errorf("stderr:\n%s\nwant:\n%s", got, wantErr)
	}
}

func TestGitLab(t *testing.T) {
	var out, errs bytes.Buffer
	play(New(Config{Out: &out, Err: &errs, Color: ColorNever, LookupEnv: environ("GITLAB_CI", "true")}), stream())
	for _, want := range []string{
		"\x1b[0Ksection_start:1772600767:airbuild_1_bin_linux_amd64_[collapsed=true]\r\x1b[0Kbin[linux/amd64]: done, 1.3s\n",
		"\x1b[0Ksection_end:1772600768:airbuild_1_bin_linux_amd64_\r\x1b[0K\n",
		"\x1b[0Ksection_start:1772600768:airbuild_3_test\r\x1b[0Ktest: failed, 0.50s: go: exit status 1\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%q", want, out.String())
		}
	}
	starts, ends := strings.Count(out.String(), "section_start:"), strings.Count(out.String(), "section_end:")
	if starts != 3 || ends != 3 {
		t.Errorf("%d sections begin and %d end, want 3 and 3", starts, ends)
	}
}

func TestGitHub(t *testing.T) {
	var out, errs bytes.Buffer
	play(New(Config{Out: &out, Err: &errs, Color: ColorNever, LookupEnv: environ("GITHUB_ACTIONS", "true")}), stream())
	for _, want := range []string{
		"::group::bin[linux/amd64]: done, 1.3s\nbin[linux/amd64] | line one\nbin[linux/amd64] | line two\nbin[linux/amd64] | no end\n::endgroup::\n",
		"bin[darwin/arm64] | ## [error]not yours\n",
		"\ntest: failed, 0.50s: go: exit status 1\ntest |     a_test.go",
		"::error file=dir%3Ax/Airbuildfile,line=20,title=test failed::go: exit status 1%0A    a_test.go:9: want 1, got 2%0A",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "##[") || strings.Contains(out.String(), "\n::error::nor") {
		t.Errorf("a step's log gives commands:\n%s", out.String())
	}
}

func TestTTY(t *testing.T) {
	var out, errs bytes.Buffer
	now := at(30)
	s := newTTY(Config{Out: &out, Err: &errs, Width: 60, Now: func() time.Time { return now }}, Palette{})
	events := stream()
	for _, e := range events[:6] {
		s.OnEvent(e)
	}
	s.mu.Lock()
	got := strings.Join(s.live(), "\n")
	s.mu.Unlock()
	want := `  bin[linux/amd64]  0.02s  go.sum changed; 2 files
  bin[darwin/arm64]  0.02s  another airbuild runs this step
1/6  1 hit, 0 ran, 2 running  0.03s`
	if got != want {
		t.Errorf("live part:\n%s\nwant:\n%s", got, want)
	}
	s.mu.Lock()
	s.frame(true)
	s.mu.Unlock()
	play(s, events[6:])
	text := out.String()
	if strings.Count(text, hideCursor) != 1 || strings.Count(text, showCursor) != 1 ||
		strings.LastIndex(text, showCursor) < strings.LastIndex(text, hideCursor) {
		t.Errorf("the cursor is not shown again: %q", text)
	}
	if strings.Contains(text, "tidy: hit") {
		t.Errorf("a hit without a log is listed:\n%s", text)
	}
	for _, want := range []string{"\r\x1b[3A" + clearBelow, "test: failed, 0.50s", "  line two\n", "dist/app_linux"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "title") {
		t.Errorf("a title escape reached the terminal: %q", text)
	}
	if !strings.HasPrefix(errs.String(), "error: test failed") {
		t.Errorf("stderr: %s", errs.String())
	}
}

func TestTTYFailureTail(t *testing.T) {
	var out, errs bytes.Buffer
	s := newTTY(Config{Out: &out, Err: &errs, Width: 60, Now: time.Now}, Palette{})
	s.OnEvent(engine.Event{Kind: engine.StepFinished, Step: tidy, Status: engine.Failed, Log: []byte(strings.Repeat("x\n", 99) + "last\n")})
	s.Close()
	if n := strings.Count(out.String(), "  x\n"); n != failureLines-1 {
		t.Errorf("%d lines of the log shown, want %d", n, failureLines-1)
	}
	if !strings.Contains(out.String(), "… 60 lines before; --output plain shows all") {
		t.Errorf("the lines left out are not counted:\n%s", out.String())
	}
}

func TestTTYNarrow(t *testing.T) {
	long := *linux
	long.Name = "bin[" + strings.Repeat("日本", 40) + "]"
	s := newTTY(Config{Out: &bytes.Buffer{}, Width: 30, Now: time.Now}, Palette{})
	defer s.Close()
	for i := range 40 {
		s.OnEvent(engine.Event{Kind: engine.StepStarted, ID: engine.StepID(i), Step: &long, Time: time.Now(), Reason: strings.Repeat("why ", 40)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.live()
	if len(part) > 14 {
		t.Errorf("%d live lines", len(part))
	}
	for _, l := range part {
		if human.Columns(l) > 29 {
			t.Errorf("line of %d columns: %q", human.Columns(l), l)
		}
	}
}

// Close may come from a signal handler while events still arrive.
func TestCloseWhileRunning(t *testing.T) {
	for _, mode := range []Mode{TTY, Plain, JSON} {
		var out, errs bytes.Buffer
		s := New(Config{Mode: mode, Out: &out, Err: &errs})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 100 {
				for _, e := range stream() {
					s.OnEvent(e)
				}
			}
		}()
		s.Close()
		<-ended
		if err := s.Close(); err != nil {
			t.Errorf("%s: second Close: %v", mode, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	for want, s := range map[string]engine.Summary{
		"ok: 3 steps: 3 hits, 0 ran in 0.00s":                      {Steps: 3, Hits: 3},
		"ok: 3 steps: 1 hit, 2 would run in 0.00s":                 {Steps: 3, Hits: 1, WouldRun: 2},
		"interrupted: 1 step: 0 hits, 0 ran, 1 cancelled in 0.00s": {Steps: 1, Cancelled: 1, Interrupted: true},
	} {
		if got := verdict(&s, Palette{}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
