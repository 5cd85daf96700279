package source

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/internal/frames"
)

// settle waits until what was written can be told from what is written later.
func settle() { time.Sleep(racyFine + 15*time.Millisecond) }

// A recaller reads a repository with a memo, in one of its directories.
type recaller struct {
	t          *testing.T
	dir, state string
	attrs      []string
}

// withoutGit answers from the memo alone; ok is false if git would be asked.
func (r recaller) withoutGit() (Info, bool) {
	r.t.Helper()
	r.t.Setenv("PATH", "")
	defer r.t.Setenv("PATH", gitPath)
	info, err := Read(r.t.Context(), r.dir, r.attrs, Options{State: r.state})
	if err != nil {
		if !strings.Contains(err.Error(), "install git") {
			r.t.Fatal(err)
		}
		return Info{}, false
	}
	return *info, true
}

func (r recaller) both() (git, memo Info) {
	r.t.Helper()
	want, err := Read(r.t.Context(), r.dir, r.attrs, Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	got, err := Read(r.t.Context(), r.dir, r.attrs, Options{State: r.state})
	if err != nil {
		r.t.Fatal(err)
	}
	return *want, *got
}

// prime makes the memo, which is there from then on.
func (r recaller) prime() {
	r.t.Helper()
	settle()
	git, memo := r.both()
	if git != memo {
		r.t.Fatalf("%+v, git says %+v", memo, git)
	}
	if got, ok := r.withoutGit(); !ok || got != git {
		r.t.Fatalf("without git: %v, %+v; git says %+v", ok, got, git)
	}
}

var gitPath = os.Getenv("PATH")

func TestMemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts git many times")
	}
	if runtime.GOOS == "windows" {
		t.Skip("links and modes are changed in the table")
	}
	r := newRepo(t)
	r.commit("a")
	r.commit("sub/b")
	r.commit("deep/er/c")
	r.must("tag", "v1")
	r.must("branch", "side")
	r.write("packed", "")
	r.must("tag", "old/v0", "HEAD~1")
	tree := filepath.Join(t.TempDir(), "worktree")
	r.must("worktree", "add", "-q", "-b", "linked", tree, "v1")
	shallow := filepath.Join(t.TempDir(), "shallow")
	r.must("clone", "-q", "--depth=1", "file://"+filepath.ToSlash(r.dir), shallow)
	join := func(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(os.Getenv("HOME"), ".gitconfig")
	for _, tt := range []struct {
		name string
		in   string // directory that is read; "" is the top
		keep bool   // the memo still holds
		do   func()
	}{
		{"nothing", "", true, func() {}},
		{"in a folder", "sub", true, func() {}},
		{"untracked file", "", true, func() { r.write("sub/new", "") }},
		{"looked at", "", true, func() { r.must("log", "--stat") }},
		{"edit", "", false, func() { r.write("a", "other") }},
		{"edit while dirty", "", false, func() { r.write("a", "a") }},
		{"edit of the same size", "", false, func() { r.write("sub/b", "SUB/b") }},
		{"edit that keeps the time", "", false, func() {
			info, err := os.Stat(join("sub/b"))
			try(err)
			r.write("sub/b", "sub/b")
			try(os.Chtimes(join("sub/b"), info.ModTime(), info.ModTime()))
		}},
		{"edit elsewhere in the repository", "sub", false, func() { r.write("a", "x") }},
		{"edit undone", "sub", false, func() { r.must("checkout", "-q", "a") }},
		{"touch", "", false, func() { try(os.Chtimes(join("a"), time.Time{}, time.Now())) }},
		{"mode", "", false, func() { try(os.Chmod(join("a"), 0o755)) }},
		{"mode back", "", false, func() { try(os.Chmod(join("a"), 0o644)) }},
		{"delete", "", false, func() { try(os.Remove(join("deep/er/c"))) }},
		{"come back", "", false, func() { r.must("checkout", "-q", ".") }},
		{"folder becomes a link", "", false, func() {
			try(os.Rename(join("deep"), join("moved")))
			try(os.Symlink("moved", join("deep")))
		}},
		{"folder again", "", false, func() {
			try(os.Remove(join("deep")))
			try(os.Rename(join("moved"), join("deep")))
		}},
		{"file becomes a link", "", false, func() {
			try(os.Rename(join("a"), join("moved")))
			try(os.Symlink("moved", join("a")))
		}},
		{"file again", "", false, func() { try(os.Rename(join("moved"), join("a"))) }},
		{"staged", "", false, func() { r.write("a", "staged"); r.must("add", "a") }},
		{"unstaged", "", false, func() { r.must("reset", "-q", "--hard") }},
		{"staged, not in the work tree", "", false, func() {
			r.write("a", "staged")
			r.must("add", "a")
			r.write("a", "a")
		}},
		{"commit", "", false, func() { r.must("commit", "-q", "-m", "next"); r.must("reset", "-q", "--hard") }},
		{"empty commit", "sub", false, func() { r.must("commit", "-q", "--allow-empty", "-m", "empty") }},
		{"amend", "", false, func() { r.must("commit", "-q", "--allow-empty", "--amend", "-m", "amended") }},
		{"tag", "", false, func() { r.must("tag", "v2") }},
		{"annotated tag", "", false, func() { r.must("tag", "-a", "-m", "x", "rel/v3") }},
		{"tag moved", "", false, func() { r.must("tag", "-f", "v2", "HEAD~1") }},
		{"tag removed", "", false, func() { r.must("tag", "-d", "rel/v3") }},
		{"tag written by hand", "", false, func() { r.write(".git/refs/tags/hand", r.must("rev-parse", "HEAD")+"\n") }},
		{"refs packed", "", false, func() { r.must("pack-refs", "--all") }},
		{"tag removed from the pack", "", false, func() { r.must("tag", "-d", "hand") }},
		{"other branch at the same commit", "", false, func() { r.must("checkout", "-q", "-b", "twin") }},
		{"other branch", "", false, func() { r.must("checkout", "-q", "side") }},
		{"detached", "", false, func() { r.must("checkout", "-q", "--detach") }},
		{"reset", "", false, func() { r.must("checkout", "-q", "main"); r.must("reset", "-q", "--soft", "HEAD~1") }},
		{"collected", "", false, func() { r.must("reset", "-q", "--hard"); r.must("gc", "-q", "--prune=now") }},
		{"objects packed", "", false, func() { r.must("commit", "-q", "--allow-empty", "-m", "loose"); r.must("repack", "-q", "-a", "-d") }},
		{"objects of another repository", "", false, func() {
			r.write(".git/objects/info/alternates", filepath.ToSlash(filepath.Join(shallow, ".git", "objects"))+"\n")
		}},
		{"packed in the other repository", "", false, func() {
			other := repo{t, shallow}
			other.must("commit", "-q", "--allow-empty", "-m", "loose")
			other.must("repack", "-q", "-a", "-d")
		}},
		{"its own objects again", "", false, func() { try(os.Remove(join(".git/objects/info/alternates"))) }},
		{"length of abbreviations", "", false, func() { r.must("config", "core.abbrev", "11") }},
		{"repository's configuration", "", false, func() { r.must("config", "core.fileMode", "false") }},
		{"user's configuration", "", false, func() {
			try(os.WriteFile(config, []byte("[core]\n\tautocrlf = input\n[include]\n\tpath = more\n"), 0o666))
		}},
		{"included configuration", "", false, func() {
			try(os.WriteFile(filepath.Join(filepath.Dir(config), "more"), []byte("[core]\n\tautocrlf = false\n"), 0o666))
		}},
		{"attributes that are not tracked", "", false, func() { r.write("deep/.gitattributes", "* text eol=crlf\n") }},
		{"attributes of the repository", "", false, func() { r.write(".git/info/attributes", "* -text\n") }},
		{"environment", "", false, func() { t.Setenv("GIT_ATTR_NOSYSTEM", "1") }},
		{"other repository in between", "sub", false, func() {
			sub := repo{t, join("sub")}
			sub.must("init", "-q", sub.dir)
			sub.must("commit", "-q", "--allow-empty", "-m", "sub")
		}},
	} {
		rec := recaller{t, join(tt.in), filepath.Join(t.TempDir(), "state"), memorable}
		rec.prime()
		tt.do()
		if _, ok := rec.withoutGit(); ok != tt.keep {
			t.Errorf("%s: answered without git: %v, want %v", tt.name, ok, tt.keep)
		}
		if git, memo := rec.both(); git != memo {
			t.Errorf("%s: %+v, git says %+v", tt.name, memo, git)
		}
		rec.prime() // what was not remembered at once is remembered now
	}
	for _, dir := range []string{tree, shallow} {
		other := repo{t, dir}
		rec := recaller{t, dir, filepath.Join(t.TempDir(), "state"), basic}
		rec.prime()
		other.must("commit", "-q", "--allow-empty", "-m", "next")
		if _, ok := rec.withoutGit(); ok {
			t.Errorf("%s: commit not noticed", dir)
		}
		rec.prime()
		r.must("tag", "-f", "shared", "v1")
		if _, ok := rec.withoutGit(); ok != (dir == shallow) {
			t.Errorf("%s: tag in the main work tree: answered %v", dir, ok)
		}
	}
	rec := recaller{t, shallow, filepath.Join(t.TempDir(), "state"), basic}
	rec.prime()
	repo{t, shallow}.must("fetch", "-q", "--unshallow")
	if _, ok := rec.withoutGit(); ok {
		t.Error("deeper clone not noticed")
	}
}

// TestMemoUnsure: where changes are not watched, git is asked each time.
func TestMemoUnsure(t *testing.T) {
	unsure := func(name string, r repo, attrs ...string) {
		t.Helper()
		settle()
		rec := recaller{t, r.dir, filepath.Join(t.TempDir(), "state"), attrs}
		for range 2 {
			settle()
			if git, memo := rec.both(); git != memo {
				t.Errorf("%s: %+v, git says %+v", name, memo, git)
			}
		}
		if _, ok := rec.withoutGit(); ok {
			t.Errorf("%s: answered without git", name)
		}
	}
	r := newRepo(t)
	r.commit("a")
	sub := repo{t, filepath.Join(r.dir, "module")}
	sub.must("init", "-q", sub.dir)
	sub.commit("b")
	r.must("add", "module")
	r.must("commit", "-q", "-m", "module")
	unsure("submodule", r, "dirty")
	settle()
	linked := recaller{t, r.dir, filepath.Join(t.TempDir(), "state"), []string{"commit"}}
	linked.prime() // a submodule matters to the work tree only
	r.must("symbolic-ref", "refs/heads/alias", "refs/heads/main")
	r.must("symbolic-ref", "HEAD", "refs/heads/alias")
	unsure("branch that names another", r, "commit")
}

func TestRacy(t *testing.T) {
	at := time.Unix(1772600767, 500_000_000)
	for _, tt := range []struct {
		kind watchKind
		ago  time.Duration
		want bool
	}{
		{watchEntry, time.Second, false},
		{watchEntry, 21 * time.Millisecond, false},
		{watchEntry, 19 * time.Millisecond, true},
		{watchTarget, -time.Hour, true},              // clocks that differ
		{watchEntry, 1500 * time.Millisecond, true},  // a whole second
		{watchEntry, 2500 * time.Millisecond, false}, // another
		{watchPlace, 0, false},                       // that it is there is all that matters
		{watchTargetPlace, time.Millisecond, false},
	} {
		w := watched{kind: tt.kind, state: state{inode: 1, ctime: at.Add(-tt.ago).UnixNano()}}
		if got := w.racy(at); got != tt.want {
			t.Errorf("%d, %v ago: %v", tt.kind, tt.ago, got)
		}
	}
	absent := watched{kind: watchEntry}
	if absent.racy(time.Unix(0, 0)) {
		t.Error("what is not there is racy")
	}
}

// TestMemoOnlyAsked: what is not asked for is not watched.
func TestMemoOnlyAsked(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	for attr, file := range map[string]string{"branch": "a", "commit": "a", "time": "a", "tag": "a", "dirty": ".git/refs/tags/x"} {
		rec := recaller{t, r.dir, filepath.Join(t.TempDir(), "state"), []string{attr}}
		rec.prime()
		text := "edited for " + attr
		if attr == "dirty" {
			text = r.must("rev-parse", "HEAD") + "\n"
		}
		r.write(file, text)
		if _, ok := rec.withoutGit(); !ok {
			t.Errorf("%s: %s counts", attr, file)
		}
	}
}

// TestMemoProperty does what developers do, in any order, and compares.
func TestMemoProperty(t *testing.T) {
	if testing.Short() {
		t.Skip("starts git many times")
	}
	r := newRepo(t)
	for i := range 5 {
		r.commit(fmt.Sprintf("d%d/f", i))
	}
	rec := recaller{t, r.dir, filepath.Join(t.TempDir(), "state"), memorable}
	rnd := rand.New(rand.NewPCG(1, 2))
	answered := 0
	for i := range 80 {
		name := fmt.Sprintf("d%d/f", rnd.IntN(5))
		did := rnd.IntN(8)
		switch did {
		case 0:
			r.write(name, fmt.Sprint(rnd.IntN(3)))
		case 1:
			r.must("checkout", "-q", "HEAD", "--", ".")
		case 2:
			r.must("commit", "-q", "-a", "--allow-empty", "-m", "x")
		case 3:
			os.Remove(filepath.Join(r.dir, name))
		case 4:
			r.must("tag", "-f", fmt.Sprint("t", rnd.IntN(2)))
		case 5:
			r.must("add", "-A")
		case 6:
			settle()
		}
		git, memo := rec.both()
		if git != memo {
			t.Fatalf("step %d (%d): %+v, git says %+v", i, did, memo, git)
		}
		if got, ok := rec.withoutGit(); ok {
			if answered++; got != git {
				t.Fatalf("step %d (%d): %+v without git, which says %+v", i, did, got, git)
			}
		}
	}
	if answered < 10 {
		t.Errorf("answered only %d times without git", answered)
	}
}

var fixtureMemo = memo{
	key: [32]byte{1, 2, 31: 3}, top: "/p", marks: 1,
	info: Info{Commit: strings.Repeat("0123456789", 4), Short: "0123456", Branch: "main", Tag: "v1", Describe: "v1-dirty", Dirty: true, Time: time.Unix(1772600767, 0).UTC(), PreviousTag: "v0.9", URL: "https://example.org/r.git", CommitCount: 300},
	watch: []watched{
		{watchEntry, "/p/.git/HEAD", state{21, 1772600767000000001, 1772600767000000002, 77, 2049, 0o100644}},
		{watchPlace, ".", state{0, 0, 0, 78, 2049, 0o40000}},
		{watchTarget, ".gitattributes", state{}},
		{watchEntry, "größe.go", state{-1, -2, -3, 1 << 63, 1, 2}},
	},
}

func TestMemoFormat(t *testing.T) {
	name := filepath.Join("..", "..", "testdata", "formats", "source-memo-2")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := fixtureMemo.encode(); !bytes.Equal(got, b) {
		t.Errorf("the bytes of version 2 changed: %q", got)
	}
	m, err := decodeMemo(b)
	if err != nil || !reflect.DeepEqual(*m, fixtureMemo) {
		t.Errorf("%+v %v", m, err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if _, err := decodeMemo(bad); err == nil {
			t.Fatalf("byte %d flipped and not noticed", i)
		}
		if _, err := decodeMemo(b[:i]); err == nil {
			t.Fatalf("cut off at %d and not noticed", i)
		}
	}
	epoch := memo{info: Info{Time: time.Unix(0, 0).UTC()}}
	if m, err := decodeMemo(epoch.encode()); err != nil || !m.info.Time.Equal(epoch.info.Time) || m.info.Time.IsZero() {
		t.Errorf("1970: %+v %v", m, err)
	}
}

// FuzzMemo: what can be decoded is encoded to the same bytes.
func FuzzMemo(f *testing.F) {
	f.Add(fixtureMemo.encode()[memoHeader:])
	f.Add((&memo{}).encode()[memoHeader:])
	f.Fuzz(func(t *testing.T, body []byte) {
		b := slices.Concat([]byte(memoMagic), binary.LittleEndian.AppendUint32(nil, frames.Checksum(body)), body)
		m, err := decodeMemo(b)
		if err != nil {
			return
		}
		again, err := decodeMemo(m.encode())
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func TestDamagedMemo(t *testing.T) {
	r := newRepo(t)
	r.commit("a")
	rec := recaller{t, r.dir, filepath.Join(t.TempDir(), "state"), memorable}
	rec.prime()
	files, _ := filepath.Glob(filepath.Join(rec.state, "source-*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if err := os.WriteFile(files[0], []byte("airbuild-source-memo-3\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if git, memo := rec.both(); git != memo {
		t.Errorf("%+v, git says %+v", memo, git)
	}
	if _, ok := rec.withoutGit(); !ok {
		t.Error("not mended")
	}
	for _, attrs := range [][]string{{"describe"}, {"dirty"}} { // another question has another memo
		rec.attrs = attrs
		if _, ok := rec.withoutGit(); ok {
			t.Errorf("%v: answered by another memo", attrs)
		}
	}
}

// BenchmarkRead: 2,000 tracked files in 200 folders; with the memo, by asking
// git, and the bare looks.
func BenchmarkRead(b *testing.B) {
	if _, err := exec.LookPath("git"); err != nil {
		b.Skip("this host has no git")
	}
	dir := b.TempDir()
	git := func(argv ...string) {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org"}, argv...)...)
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	git("init", "-q")
	var names []string
	for i := range 200 {
		folder := filepath.Join(dir, fmt.Sprintf("a%d", i/20), fmt.Sprintf("b%d", i))
		if err := os.MkdirAll(folder, 0o777); err != nil {
			b.Fatal(err)
		}
		for j := range 10 {
			names = append(names, filepath.Join(folder, fmt.Sprintf("file%d.go", j)))
			if err := os.WriteFile(names[len(names)-1], []byte(fmt.Sprint(i, j)), 0o666); err != nil {
				b.Fatal(err)
			}
		}
	}
	git("add", "-A")
	git("commit", "-q", "-m", "x")
	settle()
	attrs := []string{"commit", "describe", "time"}
	for name, o := range map[string]Options{"memo": {State: b.TempDir()}, "git": {}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Read(b.Context(), dir, attrs, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("lstat", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, n := range names {
				if _, err := os.Lstat(n); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
