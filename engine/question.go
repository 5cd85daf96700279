package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// An Asker is a Lister whose answer can be remembered: it hangs on nothing but
// the question and on what it asked of Files.
type Asker interface {
	Lister
	// Question identifies what is asked: it differs for two Listers that may
	// answer differently while the workspace is the same, and for two
	// versions of one that do. An error means that the answer cannot be
	// remembered, or not for those who ask.
	Question(*Asking) (string, error)
	// Costly reports whether listing costs more than to look at a few files.
	Costly() bool
}

// questionVersion is of the questions and answers below: it changes when
// prepareAll comes to something else for the same workspace.
const questionVersion = "airbuild inputs 2"

// fewInputs are the inputs of a step without a Lister or a pattern that are
// quicker looked at than remembered.
const fewInputs = 64

// fewSights are what an answer rests on that is quicker asked again than
// remembered, unless it is costly.
const fewSights = 16

// errNoQuestion: what the step is made of is not remembered.
var errNoQuestion = errors.New("its inputs are not remembered")

// question asks what the inputs of a step are: its input root and what its
// Lister says. Facts and the command are no part of it. A Lister that is no
// Asker, a step that is quickly looked at, and a run without a Program have
// none.
func (r *run) question(id StepID) (tree.Question, error) { return r.ask(id, r.o.Program, nil) }

func (r *run) ask(id StepID, program string, asking *Asking) (tree.Question, error) {
	s := &r.g.Steps[id]
	many := len(s.Inputs) > fewInputs || slices.ContainsFunc(s.Inputs, func(i Input) bool { return i.Kind == FromGlob })
	asker, ok := s.Lister.(Asker)
	many = many || costly(s)
	if program == "" || s.Lister != nil && !ok || !many {
		return tree.Question{}, errNoQuestion
	}
	w := &textWriter{}
	w.text(questionVersion)
	w.text(program)
	w.text(r.o.Workspace.Rules())
	w.number(uint64(s.Mode))
	if ok {
		q, err := asker.Question(asking)
		if err != nil {
			return tree.Question{}, err
		}
		w.text(q)
	}
	for i := range s.Inputs {
		if !r.askInput(w, &s.Inputs[i]) {
			return tree.Question{}, errNoQuestion
		}
	}
	r.blindness(id).ask(w, s)
	return sha256.Sum256(w.b), nil
}

// costly reports whether it costs much to find out what the inputs are.
func costly(s *Step) bool {
	asker, ok := s.Lister.(Asker)
	return ok && asker.Costly()
}

// askInput writes one input as declared; of another step's output what it is.
func (r *run) askInput(w *textWriter, i *Input) bool {
	w.number(uint64(i.Kind))
	w.text(i.Path)
	w.text(i.File)
	w.texts(i.Patterns)
	w.text(string(i.Text))
	w.number(flag(i.Executable) | flag(i.Optional)<<1)
	w.text(string(i.Blob.Hash[:]))
	w.number(uint64(i.Blob.Size))
	if i.Kind != FromStep {
		return true
	}
	w.text(i.From)
	m := r.made[i.Step]
	if m == nil {
		return false
	}
	id := m.identity()
	w.text(string(id[:]))
	return true
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// identity is the SHA-256 of all that another step may take from m.
func (m *made) identity() [sha256.Size]byte {
	m.once.Do(func() {
		w := &textWriter{}
		for i := range m.files {
			f := &m.files[i]
			w.text(f.Path)
			w.text(string(f.Digest.Hash[:]))
			w.number(uint64(f.Digest.Size))
			w.number(flag(f.Executable))
		}
		w.text("links")
		for _, l := range m.links {
			w.text(l.Path)
			w.text(l.Target)
		}
		w.text("empty")
		w.texts(m.empty)
		m.id = sha256.Sum256(w.b)
	})
	return m.id
}

// A known is the answer to a question: what of a step's key comes from the
// workspace.
type known struct {
	root  action.Digest
	facts []Fact   // of the Lister
	notes []string // of the Lister
}

// marshal encodes the answer: 32 bytes SHA-256 and uvarint size of the input
// root, uvarint number of facts, of each two texts, uvarint number of notes,
// texts. A text is its length as a uvarint, then its bytes.
func (k *known) marshal() []byte {
	w := &textWriter{b: slices.Clone(k.root.Hash[:])}
	w.number(uint64(k.root.Size))
	w.number(uint64(len(k.facts)))
	for _, f := range k.facts {
		w.text(f.Name)
		w.text(f.Value)
	}
	w.texts(k.notes)
	return w.b
}

func unmarshalKnown(b []byte) (*known, bool) {
	k := &known{}
	if len(b) < sha256.Size {
		return nil, false
	}
	r := &textReader{b: b[copy(k.root.Hash[:], b):], ok: true}
	k.root.Size = int64(r.number())
	for n := r.number(); n > 0 && r.ok; n-- {
		k.facts = append(k.facts, Fact{Name: r.text(), Value: r.text()})
	}
	for n := r.number(); n > 0 && r.ok; n-- {
		k.notes = append(k.notes, r.text())
	}
	return k, r.ok && len(r.b) == 0
}

// A textWriter writes numbers and texts so that no two sequences are alike.
type textWriter struct{ b []byte }

func (w *textWriter) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *textWriter) text(s string)   { w.number(uint64(len(s))); w.b = append(w.b, s...) }
func (w *textWriter) texts(list []string) {
	w.number(uint64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

// A textReader is a textWriter's inverse. After a mistake ok is false.
type textReader struct {
	b  []byte
	ok bool
}

func (r *textReader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.ok = nil, false
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *textReader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.ok = nil, false
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// prepare computes a step's key. If the workspace is as it was when it was last
// computed, the input root is remembered, and the Prepared has no Inputs until
// fill gives it some. Every step that it needs is final.
func (r *run) prepare(ctx context.Context, id StepID) (*Prepared, error) {
	s := &r.g.Steps[id]
	q, err := r.question(id)
	if err != nil {
		return r.prepareAll(ctx, id, r.o.Workspace)
	}
	if !r.whole && !r.o.forces(id) && !s.NoCache {
		text, ok := r.o.Workspace.Recall(q)
		if !ok && r.adopt(ctx, id, q) {
			text, ok = r.o.Workspace.Recall(q)
		}
		if ok {
			if k, ok := unmarshalKnown(text); ok {
				r.carries(id, q, false)
				return r.keyed(id, k, nil), nil
			}
		}
	}
	v := r.o.Workspace.View()
	p, err := r.prepareAll(ctx, id, v.Workspace)
	if err != nil {
		return nil, err
	}
	k := known{root: p.Inputs.Root, facts: p.listing.Facts, notes: p.Notes}
	if p.Uncached == "" && (v.Sights() >= fewSights || costly(s)) {
		r.o.Workspace.Remember(q, k.marshal(), v)
		r.carries(id, q, true)
	}
	return p, nil
}

// fill gives p its Inputs, if it was prepared without them. The workspace may
// have changed since: then p has another key, which is reported.
func (r *run) fill(ctx context.Context, p *Prepared) (same bool, err error) {
	if p.Inputs != nil {
		return true, nil
	}
	full, err := r.prepareAll(ctx, p.ID, r.o.Workspace)
	if err != nil {
		return false, err
	}
	same = full.Key == p.Key
	*p = *full
	return same, nil
}
