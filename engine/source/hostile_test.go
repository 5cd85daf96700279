package source

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A trap is a program that a repository names. It leaves a file when it runs.
type trap struct {
	t        *testing.T
	dir, bin string
}

func newTrap(t *testing.T) trap {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the trap is a shell script")
	}
	tr := trap{t: t, dir: t.TempDir()}
	tr.bin = filepath.Join(t.TempDir(), "trap")
	text := fmt.Sprintf("#!/bin/sh\ntouch %q/\"$(echo \"$1\" | tr / _)\"\ncat 2>/dev/null\n", tr.dir)
	if err := os.WriteFile(tr.bin, []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
	return tr
}

// sprung returns what has run since the last call.
func (tr trap) sprung() []string {
	tr.t.Helper()
	list, err := os.ReadDir(tr.dir)
	if err != nil {
		tr.t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
		os.Remove(filepath.Join(tr.dir, e.Name()))
	}
	return names
}

// named are settings that name programs.
var named = []string{
	"core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.alternateRefsCommand", "core.gitProxy",
	"diff.external", "gpg.program", "gpg.ssh.program", "credential.helper", "sequence.editor", "pager.status", "pager.log", "pager.diff",
	"filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "filter.a.b C.clean", "filter.a.b C.process",
	"diff.evil.textconv", "diff.evil.command", "merge.evil.driver",
}

func (tr trap) set(r repo) {
	tr.t.Helper()
	for _, key := range named {
		r.must("config", key, tr.bin+" "+strings.ReplaceAll(key, " ", "_"))
	}
	r.must("config", "log.showSignature", "true")
	hooks := filepath.Join(r.dir, ".git", "hooks")
	if err := os.MkdirAll(hooks, 0o777); err != nil {
		tr.t.Fatal(err)
	}
	for _, hook := range []string{"post-index-change", "fsmonitor-watchman", "reference-transaction"} {
		if err := os.WriteFile(filepath.Join(hooks, hook), []byte("#!/bin/sh\nexec '"+tr.bin+"' hook-"+hook+"\n"), 0o777); err != nil {
			tr.t.Fatal(err)
		}
	}
}

// filtered is a repository whose files have filters that change nothing yet.
func filtered(t *testing.T) repo {
	r := newRepo(t)
	r.write(".gitattributes", "*.txt filter=evil diff=evil\n*.dat filter=a.b\\ C\n*.bin filter=lfs\n")
	r.write("a.txt", "x\n")
	r.write("b.dat", "x\n")
	r.commit("c")
	r.must("tag", "-a", "-m", "one", "v1")
	return r
}

// touched makes each time of touch another.
var touched int

// touch makes git read a file again, with other contents of the same length.
func (r repo) touch(name, text string) {
	r.t.Helper()
	r.write(name, text)
	touched++
	then := time.Now().Add(-time.Duration(touched) * time.Hour)
	if err := os.Chtimes(filepath.Join(r.dir, name), then, then); err != nil {
		r.t.Fatal(err)
	}
}

// looks does everything that this package does with a repository.
func looks(r repo) (dirty bool) {
	r.t.Helper()
	info := r.read("", memorable...)
	ctx, state := r.t.Context(), r.t.TempDir()
	if all := r.read("", attributes[:]...); all.Go.Modified != info.Dirty {
		r.t.Errorf("dirty is %v, modified %v", info.Dirty, all.Go.Modified)
	}
	for range 2 {
		again, err := Read(ctx, r.dir, memorable, Options{State: state})
		if err != nil || *again != info {
			r.t.Errorf("%+v, and with a memo %+v, %v", info, again, err)
		}
	}
	if _, err := ReadLog(ctx, r.dir, "", "", Rules{}); err != nil {
		r.t.Error(err)
	}
	rev, err := OpenRevision(ctx, r.dir, "HEAD")
	if err != nil {
		r.t.Fatal(err)
	}
	changes, err := rev.Changes(ctx)
	if err != nil || info.Dirty != (len(changes) > 0) {
		r.t.Errorf("dirty is %v, changes %v, %v", info.Dirty, changes, err)
	}
	if _, err := rev.Tracked(ctx); err != nil {
		r.t.Error(err)
	}
	for _, argv := range [][]string{{"status"}, {"ls-files", "--eol"}, {"diff", "--name-only"}, {"ls-files", "--others"}} {
		cmd, err := Command(ctx, r.dir, argv...)
		if err == nil {
			err = cmd.Run()
		}
		if err != nil {
			r.t.Error(argv, err)
		}
	}
	return info.Dirty
}

func TestProgramsOfTheRepository(t *testing.T) {
	tr, r := newTrap(t), filtered(t)
	included := filepath.Join(t.TempDir(), "more")
	for _, c := range []struct {
		name string
		set  func()
	}{
		{"in its configuration", func() { tr.set(r) }},
		{"in that of the work tree", func() {
			r.must("config", "extensions.worktreeConfig", "true")
			r.must("config", "--worktree", "filter.evil.process", tr.bin+" worktree")
		}},
		{"in a file that it includes", func() {
			text := fmt.Sprintf("[Filter \"evil\"]\n\tClean = %q\n[filter \"other\"]\n\tprocess = %q\n", tr.bin+" included", tr.bin+" included")
			if err := os.WriteFile(included, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			r.must("config", "includeIf.gitdir:**.path", included)
			r.write(".git/info/attributes", "*.txt filter=other\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.set()
			for _, edit := range []struct {
				text  string
				dirty bool
			}{{"x\n", false}, {"y\n", true}, {"x\n", false}} {
				r.touch("a.txt", edit.text)
				r.touch("b.dat", edit.text)
				tr.sprung() // by git on behalf of the test
				if dirty := looks(r); dirty != edit.dirty {
					t.Errorf("%q: dirty is %v", edit.text, dirty)
				}
				if ran := tr.sprung(); ran != nil {
					t.Errorf("%q: ran %q", edit.text, ran)
				}
			}
			r.touch("a.txt", "y\n")
			r.must("status")
			if tr.sprung() == nil {
				t.Error("git itself runs nothing: the trap is not set")
			}
			r.write("a.txt", "x\n")
		})
	}
}

func TestProgramsOfASubmodule(t *testing.T) {
	tr, inner := newTrap(t), filtered(t)
	outer := repo{t, filepath.Join(t.TempDir(), "outer")}
	outer.must("init", "-q", "-b", "main", outer.dir)
	outer.must("-c", "protocol.file.allow=always", "submodule", "add", "-q", inner.dir, "sub")
	outer.commit("c")
	sub := repo{t, filepath.Join(outer.dir, "sub")}
	sub.must("config", "filter.evil.clean", tr.bin+" sub")
	for text, dirty := range map[string]bool{"x\n": false, "y\n": true} {
		sub.touch("a.txt", text)
		tr.sprung()
		if got := looks(outer); got != dirty {
			t.Errorf("%q: dirty is %v", text, got)
		}
		if ran := tr.sprung(); ran != nil {
			t.Errorf("%q: ran %q", text, ran)
		}
	}
}

// TestProgramsOfATransport has git miss an object that the repository's
// configuration promises to fetch.
func TestProgramsOfATransport(t *testing.T) {
	tr, r := newTrap(t), filtered(t)
	r.write("a.txt", "y\n")
	r.commit("d")
	object := r.must("rev-parse", "HEAD^{tree}")
	if err := os.Remove(filepath.Join(r.dir, ".git", "objects", object[:2], object[2:])); err != nil {
		t.Fatal(err)
	}
	r.must("config", "core.repositoryFormatVersion", "1")
	r.must("config", "extensions.partialClone", "origin")
	r.must("config", "remote.origin.promisor", "true")
	r.must("config", "protocol.allow", "always")
	for _, url := range []string{"ext::" + tr.bin + " ext", r.dir, "ssh://host/x"} {
		r.must("config", "remote.origin.url", url)
		r.must("config", "remote.origin.uploadpack", tr.bin+" uploadpack")
		r.must("config", "core.sshCommand", tr.bin+" ssh")
		tr.sprung()
		if info, err := Read(t.Context(), r.dir, []string{"dirty"}, Options{}); err == nil {
			t.Errorf("%s: %+v, though the tree is not there", url, info)
		}
		if ran := tr.sprung(); ran != nil {
			t.Errorf("%s: ran %q", url, ran)
		}
	}
}

// TestUsersFilter runs what the user's own configuration names, whatever the
// repository says of a filter of that name.
func TestUsersFilter(t *testing.T) {
	tr, r := newTrap(t), filtered(t)
	upper := filepath.Join(t.TempDir(), "upper")
	if err := os.WriteFile(upper, []byte("#!/bin/sh\ntr a-z A-Z\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	r.must("config", "--global", "filter.evil.clean", upper)
	r.must("config", "--global", "filter.evil.required", "true")
	r.write("a.txt", "abc\n")
	r.commit("d") // ABC in the commit
	r.must("config", "filter.evil.clean", tr.bin+" clean")
	for text, dirty := range map[string]bool{"aBc\n": false, "abd\n": true} {
		r.touch("a.txt", text)
		tr.sprung()
		if got := looks(r); got != dirty {
			t.Errorf("%q: dirty is %v", text, got)
		}
		if ran := tr.sprung(); ran != nil {
			t.Errorf("%q: ran %q", text, ran)
		}
	}
	// No setting takes a process of the repository's back, and with one there
	// is no clean: what nobody can compare counts as modified.
	r.must("config", "filter.evil.process", tr.bin+" process")
	r.touch("a.txt", "abc\n")
	tr.sprung()
	if !looks(r) {
		t.Error("not dirty, with no filter to say so")
	}
	if ran := tr.sprung(); ran != nil {
		t.Errorf("ran %q", ran)
	}
}

// TestLFS has git-lfs in the repository's configuration alone, as CI systems
// set it up.
func TestLFS(t *testing.T) {
	r := filtered(t)
	for _, name := range []string{"big.bin", "more.bin"} {
		content := "content of " + name
		r.write(name, fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize %d\n", sha256.Sum256([]byte(content)), len(content)))
	}
	r.commit("d")
	r.must("config", "filter.lfs.clean", "git-lfs clean -- %f")
	r.must("config", "filter.lfs.process", "git-lfs filter-process")
	r.must("config", "filter.lfs.required", "true")
	dirty := func() bool { t.Helper(); return r.read("", "dirty").Dirty }
	r.touch("big.bin", "content of big.bin")
	r.touch("more.bin", "content of more.bin")
	if dirty() {
		t.Error("files as they were checked out are dirty")
	}
	r.touch("more.bin", "content 0f more.bin")
	if !dirty() {
		t.Error("an edited file is not dirty")
	}
	r.touch("more.bin", "content of more.bin")
	r.touch("a.txt", "z\n")
	if !dirty() {
		t.Error("an edit of another file is not dirty")
	}
	r.touch("a.txt", "x\n")
	if err := os.Chmod(filepath.Join(r.dir, "big.bin"), 0o777); err != nil {
		t.Fatal(err)
	}
	if !dirty() {
		t.Error("another mode is not dirty")
	}
}

func TestFilterWithEqualsSign(t *testing.T) {
	r := filtered(t)
	r.write(".git/config", "[filter \"x=y\"]\n\tclean = cat\n")
	_, err := Read(t.Context(), r.dir, []string{"dirty"}, Options{})
	if err == nil || !strings.Contains(err.Error(), `"x=y"`) {
		t.Error(err)
	}
}
