package tree

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/robustio"
)

// answersMagic begins the file; a reader that finds another one starts empty.
const answersMagic = "airbuild-answers-2\n"

// A Question is the SHA-256 of what was asked.
type Question [sha256.Size]byte

// answers are what was found out about the workspace by looking at it, by the
// digest of the question, each with the sights that it rests on: while all of
// these are as they were, so is the answer. A sight is looked at under the rules
// of the stat index, and once a run however many answers rest on it. Losing
// answers costs time only.
//
// The file is append-only: the magic, then frames as in the stat index. Each
// body has a table of sights and answers that name them by number, so that
// what many answers rest on is there once:
//
//	body:    uvarint number of sights, sights, uvarint number of answers, answers
//	sight:   kind, text: path, then of kinds f, x, d and s 32 bytes SHA-256
//	answer:  32 bytes question, text: the answer, uvarint number of sights,
//	         of each the uvarint distance from the number before, the first from 0
//
// A text is its length as a uvarint, then its bytes. Of two answers to one
// question the later holds. A run appends one frame, in one write. A frame that
// is cut off, does not match its checksum or says what a writer would not ends
// the reading, and the next save writes the file anew with what its own run
// used, as it does when the file has grown to three times that.
type answers struct {
	file string
	load sync.Once

	mu      sync.Mutex
	known   map[Question]*answer
	size    int64 // of the file
	damaged bool  // the file is to be written anew
}

// An answer is text that holds while its sights do.
type answer struct {
	text   []byte
	table  []*watched // of its frame
	sights []byte     // the encoded numbers, n of them
	n      int
	fresh  bool // not in the file
	used   bool // by this run
}

// A watched sight remembers in which turn of the workspace it was looked at:
// four times the turn, plus what was seen.
type watched struct {
	sight
	turn atomic.Uint64
}

// What a look at a sight came to.
const (
	sightFails = iota // it is not as it was
	sightHolds
	sightAsked // a goroutine is about to say
)

func newAnswers(file string) *answers { return &answers{file: file} }

// read loads the file, once and when it is first needed.
func (a *answers) read() {
	a.load.Do(func() {
		a.known = map[Question]*answer{}
		b, err := os.ReadFile(a.file)
		a.size = int64(len(b))
		a.damaged = err != nil || decodeAnswers(b, a.known) != nil
	})
}

var errAnswers = errors.New("decode answers: damaged or of another version")

// decodeAnswers adds the answers of b. With an error, those of the frames
// before the damage have been added.
func decodeAnswers(b []byte, known map[Question]*answer) error {
	b, ok := bytes.CutPrefix(b, []byte(answersMagic))
	if !ok {
		return errAnswers
	}
	return decodeAnswerFrames(b, known)
}

func decodeAnswerFrames(b []byte, known map[Question]*answer) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return errAnswers
		}
		size, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if int64(size) > int64(len(b)-8) {
			return errAnswers
		}
		body := b[8 : 8+size]
		if crc32.Checksum(body, castagnoli) != sum || !decodeAnswerFrame(body, known) {
			return errAnswers
		}
		b = b[8+size:]
	}
	return nil
}

// A bodyReader takes a frame's body apart; after the first mistake ok is false
// and all that it returns is zero.
type bodyReader struct {
	b  []byte
	ok bool
}

func (r *bodyReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.ok = nil, false
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *bodyReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.ok = nil, false
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// count reads a number of things that take at least one byte each.
func (r *bodyReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.ok = nil, false
		return 0
	}
	return int(n)
}

func (r *bodyReader) hash() (h [32]byte) {
	copy(h[:], r.bytes(32))
	return h
}

func decodeAnswerFrame(body []byte, known map[Question]*answer) bool {
	r := &bodyReader{b: body, ok: true}
	text := string(body) // the paths point into it: one copy instead of thousands
	list := make([]watched, r.count())
	table := make([]*watched, len(list))
	for i := range list {
		if kind := r.bytes(1); r.ok {
			list[i].kind = kind[0]
		}
		length := len(r.bytes(r.uvarint()))
		end := len(text) - len(r.b)
		list[i].path = text[end-length : end]
		if list[i].hashed() {
			list[i].hash = r.hash()
		}
		table[i] = &list[i]
	}
	found := map[Question]*answer{}
	for n := r.count(); n > 0 && r.ok; n-- {
		q := Question(r.hash())
		a := &answer{table: table, text: r.bytes(r.uvarint())}
		a.n = r.count()
		rest, last := r.b, uint64(0)
		for range a.n {
			last += r.uvarint()
			if last >= uint64(len(table)) {
				return false
			}
		}
		a.sights = rest[:len(rest)-len(r.b)]
		found[q] = a
	}
	if !r.ok || len(r.b) > 0 {
		return false
	}
	for q, a := range found {
		known[q] = a
	}
	return true
}

// each calls f for the answer's sights until it returns false.
func (a *answer) each(f func(*watched) bool) {
	last := uint64(0)
	for b := a.sights; len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return // not reached: the numbers were read when the frame was
		}
		b = b[n:]
		if last += d; !f(a.table[last]) {
			return
		}
	}
}

// A View is a workspace that notes what is asked of it.
type View struct {
	*Workspace
}

// View returns a view of w that Remember can take.
func (w *Workspace) View() View {
	v := *w
	v.trace = &trace{sights: map[traced]sight{}}
	return View{&v}
}

// Sights is how many things the view was asked for and saw.
func (v View) Sights() int {
	v.trace.mu.Lock()
	defer v.trace.mu.Unlock()
	return len(v.trace.sights)
}

// Remember keeps the answer to a question. It must hang on nothing but the
// question and on what v was asked. It is not kept if it hangs on what cannot be
// told cheaply, such as where a link leads.
func (w *Workspace) Remember(question Question, text []byte, v View) {
	t := v.trace
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.Paranoid || t.broken {
		return
	}
	list := make([]sight, 0, len(t.sights))
	for _, s := range t.sights {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b sight) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind))
	})
	a := &answer{text: text, n: len(list), fresh: true, used: true}
	for i := range list {
		a.table = append(a.table, &watched{sight: list[i]})
		a.sights = append(a.sights, byte(min(i, 1)))
	}
	w.answers.read()
	w.answers.mu.Lock()
	defer w.answers.mu.Unlock()
	w.answers.known[question] = a
}

// Recall returns the answer to a question if one is remembered and all that
// it rests on is as it was.
func (w *Workspace) Recall(question Question) ([]byte, bool) {
	if w.Paranoid {
		return nil, false
	}
	w.answers.read()
	w.answers.mu.Lock()
	a := w.answers.known[question]
	w.answers.mu.Unlock()
	if a == nil || !w.allHold(a) {
		return nil, false
	}
	w.answers.mu.Lock()
	a.used = true
	w.answers.mu.Unlock()
	return a.text, true
}

// Sights of an answer are looked at by several goroutines, so many by each at
// a time.
const sightChunk = 128

// allHold looks at the answer's sights, many at a time. The first that does not
// hold ends it.
func (w *Workspace) allHold(a *answer) bool {
	turn := w.turn.Load()
	var ask []*watched
	holds := true
	a.each(func(s *watched) bool {
		switch s.turn.Load() {
		case 4*turn + sightHolds:
		case 4*turn + sightFails:
			holds = false
		default:
			ask = append(ask, s)
		}
		return holds
	})
	if !holds {
		return false
	}
	var next atomic.Int64
	var failed atomic.Bool
	look := func() {
		// Other answers rest on the same sights, and may be held against the
		// workspace at this moment: what another goroutine looks at comes last.
		var others []*watched
		for !failed.Load() {
			from := int(next.Add(sightChunk)) - sightChunk
			if from >= len(ask) {
				break
			}
			for _, s := range ask[from:min(from+sightChunk, len(ask))] {
				switch old := s.turn.Load(); {
				case old == 4*turn+sightAsked || old>>2 != turn && !s.turn.CompareAndSwap(old, 4*turn+sightAsked):
					others = append(others, s)
				case !w.stillHolds(s, turn):
					failed.Store(true)
					return
				}
			}
		}
		for _, s := range others {
			if failed.Load() || !w.stillHolds(s, turn) {
				failed.Store(true)
				return
			}
		}
	}
	var helpers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(ask)/sightChunk) - 1 {
		helpers.Go(look)
	}
	look()
	helpers.Wait()
	return !failed.Load()
}

// stillHolds looks at one sight, unless another goroutine has in this turn.
func (w *Workspace) stillHolds(s *watched, turn uint64) bool {
	switch s.turn.Load() {
	case 4*turn + sightHolds:
		return true
	case 4*turn + sightFails:
		return false
	}
	if ok := w.see(&s.sight); ok {
		s.turn.Store(4*turn + sightHolds)
		return true
	}
	s.turn.Store(4*turn + sightFails)
	return false
}

// The file may be this many times as large as what one run uses of it, and
// this much larger, in bytes, before it is written anew.
const (
	answersSlack = 3
	answersMin   = 256 << 10
)

// save appends what was remembered, or writes the file anew with what this
// run used.
func (a *answers) save() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := func(x *answer) bool { return x.fresh }
	b := a.frame(fresh)
	if b == nil {
		return nil
	}
	used := a.frame(func(x *answer) bool { return x.used })
	var err error
	if a.damaged || a.size+int64(len(b)) > answersSlack*int64(len(used))+answersMin {
		err = a.writeAnew(append([]byte(answersMagic), used...))
	} else {
		err = a.append(b)
	}
	if err != nil {
		return fmt.Errorf("save answers: %w", err)
	}
	for _, x := range a.known {
		x.fresh = false
	}
	return nil
}

// frame encodes the answers that keep chooses; nil if there are none.
func (a *answers) frame(keep func(*answer) bool) []byte {
	kept := map[Question]*answer{}
	for q, x := range a.known {
		if keep(x) {
			kept[q] = x
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return encodeAnswers(kept, func(p string) string { return p })
}

// encodeAnswers returns a frame of answers by question; name says how a path is
// written.
func encodeAnswers(answers map[Question]*answer, name func(string) string) []byte {
	questions := slices.SortedFunc(maps.Keys(answers), func(a, b Question) int { return bytes.Compare(a[:], b[:]) })
	number := map[sight]int{}
	var table []byte
	var list []byte
	for _, q := range questions {
		x := answers[q]
		ids := make([]int, 0, x.n)
		x.each(func(s *watched) bool {
			id, ok := number[s.sight]
			if !ok {
				id = len(number)
				number[s.sight] = id
				table = appendText(append(table, s.kind), name(s.path))
				if s.hashed() {
					table = append(table, s.hash[:]...)
				}
			}
			ids = append(ids, id)
			return true
		})
		slices.Sort(ids)
		list = append(list, q[:]...)
		list = appendText(list, string(x.text))
		list = binary.AppendUvarint(list, uint64(len(ids)))
		last := 0
		for _, id := range ids {
			list = binary.AppendUvarint(list, uint64(id-last))
			last = id
		}
	}
	body := binary.AppendUvarint(nil, uint64(len(number)))
	body = append(body, table...)
	body = binary.AppendUvarint(body, uint64(len(questions)))
	return appendFrame(nil, append(body, list...))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (a *answers) append(frame []byte) error {
	f, err := os.OpenFile(a.file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(frame)
	a.size += int64(len(frame))
	return errors.Join(err, f.Close())
}

func (a *answers) writeAnew(b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(a.file), "answers-*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = robustio.Rename(tmp.Name(), a.file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	a.size, a.damaged = int64(len(b)), false
	return nil
}
