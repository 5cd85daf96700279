package dsl

import (
	"strings"
	"testing"
)

// A file that is no UTF-8 gives one mistake, at the first byte that is none.
func TestNotText(t *testing.T) {
	tests := []struct {
		src, detail  string
		line, column int
	}{
		{"\xff\xfea\x00 \x00=\x00 \x001\x00\n\x00", "UTF-16", 1, 1},
		{"\xfe\xff\x00a\x00=\x001\x00\n", "UTF-16", 1, 1},
		{"a\x00b\x00\n\x00", "zero byte", 1, 2},
		{"locals {\n  ü = \"\xe4\"\n  b = \"\xf6\"\n}\n", "0xe4", 2, 8},
	}
	for _, test := range tests {
		_, diags := parse([]byte(test.src), "Airbuildfile")
		if len(diags) != 1 || !strings.Contains(diags[0].Detail, test.detail) || !strings.Contains(diags[0].Detail, "UTF-8") {
			t.Errorf("parse(%q): %v, want one mistake with %q", test.src, diags, test.detail)
			continue
		}
		if at := diags[0].Subject.Start; at.Line != test.line || at.Column != test.column {
			t.Errorf("parse(%q): mistake at %d:%d, want %d:%d", test.src, at.Line, at.Column, test.line, test.column)
		}
	}
	if _, diags := parse([]byte("\ufefflocals {\r\n  ü = \"你好\"\r\n}\r\n"), "Airbuildfile"); diags.HasErrors() {
		t.Errorf("a byte order mark and CRLF: %v", diags)
	}
}
