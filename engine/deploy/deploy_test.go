package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// aTarget is a root in a fresh directory with a clock that goes on by itself.
func aTarget(t *testing.T) Target {
	t.Helper()
	tick := time.Unix(1_700_000_000, 0)
	return Target{
		Root: filepath.Join(t.TempDir(), "site"), Name: "site", Environment: "prod", Who: "tester@host",
		Now: func() time.Time { tick = tick.Add(time.Minute); return tick },
		Log: t.Output(),
	}
}

// aVersion is a request for a program that is one file.
func aVersion(v string, plan Plan) Request {
	if plan.Strategy == "" {
		plan.Strategy = Symlink
	}
	return Request{
		Version: v, Digest: "sha256:" + v, Plan: plan,
		Artifact: Artifact{Path: "app", FS: fstest.MapFS{
			"app/bin/run":     {Data: []byte("#!/bin/sh\necho " + v + "\n"), Mode: 0o700},
			"app/version.txt": {Data: []byte(v + "\n"), Mode: 0o600},
		}},
	}
}

func mustDeploy(t *testing.T, target Target, q Request) Outcome {
	t.Helper()
	out, err := Deploy(t.Context(), target, q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// serves reads what serves through the pointer.
func serves(t *testing.T, target Target) string {
	t.Helper()
	d, err := openUnlocked(target)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := d.dir.pointers.release(current)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(d.dir.releaseDir(id), "version.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func results(t *testing.T, target Target) (all []string) {
	t.Helper()
	entries, err := History(target.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Result+" "+e.Version)
	}
	return all
}

var failing = &Health{Command: []string{"false"}}

func TestDeployAndBack(t *testing.T) {
	for _, files := range []bool{false, true} {
		if runtime.GOOS == "windows" && !files {
			continue
		}
		t.Run(fmt.Sprintf("files=%v", files), func(t *testing.T) {
			target := aTarget(t)
			target.PointerFiles = files
			for _, v := range []string{"1.0", "1.1", "1.2"} {
				if out := mustDeploy(t, target, aVersion(v, Plan{})); !out.Changed || out.Serves != out.Release {
					t.Fatalf("deploy %s = %+v", v, out)
				}
				if got := serves(t, target); got != v {
					t.Fatalf("%s serves, want %s", got, v)
				}
			}
			if out := mustDeploy(t, target, aVersion("1.2", Plan{})); out.Changed {
				t.Errorf("the same again = %+v", out)
			}
			out, err := Deploy(t.Context(), target, aVersion("1.3", Plan{Health: failing}))
			if err == nil || out.Back == "" || serves(t, target) != "1.2" {
				t.Fatalf("deploy of a bad version = %+v, %v", out, err)
			}
			for _, want := range []string{"1.1", "1.0"} {
				if _, err := Rollback(t.Context(), target, ""); err != nil || serves(t, target) != want {
					t.Fatalf("roll back: %v, %s serves, want %s", err, serves(t, target), want)
				}
			}
			if _, err := Rollback(t.Context(), target, ""); err == nil {
				t.Error("there was nothing to roll back to, and it did")
			}
			want := []string{"deployed 1.0", "deployed 1.1", "deployed 1.2", "deployed 1.2", "returned 1.3", "rolled_back 1.1", "rolled_back 1.0"}
			if got := results(t, target); !slices.Equal(got, want) {
				t.Errorf("audit log:\n got %q\nwant %q", got, want)
			}
		})
	}
}

// A first version that is not healthy has nothing to go back to; the next one
// replaces it.
func TestFirstVersionFails(t *testing.T) {
	target := aTarget(t)
	if _, err := Deploy(t.Context(), target, aVersion("1.0", Plan{Health: failing})); err == nil || !strings.Contains(err.Error(), "no earlier version") {
		t.Fatalf("err = %v", err)
	}
	if serves(t, target) != "1.0" {
		t.Fatal("nothing serves")
	}
	mustDeploy(t, target, aVersion("1.1", Plan{}))
	if _, err := Rollback(t.Context(), target, ""); err == nil {
		t.Error("went back to a version that was never good")
	}
}

// The last good version is checked again, and it is said if it fails as well.
func TestBothFail(t *testing.T) {
	target := aTarget(t)
	ok := filepath.Join(t.TempDir(), "ok")
	if err := os.WriteFile(ok, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	mustDeploy(t, target, aVersion("1.0", Plan{Health: &Health{Command: []string{"test", "-f", ok}}}))
	q := aVersion("1.1", Plan{Health: failing, Hooks: Hooks{After: []string{"rm", ok}}})
	_, err := Deploy(t.Context(), target, q)
	if err == nil || !strings.Contains(err.Error(), "is not good either") || serves(t, target) != "1.0" {
		t.Fatalf("err = %v, %s serves", err, serves(t, target))
	}
}

func TestHooks(t *testing.T) {
	target := aTarget(t)
	log := filepath.Join(t.TempDir(), "log")
	note := func(phase string) []string {
		return []string{"sh", "-c", `echo "$0 $AIRBUILD_DEPLOY_VERSION {version} $(basename "$PWD" | cut -d- -f1) $TOKEN" >> ` + log + `; echo "token $TOKEN"`, phase}
	}
	hooks := Hooks{Before: note("before"), After: note("after"), OnRollback: note("back")}
	target.Env = append(os.Environ(), "TOKEN=hunter2")
	target.Mask = []string{"hunter2"}
	var out bytes.Buffer
	target.Log = &out
	mustDeploy(t, target, aVersion("1.0", Plan{Hooks: hooks}))
	if _, err := Deploy(t.Context(), target, aVersion("1.1", Plan{Hooks: hooks, Health: &Health{Command: []string{"sh", "-c", "echo $TOKEN; exit 1"}}})); err == nil {
		t.Fatal("no error")
	}
	refuse := hooks
	refuse.Before = []string{"false"}
	if _, err := Deploy(t.Context(), target, aVersion("1.2", Plan{Hooks: refuse})); err == nil || !strings.Contains(err.Error(), "hook before") {
		t.Fatalf("err = %v", err)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := "before 1.0 1.0 1.0 hunter2\nafter 1.0 1.0 1.0 hunter2\nbefore 1.1 1.1 1.1 hunter2\nafter 1.1 1.1 1.1 hunter2\nback 1.0 1.0 1.0 hunter2\n"
	if string(b) != want {
		t.Errorf("hooks ran:\n%swant:\n%s", b, want)
	}
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "token ***") {
		t.Errorf("the log shows a secret:\n%s", &out)
	}
	for _, name := range allFiles(t, target.Root) {
		if b, _ := os.ReadFile(name); bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("%s holds a secret", name)
		}
	}
}

func allFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	return names
}

// Interrupting a check goes back.
func TestInterrupted(t *testing.T) {
	target := aTarget(t)
	mustDeploy(t, target, aVersion("1.0", Plan{}))
	ctx, cancel := context.WithCancel(t.Context())
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for {
			if _, err := os.Stat(started); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := Deploy(ctx, target, aVersion("1.1", Plan{Hooks: Hooks{After: []string{"sh", "-c", "touch " + started + "; sleep 600"}}}))
	if err == nil || !strings.Contains(err.Error(), "interrupted") || serves(t, target) != "1.0" {
		t.Fatalf("err = %v, %s serves", err, serves(t, target))
	}
}

func TestKeep(t *testing.T) {
	target := aTarget(t)
	for i := range 6 {
		q := aVersion(fmt.Sprintf("1.%d", i), Plan{})
		q.Keep = 1
		mustDeploy(t, target, q)
	}
	entries, err := os.ReadDir(filepath.Join(target.Root, releasesDir))
	if err != nil || len(entries) != 2 {
		t.Errorf("%d releases, %v; want the current and the previous", len(entries), err)
	}
	if _, err := Rollback(t.Context(), target, ""); err != nil || serves(t, target) != "1.4" {
		t.Errorf("roll back: %v", err)
	}
}

func TestBusy(t *testing.T) {
	target := aTarget(t)
	d, err := open(target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Deploy(t.Context(), target, aVersion("1.0", Plan{})); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "tester@host") {
		t.Errorf("err = %v", err)
	}
	if rep, err := Status(t.Context(), target, false); err != nil || rep.Busy == "" {
		t.Errorf("status = %+v, %v", rep, err)
	}
	d.dir.close()
	mustDeploy(t, target, aVersion("1.0", Plan{}))
}

// What a killed process was about to start holds its lock for a moment longer.
func TestBusyMoment(t *testing.T) {
	target := aTarget(t)
	d, err := open(target)
	if err != nil {
		t.Fatal(err)
	}
	free := time.AfterFunc(lockGrace/10, d.dir.close)
	defer free.Stop()
	mustDeploy(t, target, aVersion("1.0", Plan{}))
}

func TestForeignRoots(t *testing.T) {
	target := aTarget(t)
	mustDeploy(t, target, aVersion("1.0", Plan{}))
	other := target
	other.Name = "other"
	if _, err := Deploy(t.Context(), other, aVersion("1.0", Plan{})); err == nil || !strings.Contains(err.Error(), `root of the deploy "site"`) {
		t.Errorf("err = %v", err)
	}
	target = aTarget(t)
	if err := os.MkdirAll(filepath.Join(target.Root, "current"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Deploy(t.Context(), target, aVersion("1.0", Plan{})); err == nil || !strings.Contains(err.Error(), `"current"`) {
		t.Errorf("err = %v", err)
	}
}

// A release that was changed on disk is not used again, and not touched.
func TestChangedRelease(t *testing.T) {
	target := aTarget(t)
	first := mustDeploy(t, target, aVersion("1.0", Plan{}))
	mustDeploy(t, target, aVersion("1.1", Plan{}))
	name := filepath.Join(target.Root, releasesDir, first.Release, "version.txt")
	if err := os.WriteFile(name, []byte("evil"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Rollback(t.Context(), target, ""); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("err = %v", err)
	}
	if out := mustDeploy(t, target, aVersion("1.0", Plan{})); out.Release != first.Release+"~2" || serves(t, target) != "1.0" {
		t.Errorf("deploy = %+v", out)
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	setUmask(t, 0o077)
	target := aTarget(t)
	q := aVersion("1.0", Plan{})
	q.Files = []File{{Path: "etc/site.conf", Text: []byte("x"), Mode: 0o640}, {Path: "version.txt", Text: []byte("1.0 of prod\n"), Mode: 0o644}}
	mustDeploy(t, target, q)
	for name, want := range map[string]fs.FileMode{
		"": 0o755, "current/": 0o755, "current/bin": 0o755, "current/bin/run": 0o755, "current/version.txt": 0o644,
		"current/etc": 0o755, "current/etc/site.conf": 0o640, "releases": 0o755,
	} {
		info, err := os.Stat(filepath.Join(target.Root, name) + strings.Repeat("/", strings.Count(name, "current/")))
		if name != "current/" && name != "" {
			info, err = os.Stat(filepath.Join(target.Root, name))
		}
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: mode %v, %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
	if serves(t, target) != "1.0 of prod" {
		t.Error("the rendered file did not replace the artifact's")
	}
}

// An archive's members stay in the release.
func TestHostileArchives(t *testing.T) {
	type member = tar.Header
	for name, members := range map[string][]member{
		"up":        {{Name: "../evil", Typeflag: tar.TypeReg}},
		"deep up":   {{Name: "a/../../evil", Typeflag: tar.TypeReg}},
		"absolute":  {{Name: "/evil", Typeflag: tar.TypeReg}},
		"link":      {{Name: "l", Linkname: "../../..", Typeflag: tar.TypeSymlink}},
		"root link": {{Name: "l", Linkname: "/etc", Typeflag: tar.TypeSymlink}},
		"hard link": {{Name: "l", Linkname: "x", Typeflag: tar.TypeLink}},
		"device":    {{Name: "d", Typeflag: tar.TypeChar}},
		"twice":     {{Name: "a", Typeflag: tar.TypeReg}, {Name: "./a", Typeflag: tar.TypeReg}},
		"in a file": {{Name: "a", Typeflag: tar.TypeReg}, {Name: "a/b", Typeflag: tar.TypeReg}},
		"in a link": {{Name: "d/x", Typeflag: tar.TypeReg}, {Name: "l", Linkname: "d", Typeflag: tar.TypeSymlink}, {Name: "l/y", Typeflag: tar.TypeReg}},
		"backslash": {{Name: `a\..\..\b`, Typeflag: tar.TypeReg}},
	} {
		target := aTarget(t)
		q := Request{Version: "1", Plan: Plan{Strategy: Symlink}, Artifact: Artifact{Path: "a.tar.gz", FS: fstest.MapFS{"a.tar.gz": {Data: tarball(t, members)}}}}
		if _, err := Deploy(t.Context(), target, q); err == nil {
			t.Errorf("%s: installed", name)
		}
		if left, _ := os.ReadDir(filepath.Join(target.Root, releasesDir)); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func tarball(t *testing.T, members []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, m := range members {
		m.Mode = 0o644
		if err := w.WriteHeader(&m); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStrip(t *testing.T) {
	target := aTarget(t)
	b := tarball(t, []tar.Header{
		{Name: "app-1/", Typeflag: tar.TypeDir}, {Name: "app-1/version.txt", Typeflag: tar.TypeReg},
		{Name: "app-1/latest", Linkname: "version.txt", Typeflag: tar.TypeSymlink},
	})
	mustDeploy(t, target, Request{Version: "1", Plan: Plan{Strategy: Symlink}, Artifact: Artifact{Path: "a.tar.gz", Strip: 1, FS: fstest.MapFS{"a.tar.gz": {Data: b}}}})
	if serves(t, target) != "" {
		t.Error("not there")
	}
}

func TestUnpack(t *testing.T) {
	target := aTarget(t)
	q := Request{Version: "1", Plan: Plan{Strategy: Symlink}, Artifact: Artifact{
		Path: "a.pkg", FS: fstest.MapFS{"a.pkg": {Data: []byte("1\n")}}, Unpack: []string{"cp", "{artifact}", "{release}/version.txt"},
	}}
	mustDeploy(t, target, q)
	if serves(t, target) != "1" {
		t.Error("not there")
	}
	q.Artifact.Unpack = []string{"true"}
	if _, err := Deploy(t.Context(), target, q); err == nil || !strings.Contains(err.Error(), "left the release empty") {
		t.Errorf("err = %v", err)
	}
}

func TestDryRun(t *testing.T) {
	target := aTarget(t)
	out, err := DryRun(t.Context(), target, aVersion("1.0", Plan{Health: failing}))
	if err != nil || !out.Changed || out.Serves != "" {
		t.Errorf("dry run = %+v, %v", out, err)
	}
	if _, err := os.Stat(target.Root); err == nil {
		t.Error("the dry run made the root")
	}
	if real := mustDeploy(t, target, aVersion("1.0", Plan{})); real.Release != out.Release {
		t.Errorf("the dry run said %s, and %s it was", out.Release, real.Release)
	}
}

func TestAuditChain(t *testing.T) {
	target := aTarget(t)
	for _, v := range []string{"1.0", "1.1", "1.2"} {
		mustDeploy(t, target, aVersion(v, Plan{}))
	}
	name := filepath.Join(target.Root, privateDir, "audit.log")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for what, bad := range map[string][]byte{
		"changed":   bytes.Replace(good, []byte("1.1"), []byte("1.7"), 1),
		"taken out": bytes.Join([][]byte{lines[0], lines[2]}, nil),
		"exchanged": bytes.Join([][]byte{lines[1], lines[0], lines[2]}, nil),
		"added to":  append(slices.Clone(good), lines[0]...),
		"no JSON":   append(slices.Clone(good), "x\n"...),
	} {
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := History(target.Root); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: err = %v", what, err)
		}
	}
	// Half a line is what a crash leaves.
	if err := os.WriteFile(name, append(slices.Clone(good), `{"seq":4,"ti`...), 0o644); err != nil {
		t.Fatal(err)
	}
	mustDeploy(t, target, aVersion("1.3", Plan{}))
	if got := results(t, target); len(got) != 4 {
		t.Errorf("history = %q", got)
	}
}

// What one version of airbuild wrote the next can read, and none that it does
// not know.
func TestFormats(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "formats", "deploy")
	var st state
	var rel Release
	var j journal
	for name, v := range map[string]interface{ known() error }{"state.json": &st, "release.json": &rel, "journal.json": &j} {
		ok, err := readJSON(filepath.Join(dir, name), v)
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", name, ok, err)
		}
		frozen, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(v)
		if err != nil || string(again)+"\n" != string(frozen) {
			t.Errorf("%s is written as\n%s, %v", name, again, err)
		}
		newer := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(newer, bytes.Replace(frozen, []byte(`"format":1`), []byte(`"format":2`), 1), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := readJSON(newer, v); err == nil {
			t.Errorf("%s of a format 2 was read", name)
		}
	}
	entries, _, _, err := readAudit(filepath.Join(dir, "audit.log"))
	if err != nil || len(entries) != 3 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func FuzzRecords(f *testing.F) {
	seeds, err := filepath.Glob(filepath.Join("..", "..", "testdata", "formats", "deploy", "*"))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []interface{ known() error }{&state{}, &Release{}, &journal{}} {
			if decode("x", b, v) != nil {
				continue
			}
			again, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if err := decode("x", again, v); err != nil {
				t.Errorf("%q was written as %q: %v", b, again, err)
			}
		}
		name := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
		_, _, _, _ = readAudit(name)
	})
}
