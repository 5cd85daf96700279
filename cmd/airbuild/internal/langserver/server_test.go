package langserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/tasks"
)

// A client talks to a server, message by message.
type client struct {
	t    *testing.T
	conn *conn
	id   int
	done chan error
	in   *io.PipeWriter
}

// start serves a project whose check finds one mistake wherever a file says "bad".
func start(t *testing.T) *client {
	t.Helper()
	check := func(_ context.Context, _, name string, files fs.FS) (map[string][]byte, hcl.Diagnostics) {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Error(err)
		}
		var diags hcl.Diagnostics
		if at := bytes.Index(text, []byte("bad")); at >= 0 {
			diags = hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Bad", Detail: "Mend it.",
				Subject: &hcl.Range{Filename: name, Start: hcl.Pos{Byte: at}, End: hcl.Pos{Byte: at + 3}}}}
		}
		return map[string][]byte{name: text}, diags
	}
	toServer, in := io.Pipe()
	out, fromServer := io.Pipe()
	c := &client{t: t, conn: &conn{bufio.NewReader(out), in}, done: make(chan error, 1), in: in}
	go func() {
		err := Serve(context.Background(), Options{In: toServer, Out: fromServer, Version: "1", Check: check,
			Meta: tasks.MetaSchema(), Pipelines: []string{"go_release"},
			Stages: map[string]*tasks.Schema{"exec": {Type: "exec", Doc: "Runs.", Attrs: []tasks.Attr{
				{Name: "command", Doc: "What runs."}, {Name: "mode", Enum: []string{"check", "fix"}, Doc: "How."}}}},
		})
		fromServer.Close()
		c.done <- err
	}()
	return c
}

func (c *client) notify(method string, params any) {
	c.t.Helper()
	if err := c.conn.notify(method, params); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next message as JSON.
func (c *client) read() string {
	c.t.Helper()
	header, err := c.conn.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	var size int
	if _, err := fmt.Sscanf(header, "Content-Length: %d", &size); err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, size+2) // with the empty line
	if _, err := io.ReadFull(c.conn.in, body); err != nil {
		c.t.Fatal(err)
	}
	return string(body[2:])
}

func (c *client) call(method string, params any) string {
	c.t.Helper()
	c.id++
	if err := c.conn.write(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params}); err != nil {
		c.t.Fatal(err)
	}
	return c.read()
}

func (c *client) open(name, text string) {
	c.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uriOf(name), "text": text}})
}

// at are the parameters for the place of a "|" in a text, and the text without it.
func at(name, marked string) (string, map[string]any) {
	before, after, _ := strings.Cut(marked, "|")
	return before + after, map[string]any{"textDocument": map[string]any{"uri": uriOf(name)}, "position": positionOf(before+after, len(before))}
}

func want(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if absent, ok := strings.CutPrefix(p, "!"); ok == strings.Contains(got, strings.TrimPrefix(p, "!")) {
			t.Errorf("%s\nwant %q (absent: %v, %q)", got, p, ok, absent)
		}
	}
}

func TestConversation(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "Airbuildfile")
	c := start(t)
	want(t, c.call("initialize", map[string]any{}), `"hoverProvider":true`, `"name":"airbuild"`)
	c.notify("initialized", map[string]any{})

	// Mistakes come and go, at UTF-16 positions.
	c.open(name, "# \U0001F600 bad\n")
	want(t, c.read(), `"method":"textDocument/publishDiagnostics"`, `"uri":"file://`, `{"line":0,"character":5}`, `"Bad\nMend it."`, `"severity":1`)
	c.notify("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": uriOf(name)},
		"contentChanges": []any{map[string]any{"text": "stage  \"exec\" \"a\" {}\n"}}})
	want(t, c.read(), `"diagnostics":[]`)

	_, doc := at(name, "|")
	want(t, c.call("textDocument/formatting", doc), `stage \"exec\" \"a\" {}`, `"end":{"line":1,"character":0}`)
	want(t, c.call("textDocument/rename", doc), `"code":-32601`)
	_, other := at(filepath.Join(dir, "closed"), "|")
	want(t, c.call("textDocument/hover", other), `"code":-32602`, "is not open")
	want(t, c.call("nonsense", nil), `"code":-32601`)
	want(t, c.call("shutdown", nil), `"result":null`)
	c.notify("exit", nil)
	if err := <-c.done; err != nil {
		t.Error(err)
	}
}

func TestComplete(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "Airbuildfile")
	if err := os.WriteFile(filepath.Join(dir, "common.hcl"), []byte("variable \"shared\" {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	head := "include \"common.hcl\" {}\nvariable \"version\" {}\nlocals {\n  where = 1\n}\nstage \"exec\" \"one\" {}\n"
	for marked, parts := range map[string][]string{
		"|":                                {`"label":"stage"`, `"label":"pipeline"`, `"insertText":"stage \"\" \"\" {"`, `!"label":"command"`},
		"st|age \"exec\" \"b\" {\n}\n":     {`"label":"stage"`},
		"stage \"|":                        {`"label":"exec"`, "Runs."},
		"stage \"exec\" \"b\" {\n  |\n}\n": {`"label":"command"`, `"label":"matrix"`, `"label":"sandbox"`, `!"label":"variable"`},
		"stage \"exec\" \"b\" {\n  command = []\n  co|\n}\n":   {`!"label":"command"`, `"label":"mode"`},
		"stage \"exec\" \"b\" {\n  sandbox {\n    |\n  }\n}\n": {`"label":"network"`, `!"label":"command"`},
		"stage \"exec\" \"b\" {\n  mode = \"|\"\n}\n":          {`"label":"check"`, `"label":"fix"`},
		"stage \"exec\" \"b\" {\n  command = [var.|]\n}\n":     {`"label":"version"`, `"label":"shared"`, `!"label":"where"`},
		"stage \"exec\" \"b\" {\n  after = [stage.|]\n}\n":     {`"label":"one"`},
		"stage \"exec\" \"b\" {\n  command = [local.wh|]\n}\n": {`"label":"where"`},
		"stage \"exec\" \"b\" {\n  command = [git.|]\n}\n":     {`"label":"describe"`},
		"stage \"exec\" \"b\" {\n  command = |\n}\n":           {`"label":"upper"`, `"label":"stage"`},
		"pipeline \"p\" {\n  use = \"|\"\n}\n":                 {`"label":"go_release"`},
	} {
		text, params := at(name, head+marked)
		c := start(t)
		c.open(name, text)
		want(t, c.call("textDocument/completion", params), parts...)
		c.in.Close()
		<-c.done
	}
}

func TestHoverAndDefinition(t *testing.T) {
	name := filepath.Join(t.TempDir(), "Airbuildfile")
	for marked, part := range map[string]string{
		"stage \"ex|ec\" \"b\" {}\n":                                "Runs.",
		"stage \"exec\" \"b\" {\n  com|mand = []\n}\n":              "What runs.",
		"locals {\n  a = upp|er(\"x\")\n}\n":                        "upper(string)",
		"sta|ge \"exec\" \"b\" {}\n":                                "A unit of work",
		"locals {\n  nothi|ng = 1\n}\n":                             `"result":null`,
		"locals {\n  nothing = \"\U0001F600\" + gi|bberish(1)\n}\n": `"result":null`,
	} {
		text, params := at(name, marked)
		c := start(t)
		c.open(name, text)
		want(t, c.call("textDocument/hover", params), part)
		c.in.Close()
		<-c.done
	}
	text, params := at(name, "stage \"exec\" \"one\" {}\nstage \"exec\" \"b\" {\n  after = [stage.o|ne]\n}\n")
	c := start(t)
	c.open(name, text)
	want(t, c.call("textDocument/definition", params), `"start":{"line":0,"character":0}`)
	c.in.Close()
	if err := <-c.done; err == nil {
		t.Error("an editor that goes away without a word")
	}
}

func TestBadMessages(t *testing.T) {
	for in, want := range map[string]string{
		"Content-Length: x\r\n\r\n":           "Content-Length",
		"Content-Length: 99999999999\r\n\r\n": "Content-Length",
		"Content-Length: 10\r\n\r\n{}":        "read message",
		"no header":                           "read header",
	} {
		err := Serve(context.Background(), Options{In: strings.NewReader(in), Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
	var out bytes.Buffer
	err := Serve(context.Background(), Options{In: strings.NewReader("Content-Length: 1\r\n\r\n{"), Out: &out})
	if err == nil || !strings.Contains(out.String(), `"code":-32700`) {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestPositions(t *testing.T) {
	text := "a\U0001F600b\nsecond\n"
	for offset := range len(text) + 1 {
		if offset > 0 && offset < len(text) && text[offset]&0xc0 == 0x80 {
			continue // within a character
		}
		if got := offsetOf(text, positionOf(text, offset)); got != offset {
			t.Errorf("byte %d became %d", offset, got)
		}
	}
	if got := offsetOf(text, position{99, 99}); got != len(text) {
		t.Errorf("behind the end: %d", got)
	}
	if got := offsetOf(text, position{0, 99}); got != 6 {
		t.Errorf("behind the end of a line: %d", got)
	}
}

// Nothing that an editor sends makes the server panic.
func FuzzMessages(f *testing.F) {
	for _, m := range []string{
		`{"method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///nowhere/Airbuildfile","text":"stage \"exec\" {"}}}`,
		`{"id":1,"method":"textDocument/completion","params":{"textDocument":{"uri":"file:///nowhere/Airbuildfile"},"position":{"line":-1,"character":-5}}}`,
		`{"id":1,"method":"textDocument/hover","params":{"textDocument":{"uri":"file:///nowhere/Airbuildfile"},"position":{"line":0,"character":9}}}`,
		`{"id":1,"method":"textDocument/definition","params":{"textDocument":{"uri":"%"}}}`,
	} {
		f.Add(m, "stage \"exec\" \"a\" {\n")
	}
	f.Fuzz(func(t *testing.T, body, text string) {
		opening, err := json.Marshal(map[string]any{"method": "textDocument/didOpen",
			"params": map[string]any{"textDocument": map[string]any{"uri": "file:///nowhere/Airbuildfile", "text": text}}})
		if err != nil {
			t.Fatal(err)
		}
		var in strings.Builder
		for _, m := range []string{string(opening), body} {
			fmt.Fprintf(&in, "Content-Length: %d\r\n\r\n%s", len(m), m)
		}
		err = Serve(context.Background(), Options{In: strings.NewReader(in.String()), Out: io.Discard, Meta: tasks.MetaSchema(),
			Check: func(context.Context, string, string, fs.FS) (map[string][]byte, hcl.Diagnostics) { return nil, nil }})
		if errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
