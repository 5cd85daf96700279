package campaign

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A file is a source of the project: a regular file, or a link if link is set.
type file struct {
	text string
	link string
	exec bool
	// vary returns the text that holds the value v, a digit. Nil: the text is
	// not edited.
	vary func(v int) string
	// targets are where the link may lead.
	targets []string
	// optional files may be removed and renamed, within their directory and with
	// their extension.
	optional bool
	// unread files are read by no step.
	unread bool
	// mode is used where the executable bit is not all that matters: permissions
	// without it. Zero means 0644.
	mode fs.FileMode
}

func (f *file) perm() fs.FileMode {
	mode := f.mode
	if mode == 0 {
		mode = 0o644
	}
	if f.exec {
		mode |= 0o111
	}
	return mode
}

// A state is all that a build depends on. It is copied by value, so that an
// earlier one can be restored.
type state struct {
	files map[string]file // of the project
	kit   map[string]file // of a tool installed outside the project: bin/… and lib/…
	env   map[string]string
	knobs map[string]int // settings of the parts, by "part.knob"
}

func (s state) clone() state {
	return state{maps.Clone(s.files), maps.Clone(s.kit), maps.Clone(s.env), maps.Clone(s.knobs)}
}

// A tree is a directory that is kept in step with the files of a state. What else
// is in the directory, airbuild's outputs, is not touched.
type tree struct {
	dir     string
	written map[string]file
}

// sync writes what changed. keepTime: changed files get the modification time that
// they had before, as after an unpacked archive or a restored backup.
func (t *tree) sync(files map[string]file, keepTime bool) error {
	for _, name := range slices.Sorted(maps.Keys(t.written)) {
		if _, ok := files[name]; !ok {
			if err := os.Remove(filepath.Join(t.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			delete(t.written, name)
			// As git does: a clone has no empty directories.
			for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
				if os.Remove(filepath.Join(t.dir, dir)) != nil {
					break
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		old, ok := t.written[name]
		if ok && old.text == f.text && old.link == f.link && old.perm() == f.perm() {
			continue
		}
		if err := t.write(name, f, keepTime); err != nil {
			return err
		}
		t.written[name] = f
	}
	return nil
}

func (t *tree) write(name string, f file, keepTime bool) error {
	at := filepath.Join(t.dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return err
	}
	info, err := os.Lstat(at)
	if err == nil && (f.link != "" || !info.Mode().IsRegular()) {
		err = os.Remove(at)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f.link != "" {
		return os.Symlink(f.link, at)
	}
	if err := errors.Join(os.WriteFile(at, []byte(f.text), 0o666), os.Chmod(at, f.perm())); err != nil {
		return err
	}
	if keepTime && info != nil {
		return os.Chtimes(at, time.Time{}, info.ModTime())
	}
	return nil
}

// A knob is a setting of a part with the values 0 to n-1.
type knob struct {
	name string
	n    int
}

// A part is a piece of a project: some files, stages over them, and settings of the
// stages that edits change.
type part struct {
	name  string
	knobs []knob
	// stages is the text of the stages for the values of the knobs; targets are
	// the stages for the pipeline.
	stages  func(k func(string) int) string
	targets []string
	// imports are the Go packages that the program prints, by their directory.
	imports []string
	// after are stages that the program waits for.
	after []string
	// cgo: the program needs cgo.
	cgo bool
}

// sources returns a vary function for a text with the value in place of %d.
func sources(format string) func(int) string {
	return func(v int) string { return fmt.Sprintf(format, v) }
}
