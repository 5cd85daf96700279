package source

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSeries: tags of a folder are versions of what is in the folder, and of
// nothing else.
func TestSeries(t *testing.T) {
	if testing.Short() {
		t.Skip("starts git many times")
	}
	for _, tt := range []struct {
		name, in string
		tags     []string // TAG@N: of the commit N; there are 0 to 3
		tag      string
		describe string // without the hash
	}{
		{"none", "", nil, "", ""},
		{"plain", "", []string{"v1.0.0@3"}, "v1.0.0", "v1.0.0"},
		{"a folder's tag is nearer", "", []string{"v0.9.0@1", "cmd/foo/v1.2.3@3"}, "", "v0.9.0-2-g"},
		{"the folder's own", "cmd/foo", []string{"v0.9.0@3", "cmd/foo/v1.2.3@2"}, "", "v1.2.3-1-g"},
		{"the folder's own, of this commit", "cmd/foo", []string{"v0.9.0@3", "cmd/foo/v1.2.3@3"}, "v1.2.3", "v1.2.3"},
		{"a folder without tags", "cmd/foo", []string{"v0.9.0@2", "lib/v5.0.0@3"}, "", "v0.9.0-1-g"},
		{"a folder below", "cmd", []string{"v0.9.0@2", "cmd/foo/v5.0.0@3"}, "", "v0.9.0-1-g"},
		{"a name that begins alike", "cmd/foo", []string{"v0.9.0@2", "cmd/food/v5.0.0@3", "cmd/foo/v1/x@3"}, "", "v0.9.0-1-g"},
		{"other folders only", "", []string{"cmd/foo/v1.2.3@3"}, "", ""},
		{"a slash that is no folder's", "", []string{"release/v1.2.3@2"}, "", "release/v1.2.3-1-g"},
		{"a slash and no version", "", []string{"v1.0.0@1", "nightly/today@3"}, "nightly/today", "nightly/today"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			for _, name := range []string{"cmd/foo/a", "cmd/food/a", "lib/a", "b"} {
				r.commit(name)
			}
			for _, tag := range tt.tags {
				name, at, _ := strings.Cut(tag, "@")
				r.must("tag", name, "HEAD~"+string('3'-at[0]+'0'))
			}
			want := tt.describe
			if short := r.must("rev-parse", "--short", "HEAD"); want == "" || strings.HasSuffix(want, "-g") {
				want += short
			}
			if got := r.read(tt.in); got.Describe != want || got.Tag != tt.tag {
				t.Errorf("describe %s, tag %q; want %s, %q", got.Describe, got.Tag, want, tt.tag)
			}
		})
	}
}

// TestRules: what a git block says of tags, and their order on one commit.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules Rules
		tags  []string // TAG@N: of the commit N; there are 1 to 3, and the last is HEAD
		tag   string
		desc  string // without the hash
		prev  string
	}{
		{"order of versions", Rules{}, []string{"v1.9.0@3", "v1.10.0@3", "v1.10.0-rc.1@3", "latest@3"}, "v1.10.0", "v1.10.0", ""},
		{"a folder's", Rules{}, []string{"v1.2.3@3", "cmd/a/v9.9.9@3"}, "v1.2.3", "v1.2.3", ""},
		{"before it", Rules{}, []string{"v1.9.0@2", "v1.10.0@2", "v1.0.0@1"}, "", "v1.10.0-1-g", "v1.10.0"},
		{"without v", Rules{}, []string{"1.9.0@3", "1.10.0@3", "1.8.0@2"}, "1.10.0", "1.10.0", "1.8.0"},
		{"prefix of a folder", Rules{Prefix: "cmd/a/"}, []string{"v1.2.3@3", "cmd/a/v9.9.9@3", "cmd/a/v10.0.0@3", "cmd/a/b/v11.0.0@3", "cmd/a/v9.0.0@1", "v1.0.0@2"}, "v10.0.0", "v10.0.0", "v9.0.0"},
		{"prefix that is no folder", Rules{Prefix: "chart-"}, []string{"v1.2.3@3", "chart-0.9.0@2"}, "", "0.9.0-1-g", "0.9.0"},
		{"prefix without tags", Rules{Prefix: "x/"}, []string{"v1.2.3@3"}, "", "", ""},
		{"ignored", Rules{Ignore: []string{"nightly*", "*-internal"}}, []string{"nightly/9@3", "v2.0.0-internal@3", "v1.0.0@2"}, "", "v1.0.0-1-g", "v1.0.0"},
		{"suffix", Rules{PrereleaseSuffix: "rc"}, []string{"v1.0.0rc1@3", "v1.0.0@3", "v0.9.0@1"}, "v1.0.0", "v1.0.0", "v0.9.0"},
		{"before a release", Rules{}, []string{"v1.0.0@3", "v1.0.0-rc.1@2", "v0.9.0@1"}, "v1.0.0", "v1.0.0", "v1.0.0-rc.1"},
		{"before a release, the release", Rules{SkipPrereleases: true}, []string{"v1.0.0@3", "v1.0.0-rc.1@2", "v0.9.0@1"}, "v1.0.0", "v1.0.0", "v0.9.0"},
		{"before a pre-release", Rules{SkipPrereleases: true}, []string{"v1.0.0-rc.2@3", "v1.0.0-rc.1@2", "v0.9.0@1"}, "v1.0.0-rc.2", "v1.0.0-rc.2", "v1.0.0-rc.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			for _, name := range []string{"cmd/a/x", "b", "c"} {
				r.commit(name)
			}
			for _, tag := range tt.tags {
				name, at, _ := strings.Cut(tag, "@")
				r.must("tag", name, "HEAD~"+string('3'-at[0]+'0'))
			}
			want := tt.desc
			if short := r.must("rev-parse", "--short", "HEAD"); want == "" || strings.HasSuffix(want, "-g") {
				want += short
			}
			got, err := Read(t.Context(), r.dir, memorable, Options{Rules: tt.rules})
			if err != nil {
				t.Fatal(err)
			}
			if got.Describe != want || got.Tag != tt.tag || got.PreviousTag != tt.prev || got.CommitCount != 3 {
				t.Errorf("describe %s, tag %q, before it %q, %d commits; want %s, %q, %q, 3", got.Describe, got.Tag, got.PreviousTag, got.CommitCount, want, tt.tag, tt.prev)
			}
			log, err := ReadLog(t.Context(), r.dir, "", "", tt.rules)
			if err != nil || strings.TrimPrefix(log.Since, tt.rules.Prefix) != tt.prev || log.Tag != tt.tag {
				t.Errorf("log since %q of %q: %v", log.Since, log.Tag, err)
			}
		})
	}
}

// TestShallow: what needs every commit says so.
func TestShallow(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	r.commit("b")
	clone := filepath.Join(t.TempDir(), "clone")
	r.must("clone", "-q", "--depth=1", "file://"+filepath.ToSlash(r.dir), clone)
	for _, attr := range []string{"previous_tag", "commit_count"} {
		if _, err := Read(t.Context(), clone, []string{attr}, Options{}); err == nil || !strings.Contains(err.Error(), attr+" needs every commit, and this is a shallow clone") {
			t.Errorf("%s: %v", attr, err)
		}
	}
	if _, err := Read(t.Context(), clone, []string{"go", "describe"}, Options{}); err != nil {
		t.Error(err)
	}
}

// TestURL: the origin's address tells no secret.
func TestURL(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	r.must("remote", "add", "origin", "x")
	for _, tt := range [][2]string{
		{"https://example.org/a/b.git", "https://example.org/a/b.git"},
		{"https://me:secret@example.org/a/b.git", "https://example.org/a/b.git"},
		{"https://token@example.org:8443/a/b?private_token=x#y", "https://example.org:8443/a/b"},
		{"ssh://git:secret@example.org:22/a/b", "ssh://git@example.org:22/a/b"},
		{"git@example.org:a/b.git", "git@example.org:a/b.git"},
		{"/srv/git/a b.git", "/srv/git/a b.git"},
		{"../b", "../b"},
	} {
		r.must("remote", "set-url", "origin", tt[0])
		if got := r.read("", "url").URL; got != tt[1] {
			t.Errorf("%s became %s", tt[0], got)
		}
	}
}

// TestAbbreviation: as long as git's own.
func TestAbbreviation(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	r.must("tag", "v1")
	r.commit("b")
	for _, digits := range []string{"4", "9", "40", "auto"} {
		r.must("config", "core.abbrev", digits)
		want := r.must("describe", "--tags", "--always", "--dirty")
		if got := r.read(""); got.Describe != want || got.Short != got.Commit[:7] {
			t.Errorf("core.abbrev %s: describe %s, short %s; git says %s", digits, got.Describe, got.Short, want)
		}
	}
}
