package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/memo"
	"github.com/airbuild/airbuild/internal/varint"
)

// A Memoizable is an InputDiscoverer whose discovery can be remembered: it depends on
// nothing but the query and on what it asked of Files.
type Memoizable interface {
	InputDiscoverer
	// Query identifies what is listed: it differs for two InputDiscoverers that may list
	// different inputs of the same workspace, and for two versions of one that do.
	// With roots it must be portable, which means the same on other hosts. An error
	// means that the discovery cannot be remembered, or not on other hosts.
	Query(roots *NamedRoots) (string, error)
	// Costly reports whether discovery costs more than to look at a few files.
	Costly() bool
}

// NamedRoots are the directories in a portable query. Nil is for a query of this
// host alone.
type NamedRoots struct{ roots memo.Roots }

// Name is how a query names a directory of the host, such as GOROOT: by its path,
// absolute with slashes. On another host it may be elsewhere while its content is
// the same; there the name, a word, stands for it.
func (n *NamedRoots) Name(name, dir string) string {
	if n == nil {
		return dir
	}
	n.roots[name] = dir
	return "\x00" + name
}

// An inputMemo uses Options.Memo for the inputs of steps: it says what is asked,
// what is remembered, and how both are exchanged with other hosts through the
// store. Finding inputs takes much reading and parsing; what was found goes into
// the store beside the results, so that another host, or another checkout, only
// has to check that everything it depends on is the same there.
type inputMemo struct {
	g        *Graph
	o        *Options
	produced []*produced
	view     func(StepID) *view

	// program is the portable identity of this program; "" if there is none.
	program func() string

	mu       sync.Mutex
	roots    memo.Roots                       // of all portable queries
	imported map[action.Digest]*memo.Exported // nil: damaged
	fresh    map[StepID]memo.Query            // discovered by this run
	known    map[StepID]memo.Query            // remembered, if they are to be exported too
}

// queryVersion is of the queries and values below: it changes when discover comes
// to something else for the same workspace.
const queryVersion = "airbuild inputs 2"

// fewInputs are the inputs of a step without an InputDiscoverer or a pattern that are
// looked at more quickly than remembered.
const fewInputs = 64

// fewObservations are what a discovery depends on that is found again more quickly
// than remembered, unless it is costly.
const fewObservations = 16

func newInputMemo(g *Graph, o *Options, produced []*produced, view func(StepID) *view) inputMemo {
	return inputMemo{
		g: g, o: o, produced: produced, view: view,
		program: sync.OnceValue(func() string {
			if o.ProgramFile == "" {
				return ""
			}
			d, err := o.Workspace.Digest(o.ProgramFile)
			if err != nil {
				return ""
			}
			return exportVersion + " " + d.Hex()
		}),
		roots: memo.Roots{}, imported: map[action.Digest]*memo.Exported{},
		fresh: map[StepID]memo.Query{}, known: map[StepID]memo.Query{},
	}
}

// query asks what the inputs of a step are: its input root and what its InputDiscoverer
// says. Facts and the command are not part of it. ok is false if that is not
// remembered: the InputDiscoverer is not Memoizable, the inputs are looked at quickly, or
// the run has no Memo.
func (m *inputMemo) query(id StepID) (q memo.Query, ok bool) {
	if m.o.Memo == nil {
		return q, false
	}
	return m.queryFrom(id, m.o.Program, nil)
}

// portableQuery is the query of a step as other hosts ask it. Only costly ones
// have one.
func (m *inputMemo) portableQuery(id StepID) (q memo.Query, ok bool) {
	if !costly(&m.g.Steps[id]) {
		return q, false
	}
	named := &NamedRoots{memo.Roots{}}
	if q, ok = m.queryFrom(id, m.program(), named); !ok {
		return q, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, dir := range named.roots {
		if old, ok := m.roots[name]; ok && old != dir {
			return q, false // two directories of one name
		}
	}
	maps.Copy(m.roots, named.roots)
	return q, true
}

func (m *inputMemo) queryFrom(id StepID, program string, roots *NamedRoots) (q memo.Query, ok bool) {
	s := &m.g.Steps[id]
	discoverer, memoizable := s.Discoverer.(Memoizable)
	if program == "" || s.Discoverer != nil && !memoizable || len(s.Inputs) <= fewInputs && !hasPattern(s) && !costly(s) {
		return q, false
	}
	w := &textWriter{}
	w.text(queryVersion)
	w.text(program)
	w.text(m.o.Workspace.Rules())
	w.number(uint64(s.Mode))
	if memoizable {
		text, err := discoverer.Query(roots)
		if err != nil {
			return q, false
		}
		w.text(text)
	}
	for i := range s.Inputs {
		if !m.writeInput(w, &s.Inputs[i]) {
			return q, false
		}
	}
	m.view(id).writeQuery(w, s)
	return sha256.Sum256(w.b), true
}

// costly reports whether it costs much to find out what the inputs are.
func costly(s *Step) bool {
	discoverer, ok := s.Discoverer.(Memoizable)
	return ok && discoverer.Costly()
}

func hasPattern(s *Step) bool {
	return slices.ContainsFunc(s.Inputs, func(i Input) bool { return i.Kind == FromGlob })
}

// writeInput writes one input as declared; of another step's output its identity.
func (m *inputMemo) writeInput(w *textWriter, i *Input) bool {
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
	from := m.produced[i.Step]
	if from == nil {
		return false
	}
	id := from.identity()
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
func (m *produced) identity() [sha256.Size]byte {
	m.once.Do(func() {
		w := &textWriter{}
		for i := range m.Files {
			f := &m.Files[i]
			w.text(f.Path)
			w.text(string(f.Digest.Hash[:]))
			w.number(uint64(f.Digest.Size))
			w.number(flag(f.Executable))
		}
		w.text("links")
		for _, l := range m.Links {
			w.text(l.Path)
			w.text(l.Target)
		}
		w.text("empty")
		w.texts(m.Empty)
		m.id = sha256.Sum256(w.b)
	})
	return m.id
}

// get returns the resolved inputs of a step if they are remembered, or if the
// store has them from another host, and everything that they depend on is
// unchanged; otherwise nil.
func (m *inputMemo) get(ctx context.Context, id StepID, q memo.Query) *resolved {
	value, ok := m.o.Memo.Get(q)
	if !ok && m.importEntry(ctx, id, q) {
		value, ok = m.o.Memo.Get(q)
	}
	if !ok {
		return nil
	}
	in, ok := unmarshalResolved(value)
	if ok && m.o.ExportInputs {
		m.mu.Lock()
		m.known[id] = q
		m.mu.Unlock()
	}
	return in
}

// put remembers what the inputs of p were found to be, unless they are found
// again more quickly.
func (m *inputMemo) put(q memo.Query, p *Prepared, r *memo.Recorder) {
	if p.Uncached != "" || r.Len() < fewObservations && !costly(p.Step) {
		return
	}
	in := resolved{root: p.Inputs.Root, facts: p.discovery.Facts, notes: p.Notes}
	m.o.Memo.Put(q, in.marshal(), r)
	m.mu.Lock()
	m.fresh[p.ID] = q
	m.mu.Unlock()
}

// exportVersion is of the entries in the store and of portable queries.
const exportVersion = "airbuild answer 1"

// exportKey is the key of the entry that the store has for a portable query.
func exportKey(q memo.Query) action.Digest {
	return action.Of(fmt.Appendf(nil, "%s %x\n", exportVersion, q))
}

// importEntry takes from the store what another host remembered of a step's
// inputs, if nothing is remembered of this workspace. It reports whether there was
// an entry, which need not be valid here.
func (m *inputMemo) importEntry(ctx context.Context, id StepID, q memo.Query) bool {
	if m.o.Memo.Has(q) {
		return false
	}
	portable, ok := m.portableQuery(id)
	if !ok {
		return false
	}
	// Whatever is wrong with an entry, the inputs can be discovered instead; the
	// store reports damage itself.
	res, err := m.o.Store.Result(ctx, exportKey(portable))
	if err != nil || res == nil || len(res.OutputFiles) != 1 {
		return false
	}
	x := m.readExported(ctx, res.OutputFiles[0].Digest)
	return x != nil && m.o.Memo.Import(q, portable, x)
}

// maxExport bounds what is read of exported entries, in bytes.
const maxExport = 256 << 20

// readExported reads entries from the store, once; nil if they cannot be read.
func (m *inputMemo) readExported(ctx context.Context, d action.Digest) *memo.Exported {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.imported[d]
	if !ok && d.Size <= maxExport {
		if b, err := ReadBlob(ctx, m.o.Store, d); err == nil {
			x, _ = memo.ReadExported(b, m.roots)
		}
	}
	m.imported[d] = x
	return x
}

// export puts entries that this run discovered into the store, for steps that have
// a result there. With Options.ExportInputs it sees to it that the store has the
// remembered ones too. It returns the keys of all that are there for certain.
func (m *inputMemo) export(ctx context.Context, hasResult func(StepID) bool) ([]action.Digest, error) {
	var keys []action.Digest
	queries := map[memo.Query]memo.Query{}
	for _, list := range []map[StepID]memo.Query{m.fresh, m.known} {
		for id, q := range list {
			if !hasResult(id) || m.g.Steps[id].NoCache {
				continue
			}
			portable, ok := m.portableQuery(id)
			if !ok {
				continue
			}
			if _, fresh := m.fresh[id]; !fresh {
				if res, err := m.o.Store.Result(ctx, exportKey(portable)); err == nil && res != nil {
					keys = append(keys, exportKey(portable))
					continue
				}
			}
			queries[q] = portable
		}
	}
	b, exported := m.o.Memo.Export(queries, m.roots)
	if b == nil {
		return keys, nil
	}
	d, err := m.o.Store.Put(ctx, bytes.NewReader(b))
	if err != nil {
		return keys, fmt.Errorf("store remembered inputs: %w", err)
	}
	res := &action.Result{OutputFiles: []action.OutputFile{{Path: "answers", Digest: d}}}
	for _, q := range exported {
		key := exportKey(queries[q])
		if err := m.o.Store.PutResult(ctx, key, res); err != nil {
			return keys, fmt.Errorf("store remembered inputs: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// save writes what is remembered of inputs, here and for other hosts. It returns the
// keys of the store's entries for those. hasResult says which steps have one.
func (m *inputMemo) save(ctx context.Context, hasResult func(StepID) bool) (exported []action.Digest, err error) {
	if m.o.Memo == nil {
		return nil, nil
	}
	if ctx.Err() == nil {
		exported, err = m.export(ctx, hasResult)
	}
	return exported, errors.Join(err, m.o.Memo.Save())
}

// A resolved is what the inputs of a step were found to be: what of its key comes
// from the workspace.
type resolved struct {
	root  action.Digest
	facts []Fact   // of the InputDiscoverer
	notes []string // of the InputDiscoverer
}

// marshal encodes what is remembered: 32 bytes SHA-256 and uvarint size of the
// input root, uvarint number of facts, of each two texts, uvarint number of notes,
// texts. A text is its length as a uvarint, then its bytes.
func (in *resolved) marshal() []byte {
	w := &textWriter{b: slices.Clone(in.root.Hash[:])}
	w.number(uint64(in.root.Size))
	w.number(uint64(len(in.facts)))
	for _, f := range in.facts {
		w.text(f.Name)
		w.text(f.Value)
	}
	w.texts(in.notes)
	return w.b
}

func unmarshalResolved(b []byte) (*resolved, bool) {
	in := &resolved{}
	if len(b) < sha256.Size {
		return nil, false
	}
	r := varint.NewReader(b[copy(in.root.Hash[:], b):])
	in.root.Size = int64(r.Number())
	for n := r.Number(); n > 0 && r.OK(); n-- {
		in.facts = append(in.facts, Fact{Name: r.Text(), Value: r.Text()})
	}
	for n := r.Number(); n > 0 && r.OK(); n-- {
		in.notes = append(in.notes, r.Text())
	}
	if !r.Done() {
		return nil, false
	}
	return in, true
}

// A textWriter writes numbers and texts so that no two sequences are alike.
type textWriter struct{ b []byte }

func (w *textWriter) number(n uint64)     { w.b = binary.AppendUvarint(w.b, n) }
func (w *textWriter) text(s string)       { w.b = varint.AppendText(w.b, s) }
func (w *textWriter) texts(list []string) { w.b = varint.AppendTexts(w.b, list) }
