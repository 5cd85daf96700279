package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain is also the program that the tests deploy, and a deploy that is to
// be killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "serve":
		os.Exit(serveApp(os.Args[2], os.Args[3]))
	case len(os.Args) > 2 && os.Args[1] == "deploy":
		os.Exit(deployApp(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// serveApp serves the version in dir on port: its number at /, and at /health
// what the file health holds as a status. It stops with its standard input.
func serveApp(dir, port string) int {
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.TrimSpace(string(b))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, read("version.txt")) })
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		code, err := strconv.Atoi(read("health"))
		if err != nil {
			code = 500
		}
		w.WriteHeader(code)
		fmt.Fprint(w, read("version.txt"))
	})
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Fprintln(os.Stderr, http.Serve(l, mux))
	return 1
}

// An init keeps the programs of slots running, as a service manager would: a
// hook asks it over HTTP to start and stop them.
type slotKeeper struct {
	mu      sync.Mutex
	running map[string]func() // by slot
	server  http.Server
	addr    string
}

func newSlotKeeper(t *testing.T) *slotKeeper {
	k := &slotKeeper{running: map[string]func(){}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k.addr, k.server.Handler = l.Addr().String(), k
	go k.server.Serve(l)
	t.Cleanup(func() {
		k.server.Close()
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, stop := range k.running {
			stop()
		}
	})
	return k
}

func (k *slotKeeper) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	q := req.URL.Query()
	slot := q.Get("slot")
	if stop := k.running[slot]; stop != nil {
		stop()
		delete(k.running, slot)
	}
	if q.Get("do") == "stop" {
		return
	}
	c := exec.Command(os.Args[0], "serve", q.Get("release"), q.Get("port"))
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	k.running[slot] = func() { stdin.Close(); _ = c.Wait() }
}

// hook is a command that asks the keeper.
func (k *slotKeeper) hook(do string) []string {
	return []string{"sh", "-c", fmt.Sprintf("curl -fsS 'http://%s/?do=%s&slot={slot}&port={port}&release={release}'", k.addr, do)}
}

// freePorts are two ports that nobody listens on.
func freePorts(t *testing.T) (ports [2]int) {
	t.Helper()
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// A load asks without pause, and counts by phase what it gets.
type load struct {
	ask    func() (string, error)
	phase  atomic.Value // string
	mu     sync.Mutex
	failed map[string]int            // by phase
	seen   map[string]map[string]int // by phase, by version
	first  map[string]error
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func startLoad(t *testing.T, ask func() (string, error)) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{ask: ask, failed: map[string]int{}, seen: map[string]map[string]int{}, first: map[string]error{}, stop: cancel}
	l.phase.Store("start")
	for range 2 {
		l.done.Go(func() {
			for ctx.Err() == nil {
				before := l.phase.Load().(string)
				version, err := l.ask()
				l.count(before, version, err)
				// A pause, so that the programs get their turn as well.
				time.Sleep(time.Millisecond)
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) count(phase, version string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed[phase]++
		if l.first[phase] == nil {
			l.first[phase] = err
		}
		return
	}
	if l.seen[phase] == nil {
		l.seen[phase] = map[string]int{}
	}
	l.seen[phase][version]++
}

func (l *load) end() { l.stop(); l.done.Wait() }

// during runs work in a phase of its own, and waits until the load has seen
// some of the state that it leaves.
func (l *load) during(phase string, work func()) {
	l.phase.Store(phase)
	work()
	settled := "after " + phase
	l.phase.Store(settled)
	for {
		l.mu.Lock()
		n := l.failed[settled]
		for _, c := range l.seen[settled] {
			n += c
		}
		l.mu.Unlock()
		if n >= 20 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// want fails unless a phase saw exactly these versions, and no request failed.
func (l *load) want(t *testing.T, phase string, versions ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.failed[phase]; n > 0 {
		t.Errorf("%s: %d requests failed; the first: %v", phase, n, l.first[phase])
	}
	for v := range l.seen[phase] {
		if !strings.Contains(" "+strings.Join(versions, " ")+" ", " "+v+" ") {
			t.Errorf("%s: version %s answered %d requests, want only %q", phase, v, l.seen[phase][v], versions)
		}
	}
}

func needCurl(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the hooks of this test are shell commands")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("this host has no curl, which the hooks of this test use")
	}
}

func appVersion(v, health string, plan Plan) Request {
	q := aVersion(v, plan)
	q.Files = []File{{Path: "health", Text: []byte(health), Mode: 0o644}}
	return q
}

// TestBlueGreenUnderLoad: whatever happens to the new version, no request fails,
// in no phase: it is started and checked beside the old one, and the traffic
// follows the port file.
func TestBlueGreenUnderLoad(t *testing.T) {
	needCurl(t)
	k, ports, target := newSlotKeeper(t), freePorts(t), aTarget(t)
	plan := Plan{
		Strategy: BlueGreen, Ports: &Ports{Blue: ports[0], Green: ports[1], File: "port"},
		Hooks:  Hooks{Start: k.hook("start"), Stop: k.hook("stop")},
		Health: &Health{URL: "http://127.0.0.1:{port}/health", Retries: 200, Interval: 20 * time.Millisecond},
	}
	mustDeploy(t, target, appVersion("1.0", "200", plan))
	quick := plan
	quick.Health = &Health{URL: plan.Health.URL, Retries: 3, Interval: 20 * time.Millisecond}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l := startLoad(t, func() (string, error) {
		for {
			port, err := os.ReadFile(filepath.Join(target.Root, "port"))
			if err != nil {
				return "", err
			}
			v, err := get(client, "http://127.0.0.1:"+strings.TrimSpace(string(port))+"/")
			// The window that is documented: who has read the port, and asks
			// only when that slot is used anew, has to read it again.
			if now, rerr := os.ReadFile(filepath.Join(target.Root, "port")); err == nil || rerr != nil || string(now) == string(port) {
				return v, err
			}
		}
	})
	l.during("good version", func() { mustDeploy(t, target, appVersion("1.1", "200", plan)) })
	l.during("bad version", func() {
		if out, err := Deploy(t.Context(), target, appVersion("1.2", "503", quick)); err == nil || out.Back == "" {
			t.Errorf("deploy = %+v, %v", out, err)
		}
	})
	late := plan // healthy until the traffic comes
	late.Hooks.Switch = []string{"sh", "-c", "case {version} in 1.3) exit 1;; esac"}
	l.during("bad switch", func() {
		if _, err := Deploy(t.Context(), target, appVersion("1.3", "200", late)); err == nil || !strings.Contains(err.Error(), "serves again") {
			t.Errorf("err = %v", err)
		}
	})
	l.during("roll back", func() {
		if _, err := Rollback(t.Context(), target, ""); err != nil {
			t.Error(err)
		}
	})
	l.end()
	l.want(t, "start", "1.0")
	l.want(t, "good version", "1.0", "1.1")
	l.want(t, "after good version", "1.1")
	l.want(t, "bad version", "1.1")
	l.want(t, "after bad version", "1.1")
	l.want(t, "bad switch", "1.1", "1.3")
	l.want(t, "after bad switch", "1.1")
	l.want(t, "roll back", "1.1", "1.0")
	l.want(t, "after roll back", "1.0")
}

func get(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(b), err
}

// TestSymlinkUnderLoad: one server reads its version through current, so the
// window is from the switch to the end of the roll-back: in it, and only in it,
// the bad version answers. No request fails.
func TestSymlinkUnderLoad(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links are not made on Windows")
	}
	target := aTarget(t)
	ports := freePorts(t)
	plan := Plan{Strategy: Symlink, Health: &Health{URL: fmt.Sprintf("http://127.0.0.1:%d/health", ports[0]), Retries: 200, Interval: 20 * time.Millisecond, Contains: "1.0"}}
	c := exec.Command(os.Args[0], "serve", filepath.Join(target.Root, current), strconv.Itoa(ports[0]))
	stdin, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); _ = c.Wait() }()
	mustDeploy(t, target, appVersion("1.0", "200", plan))

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l := startLoad(t, func() (string, error) { return get(client, fmt.Sprintf("http://127.0.0.1:%d/", ports[0])) })
	for i := range 5 {
		bad := Plan{Strategy: Symlink, Health: &Health{URL: plan.Health.URL, Retries: 3, Interval: 5 * time.Millisecond}}
		phase := fmt.Sprintf("bad version %d", i)
		l.during(phase, func() {
			if out, err := Deploy(t.Context(), target, appVersion("1.1", "500", bad)); err == nil || out.Back == "" {
				t.Errorf("deploy = %+v, %v", out, err)
			}
		})
	}
	good := plan
	good.Health = &Health{URL: plan.Health.URL, Retries: 3, Contains: "1.2"}
	l.during("good version", func() { mustDeploy(t, target, appVersion("1.2", "200", good)) })
	l.end()
	for i := range 5 {
		l.want(t, fmt.Sprintf("bad version %d", i), "1.0", "1.1")
		l.want(t, fmt.Sprintf("after bad version %d", i), "1.0")
	}
	l.want(t, "good version", "1.0", "1.2")
	l.want(t, "after good version", "1.2")
}

// deployApp deploys good and bad versions by turns until it is killed.
func deployApp(args []string) int {
	target := Target{Root: args[0], Name: "site", Log: os.Stderr}
	strategy := args[1]
	for i := 0; ; i++ {
		v := fmt.Sprintf("%s.%d", args[2], i)
		plan := Plan{Strategy: strategy, Hooks: Hooks{After: []string{"true"}}, Health: &Health{Command: []string{"true"}}}
		if strategy == BlueGreen {
			plan.Hooks.Start, plan.Ports = []string{"true"}, &Ports{Blue: 1, Green: 2, File: "port"}
		}
		if i%2 == 1 {
			plan.Hooks.After = []string{"false"}
		}
		q := appVersion(v, "200", plan)
		q.Keep = 3
		_, err := Deploy(context.Background(), target, q)
		if i%2 == 0 && err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(v)
	}
}

// TestKill kills deploys at many moments. All the time a whole version is to be
// had through current, and what the next one finds it repairs.
func TestKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links are not made on Windows")
	}
	for _, strategy := range []string{Symlink, BlueGreen} {
		t.Run(strategy, func(t *testing.T) { testKill(t, strategy) })
	}
}

func testKill(t *testing.T, strategy string) {
	target := aTarget(t)
	target.Who, target.Now, target.Log = "", nil, nil
	plan := Plan{Strategy: strategy}
	if strategy == BlueGreen {
		plan.Hooks.Start, plan.Ports = []string{"true"}, &Ports{Blue: 1, Green: 2, File: "port"}
	}
	mustDeploy(t, target, appVersion("0", "200", plan))
	readAll := func() (string, error) {
		v, err := os.ReadFile(filepath.Join(target.Root, current, "version.txt"))
		if err == nil {
			_, err = os.ReadFile(filepath.Join(target.Root, current, "bin", "run"))
		}
		if errors.Is(err, os.ErrNotExist) {
			// Between two reads the version may have been switched twice, and
			// pruned: only what is opened through current at once counts.
			v, err = os.ReadFile(filepath.Join(target.Root, current, "version.txt"))
		}
		return strings.TrimSpace(string(v)), err
	}
	l := startLoad(t, readAll)
	l.phase.Store("kills")
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	repaired := 0
	for i := range rounds {
		c := exec.Command(os.Args[0], "deploy", target.Root, strategy, strconv.Itoa(i+1))
		var stderr strings.Builder
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+i*7) * time.Millisecond)
		_ = c.Process.Kill()
		if err := c.Wait(); err == nil || c.ProcessState.ExitCode() >= 0 {
			t.Fatalf("it ended by itself: %v\n%s", err, &stderr)
		}
		rep, err := Status(t.Context(), target, true)
		if err != nil || rep.Healthy != nil || rep.Serves == "" {
			t.Fatalf("kill %d: status = %+v, %v", i, rep, err)
		}
		if _, err := os.Stat(filepath.Join(target.Root, privateDir, "journal.json")); err == nil {
			t.Fatalf("kill %d: the journal is still there", i)
		}
		checkServed(t, target, rep)
	}
	l.end()
	entries, err := History(target.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Result == Repaired {
			repaired++
		}
	}
	t.Logf("%d kills, %d of them in the middle of a switch", rounds, repaired)
	if n := l.failed["kills"]; n > 0 {
		t.Errorf("%d of the reads failed; the first: %v", n, l.first["kills"])
	}
	// Whatever the kills have left, the next deploy works, and the way back.
	mustDeploy(t, target, appVersion("last", "200", plan))
	if _, err := Rollback(t.Context(), target, ""); err != nil {
		t.Error(err)
	}
}

// checkServed looks whether what serves is whole and, if there is a port file,
// that it fits.
func checkServed(t *testing.T, target Target, rep *Report) {
	t.Helper()
	for _, rel := range rep.Releases {
		sum, err := digest(filepath.Join(target.Root, releasesDir, rel.ID), false)
		if err != nil || sum != rel.Digest {
			t.Fatalf("%s: digest %s, %v, want %s", rel.ID, sum, err, rel.Digest)
		}
		if rel.ID == rep.Serves && !rel.Good {
			t.Fatalf("%s serves, and was never good", rel.ID)
		}
	}
	if rep.Slot == "" {
		return
	}
	want := map[string]string{blue: "1", green: "2"}[rep.Slot]
	if b, err := os.ReadFile(filepath.Join(target.Root, "port")); err != nil || strings.TrimSpace(string(b)) != want {
		t.Fatalf("port = %q, %v; slot %s serves", b, err, rep.Slot)
	}
}
