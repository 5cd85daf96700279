package engine

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// maxLine is how much of a line, in bytes, waits for its end.
const maxLine = 64 << 10

// A stepLog keeps a step's output and sends it on in whole lines; a very long
// line is sent in parts.
type stepLog struct {
	mu   sync.Mutex
	keep *bytes.Buffer
	part []byte
	send func([]byte)
}

var _ io.Writer = (*stepLog)(nil)

func (l *stepLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep.Write(b)
	if extra := l.keep.Len() - maxLog; extra > maxLog {
		l.keep.Next(extra) // the store has it whole
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	if end == 0 && len(l.part)+len(b) > maxLine {
		end = len(b)
	}
	if end > 0 {
		l.send(slices.Concat(l.part, b[:end]))
		l.part = l.part[:0]
	}
	l.part = append(l.part, b[end:]...)
	return len(b), nil
}

// end sends what is left of a try: a last line without an end.
func (l *stepLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.send(l.part)
		l.part = nil
	}
}

// again forgets the log of a try, because another follows.
func (l *stepLog) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep.Reset()
}
