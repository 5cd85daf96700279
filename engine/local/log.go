package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// masked is what stands in a log for a secret.
const masked = "***"

// A logFile takes a step's output in the order in which it comes, takes out
// secrets and the fixed path, so that files are named as in the
// project, keeps it in a file and passes it on.
type logFile struct {
	mu      sync.Mutex
	file    *os.File
	live    io.Writer
	secrets [][]byte  // the longest first
	begins  [256]bool // whether one begins with the byte
	hold    []byte    // the end of what came, which may be the start of a secret
	size    int64
	err     error
}

func newLog(name string, live io.Writer, s *engine.Step, placed bool) (*logFile, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	l := &logFile{file: f, live: live}
	if live == nil {
		l.live = io.Discard
	}
	for _, v := range s.Secrets {
		l.hide(v.Value)
	}
	for _, m := range s.Mask {
		l.hide(m)
	}
	if placed {
		l.secrets = append(l.secrets, fixedPrefix)
	}
	slices.SortFunc(l.secrets, func(a, b []byte) int { return cmp.Or(len(b)-len(a), bytes.Compare(a, b)) })
	l.secrets = slices.CompactFunc(l.secrets, bytes.Equal)
	for _, s := range l.secrets {
		l.begins[s[0]] = true
	}
	return l, nil
}

// hide masks a text in all its forms.
func (l *logFile) hide(text string) {
	for _, form := range engine.SecretForms(text) {
		l.secrets = append(l.secrets, []byte(form))
	}
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.secrets) == 0 {
		l.emit(b)
		return len(b), l.err
	}
	l.hold = append(l.hold, b...)
	l.mask(false)
	return len(b), l.err
}

// mask emits what is held with secrets taken out: at each place the longest
// that is there. Unless this is the end it stops where a longer one may begin.
func (l *logFile) mask(end bool) {
	var out []byte
	i := 0
	for i < len(l.hold) {
		n, more := l.secretAt(l.hold[i:])
		if more && !end {
			break
		}
		if n > 0 {
			if !bytes.Equal(l.hold[i:i+n], fixedPrefix) {
				out = append(out, masked...)
			}
			i += n
			continue
		}
		out = append(out, l.hold[i])
		i++
	}
	l.hold = append(l.hold[:0], l.hold[i:]...)
	l.emit(out)
}

// secretAt returns the length of the longest secret at the start of b, and
// whether b may be the start of a longer one.
func (l *logFile) secretAt(b []byte) (n int, more bool) {
	if !l.begins[b[0]] {
		return 0, false
	}
	for _, s := range l.secrets {
		switch {
		case bytes.HasPrefix(b, s):
			return len(s), more
		case len(b) < len(s) && bytes.HasPrefix(s, b):
			more = true
		}
	}
	return 0, more
}

func (l *logFile) emit(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := l.file.Write(b); err != nil && l.err == nil {
		l.err = fmt.Errorf("write log: %w", err)
	}
	l.live.Write(b)
	l.size += int64(len(b))
}

// finish writes what is held and returns the file and its size.
func (l *logFile) finish() (name string, size int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mask(true)
	return l.file.Name(), l.size, l.err
}

func (l *logFile) Close() error { return l.file.Close() }

// tail is the end of what was logged so far, secrets masked.
func (l *logFile) tail(limit int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := max(0, l.size-limit)
	b := make([]byte, l.size-from)
	n, err := l.file.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return b[:n]
}

// inlineLog is the size up to which a log is kept in the result itself.
const inlineLog = 1 << 10

// keepLog puts the log into the result, inline or as a blob.
func keepLog(ctx context.Context, st Store, l *logFile, res *action.Result) error {
	name, size, err := l.finish()
	if err != nil {
		return err
	}
	if size <= inlineLog {
		b, err := os.ReadFile(name)
		if len(b) > 0 {
			res.StdoutRaw = b
		}
		return err
	}
	res.Stdout, err = st.PutFile(ctx, name, action.Digest{})
	if err != nil {
		return fmt.Errorf("store log: %w", err)
	}
	return nil
}
