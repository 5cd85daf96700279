package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// A relayProcess is the relay that a script has started.
type relayProcess struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	ended  func() error // waits, once
}

// The commands of scripts about relays:
//
//	relay-start ARG…         start `airbuild relay --listen 127.0.0.1:0 ARG…`, and set
//	                         $RELAY to its address; what it says is in relay.out
//	relay-stop               end it with SIGTERM: it ends with exit code 0; what it
//	                         said on stderr is in relay.err
//	http STATUS METHOD URL [BODYFILE] [NAME:VALUE…]
//	                         send a request; the answer's body is in http.out
type relayScripts struct {
	mu      sync.Mutex // guards running; scripts run at once
	running map[*testscript.TestScript]*relayProcess
}

func (r *relayScripts) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: relay-start ARG…")
	}
	p := &relayProcess{cmd: exec.Command(lookPath(ts, "airbuild"), append([]string{"relay", "--listen", "127.0.0.1:0"}, args...)...)}
	p.cmd.Dir, p.cmd.Stderr = ts.MkAbs("."), &p.stderr
	p.cmd.Env = scriptEnv(ts)
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	p.ended = sync.OnceValue(p.cmd.Wait)
	ts.Defer(func() {
		p.cmd.Process.Kill()
		p.ended()
	})
	// It writes all of it at once, when it listens.
	b := make([]byte, 64<<10)
	n, err := bufio.NewReader(out).Read(b)
	if err != nil {
		p.ended()
		ts.Fatalf("relay-start: %v\n%s", err, p.stderr.String())
	}
	text := string(b[:n])
	ts.Check(os.WriteFile(ts.MkAbs("relay.out"), []byte(text), 0o666))
	address, _, _ := strings.Cut(strings.TrimPrefix(text, "relay on "), "\n")
	ts.Setenv("RELAY", address)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = map[*testscript.TestScript]*relayProcess{}
	}
	r.running[ts] = p
}

func (r *relayScripts) stop(ts *testscript.TestScript, neg bool, args []string) {
	r.mu.Lock()
	p := r.running[ts]
	delete(r.running, ts)
	r.mu.Unlock()
	if neg || len(args) > 0 || p == nil {
		ts.Fatalf("usage: relay-stop, after relay-start")
	}
	ts.Check(terminate(p.cmd.Process))
	if err := p.ended(); err != nil {
		ts.Fatalf("relay-stop: %v\n%s", err, p.stderr.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs("relay.err"), []byte(p.stderr.String()), 0o666))
}

func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http STATUS METHOD URL [BODYFILE] [NAME:VALUE…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var body io.Reader
	var headers []string
	for _, arg := range args[3:] {
		if strings.Contains(arg, ":") {
			headers = append(headers, arg)
			continue
		}
		body = strings.NewReader(ts.ReadFile(arg))
	}
	r, err := http.NewRequest(args[1], args[2], body)
	ts.Check(err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("http.out"), b, 0o666))
	if answer.StatusCode != want {
		ts.Fatalf("http %s: %s, want %d\n%s", args[2], answer.Status, want, b)
	}
}

// scriptEnv is what the script gives its processes, as far as airbuild looks.
func scriptEnv(ts *testscript.TestScript) []string {
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "USERPROFILE", "AIRBUILD_CACHE", "TMPDIR", "TMP", "TEMP", "SystemRoot", "GOCOVERDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, fmt.Sprintf("%s=%s", name, v))
		}
	}
	return env
}

func lookPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		for _, suffix := range []string{"", ".exe"} {
			if info, err := os.Stat(filepath.Join(dir, name+suffix)); err == nil && info.Mode().IsRegular() {
				return filepath.Join(dir, name+suffix)
			}
		}
	}
	ts.Fatalf("%s is not in PATH", name)
	return ""
}
