package local

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/airbuild/airbuild/engine"
)

// masked is what stands in a log for a secret.
const masked = "***"

// A logFile takes a step's output in the order in which it comes, takes out
// secrets, keeps it in a file and passes it on.
type logFile struct {
	mu      sync.Mutex
	file    *os.File
	live    io.Writer
	secrets [][]byte
	hold    []byte // the end of what came, which may be the start of a secret
	size    int64
	err     error
}

func newLog(name string, live io.Writer, s *engine.Step) (*logFile, error) {
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
	return l, nil
}

// hide masks a text and each of its lines. Texts of one or two letters would
// mask half the log and are no secrets.
func (l *logFile) hide(text string) {
	for _, part := range append([][]byte{[]byte(text)}, bytes.Split([]byte(text), []byte("\n"))...) {
		if len(part) > 2 {
			l.secrets = append(l.secrets, bytes.Clone(part))
		}
	}
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = append(l.hold, b...)
	for _, s := range l.secrets {
		l.hold = bytes.ReplaceAll(l.hold, s, []byte(masked))
	}
	l.emit(len(l.hold) - l.partial())
	return len(b), l.err
}

// partial returns how many bytes at the end may be the start of a secret.
func (l *logFile) partial() int {
	most := 0
	for _, s := range l.secrets {
		for n := min(len(s)-1, len(l.hold)); n > most; n-- {
			if bytes.HasSuffix(l.hold, s[:n]) {
				most = n
				break
			}
		}
	}
	return most
}

// emit writes the first n held bytes.
func (l *logFile) emit(n int) {
	if n == 0 {
		return
	}
	if _, err := l.file.Write(l.hold[:n]); err != nil && l.err == nil {
		l.err = fmt.Errorf("write log: %w", err)
	}
	l.live.Write(l.hold[:n])
	l.size += int64(n)
	l.hold = append(l.hold[:0], l.hold[n:]...)
}

// finish writes what is held and returns the file and its size.
func (l *logFile) finish() (name string, size int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.emit(len(l.hold))
	return l.file.Name(), l.size, l.err
}

func (l *logFile) Close() error { return l.file.Close() }
