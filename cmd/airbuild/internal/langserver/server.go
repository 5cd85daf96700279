// Package langserver speaks the Language Server Protocol, so that editors show the
// mistakes of an Airbuildfile while it is written, complete and explain what may
// stand in it, find what a name means, and lay it out.
//
// It runs nothing and writes nothing. One goroutine reads messages; the one that
// called Serve owns all state.
package langserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/tasks"
)

// Options are what a server goes by.
type Options struct {
	In  io.Reader
	Out io.Writer
	// Version is airbuild's own.
	Version string
	// Check loads the file name of the project at root from files and returns its
	// mistakes and the texts of all files that it is made of.
	Check func(ctx context.Context, root, name string, files fs.FS) (map[string][]byte, hcl.Diagnostics)
	// Stages are the stage types, Meta what all of them have, Pipelines the names of
	// those that are ready made.
	Stages    map[string]*tasks.Schema
	Meta      *tasks.Schema
	Pipelines []string
}

type server struct {
	Options
	conn *conn
	at   patterns
	docs map[string]string   // texts of open files, by absolute path
	told map[string][]string // by Airbuildfile: the files that it had mistakes in
	due  map[string]bool     // open files that changed since they were checked
	down bool                // shutdown was asked for
}

// errExit is a client's last word.
var errExit = errors.New("exit")

// Serve answers until the client says exit, its input ends or ctx is done. It is an
// error if the input ended without the client having asked to shut down.
func Serve(ctx context.Context, o Options) error {
	s := &server{Options: o, conn: &conn{bufio.NewReader(o.In), o.Out}, at: newPatterns(), docs: map[string]string{}, told: map[string][]string{}, due: map[string]bool{}}
	type read struct {
		m   *message
		err error
	}
	messages := make(chan read, 64)
	go func() {
		defer close(messages)
		for {
			m, err := s.conn.read()
			var bad *rpcError
			select {
			case messages <- read{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil && !errors.As(err, &bad) {
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-messages:
			if r.m != nil && r.m.Method == "shutdown" { // the last moment to tell
				if err := s.check(ctx); err != nil {
					return err
				}
			}
			if err := s.take(r.m, r.err); errors.Is(err, errExit) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if len(messages) > 0 {
			continue // whoever types on is not told of each letter
		}
		if err := s.check(ctx); err != nil {
			return err
		}
	}
}

// take handles a message, or that one could not be read.
func (s *server) take(m *message, err error) error {
	var bad *rpcError
	switch {
	case errors.As(err, &bad):
		return s.conn.answer(nil, nil, bad)
	case errors.Is(err, io.EOF) && s.down:
		return errExit
	case errors.Is(err, io.EOF):
		return errors.New("the editor went away without saying so")
	case err != nil:
		return err
	case m.Method == "":
		return nil // a response; nothing was asked
	case m.Method == "exit":
		return errExit
	}
	result, err := s.handle(m)
	if m.ID == nil {
		return nil // nobody waits for an answer, not even for an error
	}
	return s.conn.answer(m.ID, result, err)
}

// params are those of all methods that are known.
type params struct {
	TextDocument struct {
		URI  string `json:"uri"`
		Text string `json:"text"`
	} `json:"textDocument"`
	Position       position `json:"position"`
	ContentChanges []struct {
		Text string `json:"text"`
	} `json:"contentChanges"`
}

func (s *server) handle(m *message) (any, error) {
	var p params
	if len(m.Params) > 0 {
		if err := json.Unmarshal(m.Params, &p); err != nil {
			return nil, &rpcError{codeInvalidParams, err.Error()}
		}
	}
	switch m.Method {
	case "initialize":
		return s.capabilities(), nil
	case "shutdown":
		s.down = true
		return nil, nil
	case "initialized", "textDocument/didSave", "$/cancelRequest", "$/setTrace", "workspace/didChangeConfiguration":
		if m.Method == "textDocument/didSave" {
			for name := range s.docs { // a saved go.mod or template may mend others
				s.due[name] = true
			}
		}
		return nil, nil
	}
	name, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, &rpcError{codeNoMethod, m.Method + " is not known"}
	}
	text, open := s.docs[name]
	switch m.Method {
	case "textDocument/didOpen":
		s.docs[name], s.due[name] = p.TextDocument.Text, true
		return nil, nil
	case "textDocument/didChange":
		if n := len(p.ContentChanges); n > 0 {
			s.docs[name], s.due[name] = p.ContentChanges[n-1].Text, true
		}
		return nil, nil
	case "textDocument/didClose":
		delete(s.docs, name)
		delete(s.due, name)
		return nil, nil
	}
	if !open {
		return nil, &rpcError{codeInvalidParams, name + " is not open"}
	}
	switch m.Method {
	case "textDocument/formatting":
		return format(text), nil
	case "textDocument/completion":
		return s.complete(name, text, offsetOf(text, p.Position)), nil
	case "textDocument/hover":
		return s.hover(text, offsetOf(text, p.Position)), nil
	case "textDocument/definition":
		return s.definition(name, text, offsetOf(text, p.Position)), nil
	}
	return nil, &rpcError{codeNoMethod, m.Method + " is not known"}
}

func (s *server) capabilities() any {
	return map[string]any{
		"serverInfo": map[string]string{"name": "airbuild", "version": s.Version},
		"capabilities": map[string]any{
			"textDocumentSync":           map[string]any{"openClose": true, "change": 1, "save": true}, // whole texts
			"completionProvider":         map[string]any{"triggerCharacters": []string{".", "\""}},
			"hoverProvider":              true,
			"definitionProvider":         true,
			"documentFormattingProvider": true,
		},
	}
}

// format is the one edit that lays a text out; none if it cannot be read.
func format(text string) any {
	out, diags := dsl.Format([]byte(text), "Airbuildfile")
	if diags.HasErrors() || string(out) == text {
		return []any{}
	}
	return []any{map[string]any{
		"range":   span{position{}, positionOf(text, len(text))},
		"newText": string(out),
	}}
}

// check tells the mistakes of the projects whose open files changed.
func (s *server) check(ctx context.Context) error {
	roots := map[string]bool{}
	for name := range s.due {
		roots[airbuildfileOf(name)] = true
	}
	clear(s.due)
	for _, file := range slices.Sorted(maps.Keys(roots)) {
		if err := s.checkProject(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) checkProject(ctx context.Context, file string) error {
	root, name := filepath.Split(file)
	sources, diags := s.Check(ctx, root, name, s.files(root))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	found := map[string][]any{}
	for _, d := range diags {
		at := hcl.Range{Filename: name}
		if d.Subject != nil {
			at = *d.Subject
		}
		text, ok := sources[at.Filename]
		if !ok {
			at, text = hcl.Range{Filename: name}, nil // of an embedded pipeline, say
		}
		full := filepath.Join(root, filepath.FromSlash(at.Filename))
		severity := 1
		if d.Severity == hcl.DiagWarning {
			severity = 2
		}
		found[full] = append(found[full], map[string]any{
			"range": spanOf(string(text), at), "severity": severity, "source": "airbuild",
			"message": strings.TrimSpace(d.Summary + "\n" + d.Detail),
		})
	}
	for _, full := range s.told[file] {
		if found[full] == nil {
			found[full] = []any{} // what was told there holds no more
		}
	}
	s.told[file] = nil
	for _, full := range slices.Sorted(maps.Keys(found)) {
		if len(found[full]) > 0 {
			s.told[file] = append(s.told[file], full)
		}
		if err := s.conn.notify("textDocument/publishDiagnostics", map[string]any{"uri": uriOf(full), "diagnostics": found[full]}); err != nil {
			return err
		}
	}
	return nil
}

// airbuildfileOf is the file that a project is loaded from to which an open file
// belongs: itself, or the nearest Airbuildfile if it is one that others include.
func airbuildfileOf(name string) string {
	if base := filepath.Base(name); base == "Airbuildfile" || strings.HasSuffix(base, ".airbuild.hcl") {
		return name
	}
	for dir := filepath.Dir(name); ; {
		if fi, err := os.Stat(filepath.Join(dir, "Airbuildfile")); err == nil && fi.Mode().IsRegular() {
			return filepath.Join(dir, "Airbuildfile")
		}
		up := filepath.Dir(dir)
		if up == dir {
			return name
		}
		dir = up
	}
}

// files are those of a project, with the texts of the editor in their place.
func (s *server) files(root string) fs.FS {
	o := overlay{FS: tasks.ProjectFiles(root), texts: map[string]string{}}
	for name, text := range s.docs {
		if rel, err := filepath.Rel(root, name); err == nil && filepath.IsLocal(rel) {
			o.texts[filepath.ToSlash(rel)] = text
		}
	}
	return o
}

// pathOf is the file of a URI.
func pathOf(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	if u.Scheme != "file" {
		return "", errors.New(uri + " is not a file")
	}
	name := u.Path
	if runtime.GOOS == "windows" {
		name = strings.TrimPrefix(name, "/")
	}
	return filepath.Clean(filepath.FromSlash(name)), nil
}

func uriOf(name string) string {
	p := filepath.ToSlash(name)
	if !path.IsAbs(p) {
		p = "/" + p
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}
