package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/host/hosttest"
	"github.com/airbuild/airbuild/engine/trace"
)

// The secrets that are planted. None is found by accident.
const (
	secretPlain = "hunter2+correct/horse=battery"
	secretOdd   = `pa"ss\wörd & <sl/ash> 'q' %41`
	secretLines = "-----BEGIN PLANTED KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgplantedplanted\nq8Zsecondlineoftheplantedsecretkey==\n-----END PLANTED KEY-----\n"
	secretEnv   = "ghp_PlantedTokenOfTheEnvironment0815"
)

// TestSecretsLeaveNoTrace runs everything with planted secrets and looks for
// them, in every encoding, in all that was printed and all that is left on disk.
func TestSecretsLeaveNoTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every command")
	}
	for _, program := range []string{"sh", "git", "base64", "od"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
	top := t.TempDir()
	project := filepath.Join(top, "project")
	w := &secretWorld{t: t, top: top, project: project}
	w.write("Airbuildfile", secretsAirbuildfile)
	w.write("in.txt", "in\n")
	w.write("conf.tmpl", "debug\n")
	w.git("init", "-q", "-b", "main")
	w.git("add", "-A")
	w.git("commit", "-q", "-m", "first")
	out := filepath.Join(top, "out")
	if err := os.Mkdir(out, 0o777); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(out, name) }
	w.run(0, "key", "new", "site", "--no-password")
	w.run(0, "validate")
	w.run(0, "list")
	w.run(0, "graph", "--format", "json")
	w.run(0, "plan", "release")
	w.run(0, "run", "release", "--report", at("r.html"), "--junit", at("j.xml"), "--trace", at("t.json"), "--metrics", at("m.txt"))
	w.run(0, "run", "release") // replayed logs
	w.run(0, "run", "release", "--output", "json")
	w.run(1, "run", "fails", "--junit", at("f.xml"), "--report", at("f.html"))
	w.run(1, "run", "fails", "--output", "json")
	w.run(0, "explain", "says")
	w.run(0, "explain", "says", "--output", "json", "--inputs")
	w.run(2, "-f", filepath.Join(project, "wrong.airbuild.hcl"), "validate")
	w.run(0, "verify", "says")
	w.run(3, "verify", "leaks", "--output", "json")
	if trace.Supported(t.Context()) == nil {
		w.run(-1, "audit", "says", "--output", "json")
	}
	w.run(-1, "doctor") // hosts differ
	w.run(0, "host", "fingerprint")
	w.run(0, "bundle", "create", "release", "--to", at("bundle"), "--sign", "site", "--no-rehearse", "--without", "airbuild")
	w.run(0, "bundle", "inspect", at("bundle"))
	w.run(0, "bundle", "receipt")
	w.run(0, "cache", "info")
	w.search(out)
	w.search(filepath.Join(top, "cache"))
	w.search(filepath.Join(top, "home"))
	w.search(filepath.Join(project, "dist"))
	w.search(filepath.Join(project, ".git"))
	if w.looked < 50 {
		t.Errorf("only %d files were looked through", w.looked)
	}
	if !w.masked {
		t.Error("no log shows that something was masked: the secrets were never printed")
	}
}

const secretsAirbuildfile = `
variable "plain" {
  type      = string
  sensitive = true
}
variable "odd" {
  type      = string
  sensitive = true
}
variable "lines" {
  type      = string
  sensitive = true
}
variable "token" {
  type      = string
  sensitive = true
  env       = "PLANTED_TOKEN"
}
stage "exec" "says" {
  env = {
    PLAIN = var.plain
    ODD   = var.odd
    LINES = var.lines
    TOKEN = var.token
  }
  script = <<-EOS
    echo "plain $PLAIN odd $ODD token $TOKEN"
    echo "$LINES"
    sh -c 'printf "%s" "$TOKEN" | base64'
    sh -c 'printf "x%s" "$TOKEN" | base64; printf "xy%s" "$TOKEN" | base64 -w0; echo'
    sh -c 'printf "%s" "$LINES" | base64'
    sh -c 'printf "%s" "$PLAIN" | od -An -v -tx1 | tr -d " \n"; echo'
    sh -c 'printf "%s" "$TOKEN" | cut -c1-9 | tr -d "\n"; sleep 0.05; printf "%s" "$TOKEN" | cut -c10-; echo'
    echo made > says.txt
  EOS
  outputs = ["says.txt"]
}
stage "exec" "fails" {
  env     = { TOKEN = var.token, ODD = var.odd }
  command = ["sh", "-c", "echo $TOKEN >&2; echo \"$ODD\" >&2; exit 9"]
}
stage "exec" "leaks" {
  env     = { TOKEN = var.token }
  script  = "sh -c 'echo at $(date +%s%N)' > leaks.txt"
  outputs = ["leaks.txt"]
}
pipeline "release" {
  stages = [stage.says]
}
`

// A secretWorld is the project with its surroundings.
type secretWorld struct {
	t            *testing.T
	top, project string
	looked       int
	masked       bool
}

func (w *secretWorld) write(name, text string) {
	w.t.Helper()
	p := filepath.Join(w.project, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
		w.t.Fatal(err)
	}
}

func (w *secretWorld) env() []string {
	home := hosttest.Home(w.t, filepath.Join(w.top, "home"))
	return append(os.Environ(), "HOME="+home, "AIRBUILD_CACHE="+filepath.Join(w.top, "cache"), "AIRBUILD_KEYS="+filepath.Join(home, "keys"),
		"PLANTED_TOKEN="+secretEnv, "AIRBUILD_VAR_lines="+secretLines, "AIRBUILD_VAR_plain="+secretPlain, "AIRBUILD_VAR_odd="+secretOdd,
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com", "NO_COLOR=1")
}

func (w *secretWorld) git(args ...string) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = w.project, w.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// run runs airbuild and looks through what it prints. The code is checked unless
// it is negative.
func (w *secretWorld) run(code int, args ...string) {
	w.t.Helper()
	if _, err := os.Stat(filepath.Join(w.project, "wrong.airbuild.hcl")); err != nil {
		w.write("wrong.airbuild.hcl", strings.Replace(secretsAirbuildfile, `outputs = ["says.txt"]`, `outputs = [var.odd, var.nothing, tonumber(var.token)]`, 1))
	}
	cmd := exec.Command(w.program(), args...)
	cmd.Dir, cmd.Env = w.project, w.env()
	out, err := cmd.CombinedOutput()
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		w.t.Fatal(err)
	}
	if code >= 0 && got != code {
		w.t.Errorf("airbuild %v: exit code %d, want %d\n%s", args, got, code, out)
	}
	w.masked = w.masked || bytes.Contains(out, []byte("plain ***"))
	w.look("what airbuild "+strings.Join(args, " ")+" printed", out)
}

// search looks through every file below a directory, decompressed too.
func (w *secretWorld) search(dir string) {
	w.t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		w.look("the name of a file", []byte(name))
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		w.looked++
		w.unpacked(name, b, 0)
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		w.t.Error(err)
	}
}

func (w *secretWorld) unpacked(name string, b []byte, depth int) {
	w.look(name, b)
	if depth > 3 {
		return
	}
	if z, err := zstd.NewReader(bytes.NewReader(b)); err == nil {
		if inner, err := io.ReadAll(z); err == nil && len(inner) > 0 {
			w.unpacked(name+" (zstd)", inner, depth+1)
		}
		z.Close()
	}
	if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		if inner, err := io.ReadAll(z); err == nil {
			w.unpacked(name+" (gzip)", inner, depth+1)
		}
	}
	if r := tar.NewReader(bytes.NewReader(b)); r != nil {
		for {
			h, err := r.Next()
			if err != nil {
				break
			}
			if inner, err := io.ReadAll(r); err == nil {
				w.unpacked(name+" ("+h.Name+")", inner, depth+1)
			}
		}
	}
}

// look fails if a secret is in b.
func (w *secretWorld) look(what string, b []byte) {
	w.t.Helper()
	for _, secret := range plantedForms() {
		if at := bytes.Index(b, []byte(secret)); at >= 0 {
			w.t.Errorf("%s holds a secret, as %q: …%q…", what, secret, b[max(0, at-60):min(len(b), at+len(secret)+20)])
		}
	}
}

// plantedForms are the secrets as this test looks for them: made apart from
// what airbuild masks.
func plantedForms() []string {
	var out []string
	for _, s := range []string{secretPlain, secretOdd, secretEnv, strings.Split(secretLines, "\n")[1], strings.Split(secretLines, "\n")[2]} {
		quoted, _ := json.Marshal(s)
		out = append(out, s, strings.Trim(string(quoted), `"`), url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)),
			base64.RawStdEncoding.EncodeToString([]byte(s[:len(s)/3*3])), base64.RawURLEncoding.EncodeToString([]byte(s[:len(s)/3*3])),
			base64.RawStdEncoding.EncodeToString([]byte("x" + s))[4:20], base64.RawStdEncoding.EncodeToString([]byte("xy" + s))[4:20])
	}
	return append(out, base64.StdEncoding.EncodeToString([]byte(secretLines))[:60])
}

// program is this test binary under the name by which it is airbuild.
func (w *secretWorld) program() string {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	name := filepath.Join(w.top, "airbuild")
	if _, err := os.Lstat(name); err == nil {
		return name
	}
	if err := os.Link(self, name); err != nil {
		b, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(name, b, 0o755)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return name
}
