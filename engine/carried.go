package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// What the inputs of a step come to is found out with much looking and parsing.
// The answer goes into the store beside the results, so that another host, or
// another checkout, only has to see that all it rests on is the same there.

// An Asking says for whom a question is asked: nil for this host alone,
// otherwise for others too.
type Asking struct{ places tree.Places }

// Elsewhere reports whether the answer is for other hosts too.
func (a *Asking) Elsewhere() bool { return a != nil }

// Dir is how a question names a directory of the host, such as GOROOT: by its
// path, absolute with slashes. On another host it may be elsewhere while what
// counts of it is the same; there the name, a word, stands for it.
func (a *Asking) Dir(name, dir string) string {
	if a == nil {
		return dir
	}
	a.places[name] = dir
	return "\x00" + name
}

// answerVersion is of the entries and of how questions are asked for others.
const answerVersion = "airbuild answer 1"

// maxAnswers bounds what is read of carried answers, in bytes.
const maxAnswers = 256 << 20

// carrying is what a run knows of carried answers.
type carrying struct {
	program sync.Once
	sum     string // SHA-256 of the program, "" if it cannot be read

	mu     sync.Mutex
	places tree.Places                     // of all questions
	read   map[action.Digest]*tree.Carried // nil: damaged
	fresh  map[StepID]tree.Question        // answered in this run
	known  map[StepID]tree.Question        // answered before
}

// elsewhere is the question of a step as other hosts ask it. Only what is costly
// to find out has one.
func (r *run) elsewhere(id StepID) (tree.Question, error) {
	if r.o.ProgramFile == "" || !costly(&r.g.Steps[id]) {
		return tree.Question{}, errNoQuestion
	}
	c := &r.carried
	c.program.Do(func() {
		if d, err := r.o.Workspace.Digest(r.o.ProgramFile); err == nil {
			c.sum = answerVersion + " " + d.Hex()
		}
	})
	asking := &Asking{places: tree.Places{}}
	q, err := r.ask(id, c.sum, asking)
	if err != nil {
		return q, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, dir := range asking.places {
		if old, ok := c.places[name]; ok && old != dir {
			return q, errNoQuestion // two of one name
		}
		if c.places == nil {
			c.places = tree.Places{}
		}
		c.places[name] = dir
	}
	return q, nil
}

// answerKey is where the store has the answer to a question.
func answerKey(q tree.Question) action.Digest {
	return action.Of(fmt.Appendf(nil, "%s %x\n", answerVersion, q))
}

// adopt takes over what another host found out about a step's inputs, if nothing
// is remembered of this workspace. It reports whether it did; the answer may not
// hold here.
func (r *run) adopt(ctx context.Context, id StepID, here tree.Question) bool {
	if r.o.ProgramFile == "" || r.o.Workspace.Paranoid || r.o.Workspace.Knows(here) {
		return false
	}
	there, err := r.elsewhere(id)
	if err != nil {
		return false
	}
	// Whatever is wrong with an entry, the inputs can be looked at instead; the
	// store tells of damage itself.
	res, err := r.o.Store.Result(ctx, answerKey(there))
	if err != nil || res == nil || len(res.OutputFiles) != 1 {
		return false
	}
	c := r.readCarried(ctx, res.OutputFiles[0].Digest)
	return c != nil && r.o.Workspace.Adopt(here, there, c)
}

// readCarried reads answers from the store, once; nil if they cannot be read.
func (r *run) readCarried(ctx context.Context, d action.Digest) *tree.Carried {
	c := &r.carried
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.read[d]; ok {
		return known
	}
	known, err := r.openCarried(ctx, d)
	if err != nil {
		known = nil
	}
	if c.read == nil {
		c.read = map[action.Digest]*tree.Carried{}
	}
	c.read[d] = known
	return known
}

func (r *run) openCarried(ctx context.Context, d action.Digest) (_ *tree.Carried, err error) {
	if d.Size > maxAnswers {
		return nil, errors.New("too large")
	}
	f, err := r.o.Store.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return tree.ReadCarried(text, r.carried.places)
}

// carries notes that there is an answer for a step's inputs.
func (r *run) carries(id StepID, q tree.Question, fresh bool) {
	if r.o.ProgramFile == "" || !fresh && !r.o.CarryAnswers {
		return
	}
	c := &r.carried
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fresh == nil {
		c.fresh, c.known = map[StepID]tree.Question{}, map[StepID]tree.Question{}
	}
	if fresh {
		c.fresh[id] = q
	} else {
		c.known[id] = q
	}
}

// carry puts the answers that are new into the store, for steps that have a
// result there. With Options.CarryAnswers it sees that all of them are there, and
// says where.
func (r *run) carry(ctx context.Context) error {
	c := &r.carried
	if ctx.Err() != nil || len(c.fresh)+len(c.known) == 0 {
		return nil
	}
	asked := map[tree.Question]tree.Question{}
	for _, list := range []map[StepID]tree.Question{c.fresh, c.known} {
		for id, here := range list {
			if s := r.status[id]; s != Hit && s != Done || r.g.Steps[id].NoCache {
				continue
			}
			there, err := r.elsewhere(id)
			if err != nil {
				continue
			}
			if _, fresh := c.fresh[id]; !fresh {
				if res, err := r.o.Store.Result(ctx, answerKey(there)); err == nil && res != nil {
					r.sum.Answers = append(r.sum.Answers, answerKey(there))
					continue
				}
			}
			asked[here] = there
		}
	}
	text, carried := r.o.Workspace.Carry(asked, c.places)
	if text == nil {
		return nil
	}
	d, err := r.o.Store.Put(ctx, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("store what was found out about inputs: %w", err)
	}
	res := &action.Result{OutputFiles: []action.OutputFile{{Path: "answers", Digest: d}}}
	for _, here := range carried {
		key := answerKey(asked[here])
		if err := r.o.Store.PutResult(ctx, key, res); err != nil {
			return fmt.Errorf("store what was found out about inputs: %w", err)
		}
		r.sum.Answers = append(r.sum.Answers, key)
	}
	return nil
}
