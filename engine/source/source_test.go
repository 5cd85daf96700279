package source

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A repo is a git repository made by a test, with a configuration of its own.
type repo struct {
	t   *testing.T
	dir string
}

// basic are the attributes that a shallow clone has too, memorable those that are
// remembered.
var basic, memorable = attributes[:7], attributes[:10]

func newRepo(t *testing.T, argv ...string) repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("this host has no git to make repositories with")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, name := range places {
		t.Setenv(name, "") // remembers the value
		os.Unsetenv(name)
	}
	r := repo{t, filepath.Join(t.TempDir(), "ü b")}
	r.must("init", append(append([]string{"-q", "-b", "main"}, argv...), r.dir)...)
	return r
}

func (r repo) must(command string, argv ...string) string {
	r.t.Helper()
	c := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false", command}, argv...)...)
	if command != "init" && command != "clone" {
		c.Dir = r.dir
	}
	c.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-03-04T06:06:07+01:00", "GIT_AUTHOR_DATE=2001-01-01T00:00:00Z")
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s %v: %v\n%s", command, argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) write(name, text string) {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		r.t.Fatal(err)
	}
}

func (r repo) commit(name string) {
	r.t.Helper()
	r.write(name, name)
	r.must("add", "-A")
	r.must("commit", "-q", "-m", name)
}

func (r repo) read(dir string, attrs ...string) Info {
	r.t.Helper()
	if len(attrs) == 0 {
		attrs = basic
	}
	info, err := Read(r.t.Context(), filepath.Join(r.dir, dir), attrs, Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	return *info
}

// TestGit compares with what git itself says, state by state.
func TestGit(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			r := newRepo(t, "--object-format="+format)
			check := func(state string, want Info) {
				t.Helper()
				want.Commit = r.must("rev-parse", "HEAD")
				want.Short = want.Commit[:7]
				want.Describe = r.must("describe", "--tags", "--always", "--dirty")
				want.Time = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
				if got := r.read(""); got != want {
					t.Errorf("%s: %+v, want %+v", state, got, want)
				}
			}
			r.commit("a")
			check("no tag", Info{Branch: "main"})
			r.write("untracked", "")
			check("untracked file", Info{Branch: "main"})
			r.must("tag", "v1.0-rc-g1")
			check("tag", Info{Branch: "main", Tag: "v1.0-rc-g1"})
			r.write("a", "changed")
			check("changed", Info{Branch: "main", Tag: "v1.0-rc-g1", Dirty: true})
			r.commit("b")
			check("behind a tag", Info{Branch: "main"})
			r.must("checkout", "-q", "--detach")
			check("detached", Info{})
			r.must("checkout", "-q", "-b", "feat/x")
			check("branch with a slash", Info{Branch: "feat/x"})
			past := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(r.dir, "a"), past, past); err != nil {
				t.Fatal(err)
			}
			check("touched, not changed", Info{Branch: "feat/x"})
		})
	}
}

// TestOnlyAsked: each attribute alone is as it is among all.
func TestOnlyAsked(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	r.must("tag", "v1")
	r.write("a", "changed")
	all := r.read("")
	for _, tt := range []struct {
		attr    string
		queries int
		same    func(Info) bool
	}{
		{"commit", 1, func(i Info) bool { return i.Commit == all.Commit }},
		{"short", 1, func(i Info) bool { return i.Short == all.Short }},
		{"branch", 1, func(i Info) bool { return i.Branch == all.Branch }},
		{"tag", 1, func(i Info) bool { return i.Tag == all.Tag }},
		{"describe", 2, func(i Info) bool { return i.Describe == all.Describe }},
		{"dirty", 1, func(i Info) bool { return i.Dirty }},
		{"time", 1, func(i Info) bool { return i.Time.Equal(all.Time) }},
		{"previous_tag", 1, func(i Info) bool { return i.PreviousTag == "" }},
		{"commit_count", 1, func(i Info) bool { return i.CommitCount == 1 }},
		{"url", 1, func(i Info) bool { return i.URL == "" }},
		{"go", 1, func(i Info) bool { return i.Go.Modified }},
	} {
		if got := r.read("", tt.attr); !tt.same(got) {
			t.Errorf("%s: %+v, among all %+v", tt.attr, got, all)
		}
		g := git{asked: []string{tt.attr}}
		if n := len(g.queries()); n != tt.queries {
			t.Errorf("%s: %d processes", tt.attr, n)
		}
	}
}

func TestPlaces(t *testing.T) {
	r := newRepo(t)
	r.commit("sub/a")
	r.must("tag", "v1")
	r.commit("sub/b")
	tree := filepath.Join(t.TempDir(), "worktree")
	r.must("worktree", "add", "-q", "-b", "side", tree, "v1")
	shallow := filepath.Join(t.TempDir(), "shallow")
	r.must("clone", "-q", "--depth=1", "file://"+filepath.ToSlash(r.dir), shallow)
	if got := r.read("sub").Describe; got != r.read("").Describe || !strings.HasPrefix(got, "v1-1-g") {
		t.Errorf("subdirectory: %s", got)
	}
	if got := (repo{t, tree}).read(""); got.Tag != "v1" || got.Branch != "side" {
		t.Errorf("worktree: %+v", got)
	}
	if got := (repo{t, shallow}).read(""); got.Describe != got.Short || got.Commit != r.read("").Commit {
		t.Errorf("shallow clone: %+v", got)
	}
	t.Setenv("GIT_DIR", filepath.Join(t.TempDir(), "elsewhere"))
	if got := r.read("", "commit"); got.Commit == "" {
		t.Error("GIT_DIR leads astray")
	}
}

// TestPrecedence: .git in the directory, then source.json, then a repository
// around it.
func TestPrecedence(t *testing.T) {
	r := newRepo(t)
	r.commit("sub/a")
	var b bytes.Buffer
	if err := WriteJSON(&b, &fixtureInfo); err != nil {
		t.Fatal(err)
	}
	r.write("source.json", b.String())
	if got := r.read(""); got.Commit == fixtureInfo.Commit {
		t.Error("source.json goes before .git")
	}
	if got := r.read("sub"); got.Commit == fixtureInfo.Commit {
		t.Error("source.json of another directory is used")
	}
	r.write("sub/source.json", b.String())
	if got := r.read("sub"); got != fixtureInfo {
		t.Errorf("source.json: %+v", got)
	}
}

func TestErrors(t *testing.T) {
	fails := func(dir, words string, attrs ...string) {
		t.Helper()
		_, err := Read(t.Context(), dir, attrs, Options{})
		if err == nil || !strings.Contains(err.Error(), words) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("err = %v, want %q", err, words)
		}
	}
	r := newRepo(t)
	fails(r.dir, "has no commit yet", "describe")
	fails(r.dir, "has no commit yet", "time")
	fails(r.dir, `no attribute "tags"; there are commit,`, "tags")
	bare := repo{t, t.TempDir()}
	if inRepository(bare.dir) {
		t.Skip("the temporary directory is part of a git repository")
	}
	fails(bare.dir, "run git init and commit, or put the source.json", "time")
	bare.write("source.json", `{"version":1,"time":"2026-03-04T05:06:07Z"}`)
	fails(bare.dir, `read source.json: it has no "describe"`, "time", "describe")
	if got := bare.read("", "time", "tag", "branch", "dirty"); got.Time.IsZero() {
		t.Errorf("%+v", got)
	}
	bare.write("source.json", strings.Repeat(" ", maxFile+1))
	fails(bare.dir, "at most 1048576 bytes", "time")
	bare.write(".git", "gitdir: nowhere")
	fails(bare.dir, "read source identity from git: git rev-list: fatal: ", "time")
	t.Setenv("PATH", "")
	fails(r.dir, "install git", "time")
	if info, err := Read(t.Context(), bare.dir, nil, Options{}); err != nil || *info != (Info{}) {
		t.Errorf("asked for nothing: %v %v", info, err)
	}
}

func TestCancelled(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, r.dir, attributes[:], Options{}); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("err = %v", err)
	}
}

func TestParseDescription(t *testing.T) {
	hash := strings.Repeat("0123456789", 4)
	for in, want := range map[string]string{
		hash:                       hash,
		"0123456":                  "0123456",
		hash + "-dirty":            "",
		"v1-0-g" + hash:            "v1",
		"v1-2-g012345678":          "v1-2-g012345678",
		"v1-2-g" + hash + "-dirty": "",
		"a-1-gb-3-gabcd":           "a-1-gb-3-gabcd",
		"x-dirty-0-g" + hash:       "x-dirty",
		"v1":                       "",
		"-0-g" + hash:              "",
		"v1-x-g" + hash:            "",
		"v1-0-gabc":                "",
		"":                         "",
	} {
		d, err := parseDescription(in)
		if (err == nil) != (want != "") || err == nil && d.String() != want {
			t.Errorf("%q: %v %v, want %q", in, d, err, want)
		}
	}
}

func TestEnviron(t *testing.T) {
	env := environ([]string{"PATH=/bin", "LC_ALL=de", "GIT_DIR=x", "GIT_CONFIG_COUNT=0"})
	if !slices.Contains(env, "PATH=/bin") || !slices.Contains(env, "GIT_CONFIG_COUNT=0") || slices.Contains(env, "LC_ALL=de") || slices.Contains(env, "GIT_DIR=x") {
		t.Errorf("%q", env)
	}
}
