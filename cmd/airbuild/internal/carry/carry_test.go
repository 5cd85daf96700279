package carry

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/tasks"
)

func TestCheckHost(t *testing.T) {
	for host, ok := range map[string]bool{"linux/amd64": true, "windows/386": true, "linux": false, "/amd64": false, "linux/": false, "linux/arm/v7": false, "Linux/amd64": false, "": false} {
		if err := CheckHost(host); (err == nil) != ok {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestPinName(t *testing.T) {
	long := PinName(strings.Repeat("x", 300))
	if PinName("site") != "bundle-site" || len(long) > 64 || store.CheckPinName(long) != nil || long == PinName(strings.Repeat("x", 301)) {
		t.Errorf("%q, %q", PinName("site"), long)
	}
}

func TestHits(t *testing.T) {
	g := &engine.Graph{}
	add := func(name string, noCache bool, after ...engine.StepID) engine.StepID {
		id, err := g.Add(engine.Step{Name: name, Stage: name, Type: "exec", NoCache: noCache, After: after, Command: action.Command{Arguments: []string{"x"}}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	bin := add("bin", false)
	if hits, never := Hits(g, []string{"release"}, []engine.StepID{bin}); never != 0 || !slices.Equal(hits, []string{"release"}) {
		t.Errorf("%q, %d", hits, never)
	}
	deploy := add("deploy", true, bin)
	told := add("told", false, deploy)
	// A deploy, and what comes after one, must not run in a rehearsal.
	if hits, never := Hits(g, []string{"all"}, []engine.StepID{told}); never != 2 || !slices.Equal(hits, []string{"bin"}) {
		t.Errorf("%q, %d", hits, never)
	}
	rebuilt := engine.Traits{Rebuilt: true}
	if got := Rebuildable([]StepResult{{deploy, &engine.Step{Name: "d", Traits: rebuilt, NoCache: true}, action.Digest{}}, {bin, &engine.Step{Name: "b", Traits: rebuilt}, action.Digest{}}}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%q", got)
	}
}

func TestExtraFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"w/a.whl": "a", "w/deep/b.whl": "b", "w/c.txt": "c"})
	c, err := ExtraFiles("wheels", dir, []string{"w/*.whl", "w/deep"})
	if err != nil || c.Name != "extra/wheels" || len(c.Files) != 2 || c.Files[1].Path != "w/deep/b.whl" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, p := range []string{"none/*", "[a", ""} {
		if _, err := ExtraFiles("x", dir, []string{p}); err == nil {
			t.Errorf("%q: no error", p)
		}
	}
	if runtime.GOOS != "windows" {
		write(t, dir, map[string]string{"w/l.whl": "-> /etc/passwd"})
		if _, err := ExtraFiles("x", dir, []string{"w/*.whl"}); err == nil {
			t.Error("a link was carried")
		}
	}
}

func TestOutputFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"dist/a": "a", "dist/d/b": "b", "vendor/x": "x"})
	c, err := OutputFiles(dir, "dist", []string{"dist/a", "dist/d", "vendor", "dist/a"})
	if err != nil || len(c.Files) != 2 || c.Files[0].Path != "a" || c.Files[1].Path != "d/b" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := OutputFiles(dir, "dist", []string{"dist/gone"}); err == nil {
		t.Error("an output that is not there")
	}
}

func TestBills(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"dist/a.cdx.json": "{}", "dist/a": "a"})
	step := func(bill bool, out string) StepResult {
		return StepResult{Step: &engine.Step{Traits: engine.Traits{Bill: bill}, Command: action.Command{OutputPaths: []string{out}}}}
	}
	g := &collector{ContentSpec: ContentSpec{Root: dir, Dist: "dist", Made: []StepResult{step(false, "dist/a")}}}
	if err := g.bills(t.Context()); err != nil || len(g.Components) != 0 {
		t.Errorf("no stage writes bills: %+v, %v", g.Components, err)
	}
	g.Made = append(g.Made, step(true, "dist/a.cdx.json"))
	if err := g.bills(t.Context()); err != nil || len(g.Components) != 1 {
		t.Fatalf("%+v, %v", g.Components, err)
	}
	if c := g.Components[0]; c.Name != "sbom" || len(c.Files) != 1 || c.Files[0].Path != "a.cdx.json" {
		t.Errorf("%+v", c)
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"self": "s", "other.exe": "o"})
	hosts := []string{ThisHost(), "plan9/mips"}
	cs, missing, err := Programs(hosts, nil, dir, filepath.Join(dir, "self"))
	if err != nil || len(cs) != 1 || !cs[0].Plain || !slices.Equal(missing, []string{"plan9/mips"}) {
		t.Fatalf("%+v, %q, %v", cs, missing, err)
	}
	cs, missing, err = Programs([]string{"windows/arm64"}, map[string]string{"windows/arm64": "other.exe"}, dir, "")
	if err != nil || len(missing) > 0 || cs[0].Name != "airbuild/windows-arm64" || cs[0].Files[0].Path != "airbuild.exe" {
		t.Fatalf("%+v, %q, %v", cs, missing, err)
	}
	if _, _, err := Programs(hosts, map[string]string{"plan9/mips": "none"}, dir, "none"); err == nil {
		t.Error("a program that is not there")
	}
}

func TestBootstrap(t *testing.T) {
	linux := texts("airbuild/linux-amd64", map[string]string{"airbuild*": "#!/bin/sh\n"})
	windows := texts("airbuild/windows-amd64", map[string]string{"airbuild.exe*": "MZ"})
	linux.Plain, windows.Plain = true, true
	source := texts(Source, map[string]string{"a": "a"})
	sum, winSum := action.Of([]byte("#!/bin/sh\n")).Hex(), action.Of([]byte("MZ")).Hex()
	for _, test := range []struct {
		components []create.Component
		scripts    []string
		want       []string
	}{
		{[]create.Component{linux, source}, []string{"bootstrap.sh"}, []string{"linux-amd64 " + sum + " 10 blobs/sha256/" + sum}},
		{[]create.Component{linux, windows, source}, []string{"bootstrap.sh", "bootstrap.ps1"}, []string{"linux-amd64 " + sum + " 10 blobs/sha256/" + sum, "windows-amd64 " + winSum + " 2 blobs/sha256/" + winSum}},
	} {
		b := made(t, 1, 0, test.components...)
		dir := t.TempDir()
		scripts, err := WriteBootstrap(b, dir)
		if err != nil || !slices.Equal(scripts, test.scripts) {
			t.Fatalf("%q, %v", scripts, err)
		}
		for _, script := range scripts {
			text, err := os.ReadFile(filepath.Join(dir, script))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(test.want, b.Digest()) {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s: no %q in the script", script, want)
				}
			}
			for _, left := range []string{"@DIGEST@", "@PROGRAMS@", "@NAME@"} {
				if strings.Contains(string(text), left) {
					t.Errorf("%s: %s is left", script, left)
				}
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != len(scripts) {
			t.Errorf("left: %v, %v", entries, err)
		}
		if sh, err := exec.LookPath("sh"); err == nil {
			if out, err := exec.Command(sh, "-n", filepath.Join(dir, "bootstrap.sh")).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
}

// Windows PowerShell 5 takes a script without a byte order mark for one in the
// code page of the host, and does not know what later versions brought. Nothing here
// executes the script.
func TestBootstrapWindowsIsForPowerShell5(t *testing.T) {
	for i, line := range strings.Split(bootstrapWindowsText, "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r > '~' || r < ' ' }) {
			t.Errorf("line %d has a character that is not printable ASCII: %q", i+1, line)
		}
	}
	code := powerShellCode(t, bootstrapWindowsText)
	for _, later := range []string{"&&", "||", "??", "?.", " ? ", "-AsByteStream", "-Parallel", "$IsWindows", "Join-String", "ForEach-Object -Parallel"} {
		if strings.Contains(code, later) {
			t.Errorf("%q is of a later PowerShell", later)
		}
	}
	// Every command is one that PowerShell 5 has, or a function of the script.
	known := []string{"Set-StrictMode", "New-Object", "New-Item", "Join-Path", "Test-Path", "Get-ChildItem", "Sort-Object", "Get-FileHash", "Remove-Item", "Out-Null", "Write-Output"}
	verb := regexp.MustCompile(`\b[A-Z][a-z]+-[A-Z][A-Za-z]+\b`)
	for _, m := range regexp.MustCompile(`(?m)^function ([A-Za-z-]+) \{$`).FindAllStringSubmatch(code, -1) {
		known = append(known, m[1])
	}
	if len(known) < 14 {
		t.Errorf("functions were not found: %q", known)
	}
	for _, name := range verb.FindAllString(code, -1) {
		if !slices.Contains(known, name) {
			t.Errorf("is %s a command of PowerShell 5?", name)
		}
	}
	// Every variable is assigned, a parameter, or PowerShell's own.
	assigned := regexp.MustCompile(`(?m)(?:^|[(\s])(?:\[[\w.\[\]]+\] )?\$(\w+)(?: \+?-?=|,|\)| in )`)
	has := map[string]bool{"true": true, "false": true, "_": true, "PID": true, "PSScriptRoot": true, "PSCommandPath": true, "LASTEXITCODE": true, "ExecutionContext": true, "env": true, "AllowUnsigned": true}
	for _, m := range assigned.FindAllStringSubmatch(code, -1) {
		has[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(bootstrapWindowsText[strings.Index(bootstrapWindowsText, "#>"):], -1) {
		if !has[m[1]] {
			t.Errorf("$%s is not assigned", m[1])
		}
	}
}

// powerShellCode checks that brackets and quotes of a script pair, and returns it
// without comments and the text of strings.
func powerShellCode(t *testing.T, script string) string {
	t.Helper()
	var code strings.Builder
	var open []byte
	cut := func(from, end string) {
		_, rest, ok := strings.Cut(script[len(from):], end)
		if !ok {
			t.Fatalf("%s has no end: %.40q", from, script)
		}
		script = rest
	}
	for script != "" {
		switch c := script[0]; {
		case strings.HasPrefix(script, "<#"):
			cut("<#", "#>")
		case strings.HasPrefix(script, "@'\n"):
			cut("@'\n", "\n'@")
			code.WriteString("''")
		case c == '#':
			cut("#", "\n")
			code.WriteByte('\n')
		case c == '\'' || c == '"':
			cut(string(c), string(c))
			code.WriteString("''")
		case strings.IndexByte("([{", c) >= 0:
			open = append(open, c+1+(c>>6)) // ( ) are neighbours; [ ] and { } are not
			code.WriteByte(c)
			script = script[1:]
		case strings.IndexByte(")]}", c) >= 0:
			if len(open) == 0 || open[len(open)-1] != c {
				t.Fatalf("%q closes nothing: %.40q", c, script)
			}
			open = open[:len(open)-1]
			code.WriteByte(c)
			script = script[1:]
		default:
			code.WriteByte(c)
			script = script[1:]
		}
	}
	if len(open) > 0 {
		t.Fatalf("not closed: %q", open)
	}
	return code.String()
}

func TestUnfit(t *testing.T) {
	step := func(name string, l engine.InputDiscoverer, argv ...string) StepResult {
		return StepResult{Step: &engine.Step{Name: name, Stage: name, Discoverer: l, Command: action.Command{Arguments: argv}}}
	}
	steps := []StepResult{
		step("gen", tasks.Programs{{Name: "sh", Path: "/bin/sh"}, {Name: "jq"}}, "sh", "-c", "x"),
		step("docs", tasks.Programs{{Name: "sh", Path: "/bin/sh"}, {Name: "tar", Path: "/bin/tar"}, {Name: "go", Path: "/go/bin/go"}}, "airbuild:sh", "1", "sh x"),
		step("own", nil, "./gen.sh"),
		step("own2", nil, "tools/gen.EXE"),
		step("sums", nil, "airbuild:checksum", "1"),
	}
	if notes := Unfit("linux/arm64", steps); len(notes) > 0 {
		t.Errorf("%q", notes)
	}
	if notes := Unfit("windows/amd64", steps[3:]); len(notes) > 0 {
		t.Errorf("%q", notes)
	}
	notes := Unfit("windows/amd64", steps)
	if len(notes) != 2 || !strings.Contains(notes[0], "does not come with sh (gen, docs): install") || !strings.Contains(notes[1], "does not start ./gen.sh (own): ") {
		t.Errorf("%q", notes)
	}
}

func TestImportPins(t *testing.T) {
	r := newReceiver(t)
	b := made(t, 1, 0, texts(Source, map[string]string{"a": "kept"}))
	if _, err := r.take(b); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Prune(t.Context(), store.PruneOptions{MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	f, _ := b.Find(Source, "a")
	if missing, err := r.store.Missing(t.Context(), []action.Digest{f.Digest}); err != nil || len(missing) > 0 {
		t.Errorf("pruned: %v, %v", missing, err)
	}
}

func TestReceiptAfterImport(t *testing.T) {
	r := newReceiver(t)
	if _, err := r.take(moduleBundle(t, 1, moduleTree(t, "v1.0.0"))); err != nil {
		t.Fatal(err)
	}
	places := OpenPlaces(r.cache, r.store)
	defer places.Close()
	receipt, err := install.MakeReceipt(t.Context(), r.cache, places.Sink, nil)
	if err != nil || len(receipt.Bundles()) != 1 || receipt.Contents() < 8 {
		t.Fatalf("%v contents of %v, %v", receipt.Contents(), receipt.Bundles(), err)
	}
	if _, err := os.Stat(Carried(r.cache, "incoming")); err == nil {
		t.Error("a receipt made a directory for an import")
	}
}

func TestOtherVolumes(t *testing.T) {
	dir := t.TempDir()
	first, second := made(t, 1, 0, texts(Source, map[string]string{"a": "1"})), made(t, 2, 0, texts(Source, map[string]string{"a": "2"}))
	if _, err := create.Volumes(t.Context(), first, dir, create.VolumeOptions{}); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"other-001-of-001.tar": "x", "line-x.tar": "x"})
	if names, err := OtherVolumes(t.Context(), first, dir); err != nil || len(names) > 0 {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := OtherVolumes(t.Context(), second, dir); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
}

func TestReadEvents(t *testing.T) {
	p := readEvents(strings.NewReader(`{"event":"step","step":"a","status":"hit"}
no json
{"event":"step","step":"b","status":"done","reason":"first run here"}
{"event":"step","step":"c","status":"failed","error":"exit 1"}
{"event":"summary","steps":3,"hits":1,"ran":1}
`))
	if p.steps != 3 || p.hits != 1 || p.done != 1 || len(p.missing) != 2 || len(p.failed) != 1 || p.missing[0].Step != "b" {
		t.Errorf("%+v", p)
	}
}
