package compress

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// fakePacker is a program with upx's manners that keeps the first ten bytes.
const fakePacker = `#!/bin/sh
test "$1" = --best || exit 3
while test $# -gt 2; do
	if test "$1" = -o; then out=$2; fi
	shift
done
head -c 10 "$2" >"$out"
`

func block(t *testing.T, script string) *tasks.Block {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil || runtime.GOOS == "windows" {
		t.Skip("this host has no sh to play the packer with")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "upx"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	b := tasktest.Block("compress_binary", "small", nil)
	b.Project.FindTool = exec.LookPath
	tasktest.Set(b, "file", tasktest.Made("dist/yq.exe"))
	return b
}

var in = fstest.MapFS{"dist/yq.exe": {Data: []byte(strings.Repeat("x", 40)), Mode: 0o755}}

func TestCompress(t *testing.T) {
	s := tasktest.Step(t, task{}, block(t, fakePacker))
	const want = `[airbuild:compress 1 {"program":"upx","args":["--best","-q"],"file":"dist/yq.exe","output":"dist/yq_upx.exe"}]`
	if got := fmt.Sprint(s.Command.Arguments); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if ps := s.Discoverer.(tasks.Programs); len(ps) != 1 || ps[0].Name != "upx" || s.Mode != engine.Staged {
		t.Errorf("programs %v, mode %v", ps, s.Mode)
	}
	dir, log, err := tasktest.Run(t, Tools(), s, in)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	info, err := os.Stat(filepath.Join(dir, "dist", "yq_upx.exe"))
	if err != nil || info.Size() != 10 || info.Mode()&0o100 == 0 {
		t.Errorf("%v %v", info, err)
	}
	if log != "dist/yq_upx.exe: 10 bytes, was 40 (-75.0 %)\n" {
		t.Errorf("log %q", log)
	}
}

func TestPackerFails(t *testing.T) {
	for script, words := range map[string]string{
		"#!/bin/sh\necho not packable; exit 2\n": "exit status 2",
		"#!/bin/sh\nexit 0\n":                    "made no dist/yq_upx.exe",
	} {
		s := tasktest.Step(t, task{}, block(t, script))
		_, _, err := tasktest.Run(t, Tools(), s, in)
		if _, ok := errors.AsType[*engine.ExitError](err); !ok || !strings.Contains(err.Error(), words) {
			t.Errorf("err = %v, want %q", err, words)
		}
	}
}

func TestMistakes(t *testing.T) {
	b := tasktest.Block("compress_binary", "small", nil)
	tasktest.Set(b, "file", tasktest.Made("dist/yq"))
	tasktest.WantMissing(t, task{}, b, `program "upx" not found: it is in none of the directories on PATH`)
	b.Project.FindTool = func(string) (string, error) { return "/host/upx", nil }
	tasktest.Set(b, "output", "yq")
	tasktest.WantError(t, task{}, b, "Output is the file itself")
}

func TestDefaultOutput(t *testing.T) {
	for file, want := range map[string]string{"dist/a": "a_upx", "dist/a.exe": "a_upx.exe", "a.b": "a.b_upx"} {
		if got := defaultOutput(file, "/opt/upx"); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}
