package langserver

import (
	"io/fs"
	"path"
	"strings"
	"time"
)

// An overlay is a file system with other texts for some files. Their folders are
// those of the file system: a new file that was never saved can be opened by its
// name and is in no list.
type overlay struct {
	fs.FS
	texts map[string]string
}

// Open implements fs.FS.
func (o overlay) Open(name string) (fs.File, error) {
	if text, ok := o.texts[name]; ok {
		return &openText{strings.NewReader(text), textInfo{path.Base(name), int64(len(text))}}, nil
	}
	return o.FS.Open(name)
}

type openText struct {
	*strings.Reader
	info textInfo
}

func (f *openText) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openText) Close() error               { return nil }

type textInfo struct {
	name string
	size int64
}

func (i textInfo) Name() string       { return i.name }
func (i textInfo) Size() int64        { return i.size }
func (i textInfo) Mode() fs.FileMode  { return 0o644 }
func (i textInfo) ModTime() time.Time { return time.Time{} }
func (i textInfo) IsDir() bool        { return false }
func (i textInfo) Sys() any           { return nil }
