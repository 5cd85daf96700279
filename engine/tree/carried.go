package tree

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"
)

// carriedMagic begins answers in the form that other hosts can read. Frames
// follow as in the file of answers. A path in one of the places begins with a
// zero byte and the place's name instead of its directory.
const carriedMagic = "airbuild-carried-answers-1\n"

// Places are directories of this host that may be elsewhere on others, and are
// the same there: absolute with slashes, by name.
type Places map[string]string

// name writes a path for other hosts.
func (p Places) name(file string) string {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		dir := strings.TrimSuffix(p[name], "/")
		if rest, ok := strings.CutPrefix(file, dir); ok && dir != "" && (rest == "" || rest[0] == '/') {
			return "\x00" + name + rest
		}
	}
	return file
}

// file is the inverse of name; ok is false for a place that is not among p.
func (p Places) file(text string) (file string, ok bool) {
	text, ok = strings.CutPrefix(text, "\x00")
	if !ok {
		return text, true
	}
	name, rest, more := strings.Cut(text, "/")
	dir, ok := p[name]
	if more {
		dir = path.Join(dir, rest)
	}
	return dir, ok
}

// Carry encodes the answers to questions for other hosts, each under the
// question as it is asked there; nil if there is none. asked has that by the
// question as it was asked here. What the answers rest on is there once. carried
// are the questions, as asked here, to which there was an answer.
func (w *Workspace) Carry(asked map[Question]Question, places Places) (text []byte, carried []Question) {
	if w.Paranoid {
		return nil, nil
	}
	w.answers.read()
	w.answers.mu.Lock()
	defer w.answers.mu.Unlock()
	there := map[Question]*answer{}
	for here, q := range asked {
		if a := w.answers.known[here]; a != nil {
			there[q] = a
			carried = append(carried, here)
		}
	}
	if len(there) == 0 {
		return nil, nil
	}
	return append([]byte(carriedMagic), encodeAnswers(there, places.name)...), carried
}

// Carried are answers that were found out on another host, or in another
// checkout on this one.
type Carried struct{ known map[Question]*answer }

// ReadCarried decodes what Carry made. Answers that rest on a place which is
// not among places are left out.
func ReadCarried(text []byte, places Places) (*Carried, error) {
	frames, ok := bytes.CutPrefix(text, []byte(carriedMagic))
	if !ok {
		return nil, errAnswers
	}
	c := &Carried{known: map[Question]*answer{}}
	if err := decodeAnswerFrames(frames, c.known); err != nil {
		return nil, err
	}
	named := map[*watched]bool{} // whether the sight's path is one of this host now
	for q, a := range c.known {
		a.each(func(s *watched) bool {
			ok, done := named[s]
			if !done {
				var file string
				if file, ok = places.file(s.path); ok {
					s.path = file
				}
				named[s] = ok
			}
			if !ok {
				delete(c.known, q)
			}
			return ok
		})
	}
	return c, nil
}

// Knows reports whether an answer to the question is remembered; it may no
// longer hold.
func (w *Workspace) Knows(q Question) bool {
	w.answers.read()
	w.answers.mu.Lock()
	defer w.answers.mu.Unlock()
	return w.answers.known[q] != nil
}

// Adopt remembers what another host answered to the question there as the
// answer to the question here. Like any other it is recalled only if all that it
// rests on is so in this workspace. It reports whether there was one.
func (w *Workspace) Adopt(here, there Question, c *Carried) bool {
	a := c.known[there]
	if a == nil || w.Paranoid {
		return false
	}
	own := *a // sights are shared: each is looked at once
	own.fresh = true
	w.answers.read()
	w.answers.mu.Lock()
	defer w.answers.mu.Unlock()
	w.answers.known[here] = &own
	return true
}
