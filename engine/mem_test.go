package engine_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/memo"
	"github.com/airbuild/airbuild/engine/tree"
)

// memStore is a Store in memory.
type memStore struct {
	mu      sync.Mutex
	blobs   map[action.Digest][]byte
	results map[action.Digest]*action.Result
	puts    []string // "blob" or "result", in order
}

func newMemStore() *memStore {
	return &memStore{blobs: map[action.Digest][]byte{}, results: map[action.Digest]*action.Result{}}
}

func (s *memStore) Missing(_ context.Context, ds []action.Digest) (out []action.Digest, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		if _, ok := s.blobs[d]; !ok {
			out = append(out, d)
		}
	}
	return out, nil
}

func (s *memStore) Open(_ context.Context, d action.Digest) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[d]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", d, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *memStore) Put(_ context.Context, r io.Reader) (action.Digest, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return action.Digest{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := action.Of(b)
	s.blobs[d] = b
	s.puts = append(s.puts, "blob")
	return d, nil
}

func (s *memStore) Result(_ context.Context, key action.Digest) (*action.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.results[key], nil
}

func (s *memStore) PutResult(_ context.Context, key action.Digest, r *action.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[key] = r
	s.puts = append(s.puts, "result")
	return nil
}

// fakeExecutor makes each declared output from the step's arguments and the
// digest of its inputs, unless a function is given for the step.
type fakeExecutor struct {
	store *memStore
	do    map[string]func(context.Context, *engine.Prepared) (*action.Result, error)

	mu      sync.Mutex
	ran     []string
	running int
	most    int
}

func (e *fakeExecutor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	e.mu.Lock()
	e.ran = append(e.ran, p.Step.Name)
	e.running++
	e.most = max(e.most, e.running)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.running--
		e.mu.Unlock()
	}()
	if f := e.do[p.Step.Name]; f != nil {
		return f(ctx, p)
	}
	fmt.Fprintf(p.Log, "making %s\n", p.Step.Name)
	return e.outputs(ctx, p, fmt.Sprintf("%q %x", p.Command.Arguments, sha256.Sum256(p.Inputs.Dirs[p.Inputs.Root])))
}

func (e *fakeExecutor) outputs(ctx context.Context, p *engine.Prepared, content string) (*action.Result, error) {
	res := &action.Result{StdoutRaw: []byte("log of " + p.Step.Name + "\n")}
	res.Metadata.ExecutionStart = time.Unix(1, 0)
	res.Metadata.ExecutionCompleted = time.Unix(3, 0)
	for _, out := range p.Command.OutputPaths {
		d, err := e.store.Put(ctx, strings.NewReader(content))
		if err != nil {
			return nil, err
		}
		res.OutputFiles = append(res.OutputFiles, action.OutputFile{Path: out, Digest: d})
	}
	return res, nil
}

// A bench is a project, a store and a graph for one test.
type bench struct {
	t     *testing.T
	root  string
	store *memStore
	exec  *fakeExecutor
	graph engine.Graph
	opts  engine.Options
	log   []string // "status name (reason)" of finished steps
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, root: t.TempDir(), store: newMemStore()}
	b.exec = &fakeExecutor{store: b.store, do: map[string]func(context.Context, *engine.Prepared) (*action.Result, error){}}
	b.opts = engine.Options{Jobs: 2}
	b.write("in.txt", "one")
	return b
}

func (b *bench) write(name, content string) {
	b.t.Helper()
	p := filepath.Join(b.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o666); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	got, err := os.ReadFile(filepath.Join(b.root, filepath.FromSlash(name)))
	if err != nil {
		return "<" + filepath.Base(name) + " is not there>"
	}
	return string(got)
}

// step adds a step that makes dist/<name>.
func (b *bench) step(name string, inputs ...engine.Input) engine.StepID {
	b.t.Helper()
	return b.add(engine.Step{Name: name, Stage: name, Inputs: inputs, Command: action.Command{
		Arguments: []string{"make", name}, OutputPaths: []string{"dist/" + name}, OutputFiles: []string{"dist/" + name},
	}})
}

func (b *bench) add(s engine.Step) engine.StepID {
	b.t.Helper()
	id, err := b.graph.Add(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) from(id engine.StepID) engine.Input {
	name := "dist/" + b.graph.Steps[id].Name
	return engine.StepInput(name, id, name)
}

// run runs the targets (all steps if none) in a workspace opened anew over
// the same state, as another process would.
func (b *bench) run(targets ...engine.StepID) *engine.Summary {
	b.t.Helper()
	return b.runContext(context.Background(), targets...)
}

func (b *bench) options() (engine.Options, func()) {
	b.t.Helper()
	w, err := tree.Preload(filepath.Join(b.root, ".state")).Open(b.root, "dist")
	if err != nil {
		b.t.Fatal(err)
	}
	o := b.opts
	o.Store, o.Executor, o.Workspace = b.store, b.exec, w
	o.Memo = memo.Open(w.State())
	o.Memo.Workspace = w
	return o, func() {
		if err := errors.Join(o.Memo.Save(), w.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bench) runContext(ctx context.Context, targets ...engine.StepID) *engine.Summary {
	b.t.Helper()
	if targets == nil {
		for id := range b.graph.Steps {
			targets = append(targets, engine.StepID(id))
		}
	}
	o, done := b.options()
	defer done()
	b.log, b.exec.ran = nil, nil
	tell := o.OnEvent
	o.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepFinished {
			b.log = append(b.log, strings.TrimSpace(fmt.Sprintf("%v %s %s", e.Status, e.Step.Name, e.Reason)))
		}
		if tell != nil {
			tell(e)
		}
	}
	sum, err := engine.Run(ctx, &b.graph, targets, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return sum
}

// want compares the finished steps, in order.
func (b *bench) want(lines ...string) {
	b.t.Helper()
	if got, want := strings.Join(b.log, "\n"), strings.Join(lines, "\n"); got != want {
		b.t.Errorf("finished steps:\n%s\nwant:\n%s", got, want)
	}
}
