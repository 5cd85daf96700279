package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/host/hosttest"
)

// A block of code in a page, and the name of the file before it: `NAME`:
var pageBlock = regexp.MustCompile("(?ms)(?:^`([^`\n]+)`:\n\n)?^```([a-z]*)\n(.*?)^```$")

// pageScript makes a script of a page: blocks of sh are its commands, and other
// blocks after the name of a file write that file.
func pageScript(page string) string {
	script := "set -eu\n"
	for _, m := range pageBlock.FindAllStringSubmatch(page, -1) {
		switch name, language, text := m[1], m[2], m[3]; {
		case name != "":
			script += fmt.Sprintf("cat >'%s' <<'END OF FILE'\n%sEND OF FILE\n", name, text)
		case language == "sh":
			script += text
		}
	}
	return script
}

// Every command of docs/getting-started.md works, and does what the page says.
func TestGettingStartedDocs(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("it builds a program for several platforms, and a bundle")
	case runtime.GOOS != "linux":
		t.Skip("a bundle is test-built on Linux only")
	}
	for _, program := range []string{"git", "sh", "sha256sum", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is needed", program)
		}
	}
	if err := exec.Command("unshare", "-rm", "true").Run(); err != nil {
		t.Skip("a bundle cannot be test-built without user namespaces")
	}
	b, err := os.ReadFile(docsFile("docs/getting-started.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() { writable(dir) })
	warmGoCache(t)
	home := filepath.Join(dir, "home")
	cmd := exec.Command("sh", "-c", pageScript(string(b)))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"HOME="+hosttest.Home(t, home), "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "AIRBUILD_CACHE=", "AIRBUILD_KEYS=",
		"CI=", "GOFLAGS=", "GOCACHE="+goEnv(t, "GOCACHE")["GOCACHE"], "GOMODCACHE=", "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES="+dir,
		"GIT_AUTHOR_NAME=Test", "GIT_COMMITTER_NAME=Test", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docs/getting-started.md: %v\n%s", err, out)
	}
	// In the order of the page: a release, the same again, an edit that is
	// planned, a bundle, and on the isolated host the release and an edit.
	rest := string(out)
	for _, want := range []string{
		`ok: 8 steps: 0 hits, 8 ran`,
		`hello_v1\.0\.0_windows_amd64\.zip: OK`,
		`ok: 8 steps: 8 hits, 0 ran`,
		`greet/greet\.go changed`,
		`signed by +site`,
		`imported hello-release`,
		`ok: 8 steps: 8 hits, 0 ran`,
		`hello_v1\.0\.0-dirty_linux_amd64\.tar\.gz`,
	} {
		at := regexp.MustCompile(want).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("docs/getting-started.md: nothing matches %q in what follows the last match:\n%s\nall of it:\n%s", want, rest, out)
		}
		rest = rest[at[1]:]
	}
	if strings.Contains(rest, "error:") {
		t.Errorf("an error: %s", rest)
	}
}

// The pages about CI systems show the files of examples/hello.
func TestCIDocsShowTheExamples(t *testing.T) {
	for page, name := range map[string]string{"gitlab": ".gitlab-ci.yml", "jenkins": "Jenkinsfile"} {
		text, err := os.ReadFile(docsFile("docs/how-to/" + page + ".md"))
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(docsFile("examples/hello/" + name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\n"+string(file)+"```\n") {
			t.Errorf("docs/how-to/%s.md does not show examples/hello/%s as it is", page, name)
		}
	}
}
