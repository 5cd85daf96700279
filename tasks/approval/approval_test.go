package approval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// aKey is a key that is the same in every run.
func aKey(t *testing.T, seed byte) *sign.SecretKey {
	t.Helper()
	k, err := sign.Generate(strings.NewReader(strings.Repeat(string([]byte{seed, seed + 1, seed * 3}), 100)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A desk is a gate with its files and keys.
type desk struct {
	t     *testing.T
	gate  Gate
	step  engine.Step
	cfg   *Config
	files fstest.MapFS
	keys  map[string]*sign.SecretKey
}

func newDesk(t *testing.T, threshold int) *desk {
	d := &desk{t: t, cfg: &Config{Environment: "prod", Now: func() time.Time { return noon }}, keys: map[string]*sign.SecretKey{"alice": aKey(t, 1), "bob": aKey(t, 9), "eve": aKey(t, 77)}}
	d.files = fstest.MapFS{
		"go.mod":           {Data: []byte("module example.org/app\n")},
		"dist/app.tar.gz":  {Data: []byte("app")},
		"dist/docs/a.html": {Data: []byte("a")},
	}
	b := tasktest.Block(Type, "gate", d.files)
	tasktest.Set(b, "files", tasktest.Made("dist/app.tar.gz", "dist/docs"))
	tasktest.Set(b, "approvers", []string{d.keys["alice"].Public().String(), d.keys["bob"].Public().String()})
	tasktest.Set(b, "threshold", threshold)
	d.step = tasktest.Step(t, task{d.cfg}, b)
	if !d.step.NoCache {
		t.Error("a gate must not be cached: approvals expire")
	}
	g, _, err := GateOf(&d.step)
	if err != nil {
		t.Fatal(err)
	}
	d.gate = g
	return d
}

// approve puts an approval by a key where the gate looks.
func (d *desk) approve(who string, change func(*Gate, *Approval)) {
	d.t.Helper()
	g, a := d.gate, Approval{Approver: who, Comment: "fine <by> me", Time: noon.Add(-time.Hour)}
	subjects, err := g.Subjects(d.t.Context(), d.files)
	if err != nil {
		d.t.Fatal(err)
	}
	if change != nil {
		change(&g, &a)
	}
	b, err := g.Sign(subjects, a, d.keys[who])
	if err != nil {
		d.t.Fatal(err)
	}
	name, content, err := d.gate.Keep(d.keys[who].Public(), b, func(name string) ([]byte, error) {
		if f := d.files[name]; f != nil {
			return f.Data, nil
		}
		return nil, os.ErrNotExist
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.files[name] = &fstest.MapFile{Data: content}
}

// run runs the gate and returns the record.
func (d *desk) run() (string, error) {
	d.t.Helper()
	l, err := d.step.Discoverer.Discover(d.t.Context(), nil)
	if err != nil {
		return "", err
	}
	call := &engine.ToolCall{Args: d.step.Command.Arguments[2:], In: d.files, Dir: d.t.TempDir(), Private: l.Private, Log: io.Discard}
	if err := (tool{d.cfg}).Run(d.t.Context(), call); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(call.Dir, "dist", "gate.approval.json"))
	return string(b), err
}

func (d *desk) refused(words string) {
	d.t.Helper()
	if _, err := d.run(); err == nil || !strings.Contains(err.Error(), words) {
		d.t.Errorf("the gate says %v; want %q in it", err, words)
	}
}

func TestThreshold(t *testing.T) {
	d := newDesk(t, 2)
	d.refused("not approved: 0 of 2 approvals")
	d.refused("airbuild approve gate --environment prod --sign KEY")
	d.approve("alice", nil)
	d.approve("alice", nil)
	d.refused("not approved: 1 of 2 approvals")
	d.approve("bob", nil)
	first, err := d.run()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := d.run(); again != first {
		t.Error("the record is not the same twice")
	}
	var r record
	if err := json.Unmarshal([]byte(first), &r); err != nil || len(r.Approvals) != 2 || len(r.Files) != 2 || r.Approvals[0].Comment != "fine <by> me" {
		t.Errorf("record = %s, %v", first, err)
	}
}

// One approver cannot count twice, whatever the files are called.
func TestTwoOfOne(t *testing.T) {
	d := newDesk(t, 2)
	d.approve("alice", nil)
	for name, f := range d.files {
		if strings.HasPrefix(name, "approvals/") {
			d.files["approvals/gate/copy.json"] = f
		}
	}
	d.refused("1 of 2 approvals")
}

func TestWhatDoesNotCount(t *testing.T) {
	past, later := noon, noon.Add(time.Second)
	for _, test := range []struct {
		name   string
		who    string
		change func(*Gate, *Approval)
		after  func(*desk)
		want   string
	}{
		{"stranger", "eve", nil, nil, "signed by none of the approvers"},
		{"project", "alice", func(g *Gate, _ *Approval) { g.Project = "example.org/other" }, nil, `for the project "example.org/other"`},
		{"stage", "alice", func(g *Gate, _ *Approval) { g.Stage = "other" }, nil, `for the stage "other"`},
		{"environment", "alice", func(g *Gate, _ *Approval) { g.Environment = "test" }, nil, `for the environment "test"`},
		{"expired", "alice", func(_ *Gate, a *Approval) { a.Expires = &past }, nil, "it expired at 2026-01-31T12:00:00Z"},
		{"changed", "alice", nil, func(d *desk) { d.files["dist/app.tar.gz"] = &fstest.MapFile{Data: []byte("apq")} }, "dist/app.tar.gz has changed since"},
		{"more", "alice", nil, func(d *desk) { d.files["dist/docs/b.html"] = &fstest.MapFile{} }, "dist/docs/b.html was not among"},
		{"less", "alice", nil, func(d *desk) {
			delete(d.files, "dist/docs/a.html")
			d.files["dist/docs/c.html"] = &fstest.MapFile{}
		}, "dist/docs/c.html was not among"},
		{"gone", "alice", nil, func(d *desk) {
			d.files["dist/docs/z.html"] = &fstest.MapFile{}
			d.approve("alice", nil)
			delete(d.files, "dist/docs/z.html")
		}, "approved files no longer exist: dist/docs/z.html"},
		{"flipped", "alice", nil, func(d *desk) {
			for name, f := range d.files {
				if strings.HasPrefix(name, "approvals/") {
					d.files[name] = &fstest.MapFile{Data: bytes.Replace(f.Data, []byte(`"payload":"e`), []byte(`"payload":"f`), 1)}
				}
			}
		}, "does not count"},
		{"rubbish", "alice", nil, func(d *desk) {
			for name := range d.files {
				if strings.HasPrefix(name, "approvals/") {
					d.files[name] = &fstest.MapFile{Data: []byte("{}")}
				}
			}
		}, "does not count"},
		{"no approval", "alice", nil, func(d *desk) {
			st, err := sign.FileStatement("dist/app.tar.gz", [32]byte{}, "")
			if err != nil {
				t.Fatal(err)
			}
			e, err := sign.NewEnvelope(sign.PayloadStatement, st, d.keys["alice"])
			if err != nil {
				t.Fatal(err)
			}
			b, _ := e.Encode()
			for name := range d.files {
				if strings.HasPrefix(name, "approvals/") {
					d.files[name] = &fstest.MapFile{Data: b}
				}
			}
		}, "signed, and no approval"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t, 1)
			d.approve(test.who, test.change)
			if test.after != nil {
				test.after(d)
			}
			d.refused(test.want)
		})
	}
	d := newDesk(t, 1)
	d.approve("alice", func(_ *Gate, a *Approval) { a.Expires = &later })
	if _, err := d.run(); err != nil {
		t.Errorf("an approval that has not expired: %v", err)
	}
}

func TestFileOfSeveral(t *testing.T) {
	d := newDesk(t, 2)
	b := tasktest.Block(Type, "gate", d.files)
	tasktest.Set(b, "files", tasktest.Made("dist/app.tar.gz"))
	tasktest.Set(b, "approvers", []string{d.keys["alice"].Public().String(), d.keys["bob"].Public().String()})
	tasktest.Set(b, "threshold", 2)
	tasktest.Set(b, "file", "approvals.jsonl")
	d.step = tasktest.Step(t, task{d.cfg}, b)
	d.gate, _, _ = GateOf(&d.step)
	d.approve("alice", nil)
	d.approve("bob", nil)
	d.approve("alice", nil)
	if n := bytes.Count(d.files["approvals.jsonl"].Data, []byte("\n")); n != 2 {
		t.Errorf("%d approvals in the file, want 2", n)
	}
	if _, err := d.run(); err != nil {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	key := aKey(t, 1).Public().String()
	for _, test := range []struct {
		want string
		set  func(*tasks.Block)
	}{
		{"nothing could ever pass", func(b *tasks.Block) { tasktest.Set(b, "threshold", 2) }},
		{"let everything pass", func(b *tasks.Block) { tasktest.Set(b, "threshold", 0) }},
		{"approvers is empty", func(b *tasks.Block) { tasktest.Set(b, "approvers", []string{}) }},
		{"is already listed", func(b *tasks.Block) { tasktest.Set(b, "approvers", []string{key, key}) }},
		{"is not a public key", func(b *tasks.Block) { tasktest.Set(b, "approvers", []string{"a b"}) }},
		{"no file", func(b *tasks.Block) { tasktest.Set(b, "approvers", []string{"keys/no.pub"}) }},
		{"not the path", func(b *tasks.Block) { tasktest.Set(b, "file", "../approvals/") }},
		{"what stages make", func(b *tasks.Block) { tasktest.Set(b, "file", "dist/approvals/") }},
		{"names no file", func(b *tasks.Block) { tasktest.Set(b, "files", []tasks.PathValue{}) }},
		{"no module path", func(b *tasks.Block) { b.Project.Files = fstest.MapFS{} }},
		{"project is empty", func(b *tasks.Block) { tasktest.Set(b, "project", " ") }},
		{"leave it out of files", func(b *tasks.Block) { tasktest.Set(b, "output", "app.tar.gz") }},
	} {
		b := tasktest.Block(Type, "gate", fstest.MapFS{"go.mod": {Data: []byte("module example.org/app\n")}})
		tasktest.Set(b, "files", tasktest.Made("dist/app.tar.gz"))
		tasktest.Set(b, "approvers", []string{key})
		test.set(b)
		_, diags := task{&Config{}}.Plan(b)
		found := false
		for _, d := range diags {
			found = found || strings.Contains(d.Detail, test.want)
		}
		if !found {
			t.Errorf("want %q, got %v", test.want, diags)
		}
	}
}

// Frozen: an approval of format v1 still counts.
func TestFrozenApproval(t *testing.T) {
	d := newDesk(t, 1)
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", "approval", "v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	d.files["approvals/gate/v1.json"] = &fstest.MapFile{Data: b}
	got, err := d.run()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", "approval", "record.json"))
	if err != nil || got != string(want) {
		t.Errorf("record = %s\nwant %s, %v", got, want, err)
	}
}

func FuzzSubmission(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", "approval", "v1.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		g := Gate{Project: "p", Stage: "s", File: "a", Files: []string{"f"}, Threshold: 1}
		submissions, err := g.Submissions(fstest.MapFS{"a": {Data: b}}, []Approver{{Name: "alice", Key: aKey(t, 1).Public()}}, []sign.Subject{{Name: "f", Digest: map[string]string{"sha256": "0"}}}, noon)
		if err == nil && len(Counted(submissions)) > 0 {
			t.Errorf("%q counts", b)
		}
	})
}

// A key that the keyring trusts for something else does not count, whether the
// stage names it or gives it.
func TestLimitedKey(t *testing.T) {
	alice, bob := aKey(t, 1), aKey(t, 9)
	ring := sign.OpenKeyring(t.TempDir())
	for name, purpose := range map[string]sign.Purpose{"alice": sign.Bundle, "bob": sign.Approval} {
		key := map[string]*sign.SecretKey{"alice": alice, "bob": bob}[name]
		if err := ring.TrustFor(name, key.Public(), sign.Grant{Purposes: []sign.Purpose{purpose}}, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, as := range []string{"alice", alice.Public().String()} {
		files := fstest.MapFS{"go.mod": {Data: []byte("module example.org/app\n")}, "app": {Data: []byte("app")}}
		b := tasktest.Block(Type, "gate", files)
		b.Project.Environ = func(name string) (string, bool) { return ring.Dir(), name == sign.EnvKeys }
		tasktest.Set(b, "files", tasktest.Made("app"))
		tasktest.Set(b, "approvers", []string{as, "bob"})
		step := tasktest.Step(t, task{&Config{}}, b)
		g, approvers, err := GateOf(&step)
		if err != nil {
			t.Fatal(err)
		}
		subjects, err := g.Subjects(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range []*sign.SecretKey{alice, bob} {
			text, err := g.Sign(subjects, Approval{Approver: "x", Time: noon}, key)
			if err != nil {
				t.Fatal(err)
			}
			files[fmt.Sprintf("%s/%d.json", g.File, i)] = &fstest.MapFile{Data: text}
		}
		submissions, err := g.Submissions(files, approvers, subjects, noon)
		if err != nil || len(submissions) != 2 {
			t.Fatalf("%d approvals, %v", len(submissions), err)
		}
		if counted := Counted(submissions); len(counted) != 1 || counted[0].Approver != "bob" {
			t.Errorf("%s: %+v count", as, counted)
		}
		if err := submissions[0].Err; err == nil || !strings.Contains(err.Error(), "airbuild key trust alice --for approval,bundle") {
			t.Errorf("%s: %v", as, err)
		}
	}
}
