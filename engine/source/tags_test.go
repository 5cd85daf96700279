package source

import (
	"strings"
	"testing"
)

// TestSeries: tags of a folder are versions of what is in the folder, and of
// nothing else.
func TestSeries(t *testing.T) {
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
