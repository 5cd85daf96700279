package buildvcs

import (
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const hash = "0123456789abcdef0123456789abcdef01234567"

var at = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// TestVersion: the rules of the go command. That they are its rules is tested with
// whole programs, in testdata/script/buildvcs_stamp.txtar.
func TestVersion(t *testing.T) {
	const pseudo = "-20260131120000-0123456789ab"
	for _, tt := range []struct {
		name, root, mod string
		mods            string // of the commit: FILE=PATH
		tags, ancestors string
		modified        bool
		want            string
	}{
		{"no tag", "example.com/a", "", "go.mod", "", "", false, "v0.0.0" + pseudo},
		{"tag", "example.com/a", "", "go.mod", "v1.2.3", "", false, "v1.2.3"},
		{"modified", "example.com/a", "", "go.mod", "v1.2.3", "", true, "v1.2.3+dirty"},
		{"highest", "example.com/a", "", "go.mod", "v1.9.0 v1.10.0 v1.10.1-rc.1 v1.10.0-rc.1", "", false, "v1.10.1-rc.1"},
		{"after a tag", "example.com/a", "", "go.mod", "", "v1.2.3", false, "v1.2.4-0.20260131120000-0123456789ab"},
		{"after a pre-release", "example.com/a", "", "go.mod", "", "v1.2.3-rc.1 v1.1.0", false, "v1.2.3-rc.1.0.20260131120000-0123456789ab"},
		{"build metadata", "example.com/a", "", "go.mod", "v1.2.3+x", "v1.0.0", false, "v1.2.4-0.20260131120000-0123456789ab"},
		{"other major", "example.com/a", "", "go.mod", "v2.0.0", "v3.0.0", false, "v0.0.0" + pseudo},
		{"major", "example.com/a/v2", "", "go.mod=example.com/a/v2", "v1.9.0 v2.1.0", "", false, "v2.1.0"},
		{"major without tags", "example.com/a/v2", "", "go.mod=example.com/a/v2", "", "v1.0.0", false, "v2.0.0" + pseudo},
		{"major in its folder", "example.com/a", "example.com/a/v2", "go.mod v2/go.mod=example.com/a/v2", "v1.0.0 v2.0.0", "", false, "v2.0.0"},
		{"incompatible", "example.com/a", "", "", "v2.5.0", "", true, "v2.5.0+incompatible.dirty"},
		{"nested", "example.com/a", "example.com/a/sub", "go.mod sub/go.mod=example.com/a/sub", "v1.0.0 sub/v0.3.0", "", false, "v0.3.0"},
		{"nested, after a tag", "example.com/a", "example.com/a/sub", "go.mod sub/go.mod=example.com/a/sub", "v1.0.0", "sub/v0.3.0", false, "v0.3.1-0.20260131120000-0123456789ab"},
		{"nested, of a major version", "example.com/a", "example.com/a/sub/v2", "sub/go.mod=example.com/a/sub/v2", "sub/v2.3.4", "", false, "v2.3.4"},
		{"nested, not in the commit", "example.com/a", "example.com/a/sub", "go.mod", "sub/v0.3.0", "", true, Devel},
		{"path of another repository", "example.com/a", "example.com/b", "go.mod", "v1.0.0", "", false, Devel},
		{"nothing at the top", "", "example.com/a", "a/go.mod", "v1.0.0", "", false, Devel},
		{"major changed since", "example.com/a/v2", "", "go.mod=example.com/a", "v1.0.0", "", true, Devel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mods := map[string]string{}
			for _, f := range strings.Fields(tt.mods) {
				file, p, ok := strings.Cut(f, "=")
				if !ok {
					p = "example.com/a"
				}
				mods[file] = p
			}
			if tt.mod == "" {
				tt.mod = tt.root
			}
			r := &Repository{
				Hash: hash, Time: at, Modified: tt.modified, Root: tt.root, Tags: strings.Fields(tt.tags), Ancestors: strings.Fields(tt.ancestors),
				Mod: func(file string) (string, bool) { p, ok := mods[file]; return p, ok },
			}
			if got := r.Version(tt.mod); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			// What the stand-in says leads to the same version.
			s := &Stamp{Hash: hash, Time: at, Modified: tt.modified, Versions: map[string]string{tt.mod: tt.want}}
			for _, root := range []string{tt.root, s.Common()} {
				a := s.Answers(root)
				again := &Repository{
					Hash: a.Hash, Time: time.Unix(a.Time, 0).UTC(), Modified: a.Modified, Root: root, Tags: a.Tags, Ancestors: a.Ancestors,
					Mod: func(file string) (string, bool) { p, ok := a.Mods[file]; return p, ok },
				}
				if got := again.Version(tt.mod); got != tt.want && !a.Silent {
					t.Errorf("from %q: %s, want %s; answers %+v", root, got, tt.want, a)
				}
			}
		})
	}
}

func TestFacts(t *testing.T) {
	for _, s := range []*Stamp{
		{Hash: hash, Time: at, Versions: map[string]string{}},
		{Hash: hash, Time: at, Modified: true, Versions: map[string]string{"example.com/a": "v1.0.0+dirty", "example.com/b": Devel}},
	} {
		got, err := Of(s.Facts())
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%+v became %+v, %v", s, got, err)
		}
	}
	if s, err := Of(nil); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

// TestAnswers: the command lines of the go command.
func TestAnswers(t *testing.T) {
	s := &Stamp{Hash: hash, Time: at, Modified: true, Versions: map[string]string{
		"example.com/a":     "v1.2.3+dirty",
		"example.com/a/sub": "v0.3.1-0.20260131120000-0123456789ab+dirty",
	}}
	a := s.Answers("example.com/a")
	for _, tt := range []struct{ argv, want string }{
		{"status --porcelain", "?? modified\n"},
		{"-c log.showsignature=false log -1 --format=%H:%ct", hash + ":1769860800\n"},
		{"config extensions.objectformat", "error"},
		{"tag -l", "v1.2.3\nsub/v0.3.0\n"},
		{"for-each-ref --format=%(refname) --merged=" + hash, "refs/tags/v1.2.3\nrefs/tags/sub/v0.3.0\n"},
		{"cat-file --end-of-options blob " + hash + ":sub/go.mod", "module example.com/a/sub\n"},
		{"cat-file --end-of-options blob " + hash + ":other/go.mod", "error"},
		{"-c log.showsignature=false log --no-decorate -n1 --format=x --end-of-options " + hash[:12] + " --", hash + " 1769860800 tag: v1.2.3"},
		{"-c log.showsignature=false log --no-decorate -n1 --format=x --end-of-options refs/tags/v1.2.3 --", hash + " 1769860800 tag: v1.2.3"},
		{"-c log.showsignature=false log --no-decorate -n1 --format=x --end-of-options refs/tags/v9 --", "error"},
		{"fetch origin", "error"},
	} {
		var out strings.Builder
		err := a.answer(strings.Fields(tt.argv), &out)
		if (err != nil) != (tt.want == "error") || err == nil && out.String() != tt.want {
			t.Errorf("git %s: %q, %v; want %q", tt.argv, out.String(), err, tt.want)
		}
	}
}

// FuzzVersion: whatever the tags are, the answers lead to the version that they are of.
func FuzzVersion(f *testing.F) {
	f.Add("example.com/a", "example.com/a/sub", "v1.0.0 sub/v1.2.3-rc.1", "sub/v0.9.0", true)
	f.Fuzz(func(t *testing.T, root, mod, tags, ancestors string, modified bool) {
		m, ok := place(root, mod)
		r := &Repository{
			Hash: hash, Time: at, Modified: modified, Root: root, Tags: strings.Fields(tags), Ancestors: strings.Fields(ancestors),
			Mod: func(file string) (string, bool) { return mod, ok && file == path.Join(m.dir, "go.mod") },
		}
		want := r.Version(mod)
		a := (&Stamp{Hash: hash, Time: at, Modified: modified, Versions: map[string]string{mod: want}}).Answers(root)
		if a.Silent {
			return
		}
		r.Tags, r.Ancestors = a.Tags, a.Ancestors
		if got := r.Version(mod); got != want {
			t.Fatalf("%s, want %s; answers %+v", got, want, a)
		}
		if !slices.IsSorted(a.Tags) {
			t.Fatal(a.Tags)
		}
	})
}
