package human

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	for _, tt := range []struct{ in, plain, color string }{
		{"plain\ttext\n", "plain\ttext\n", "plain\ttext\n"},
		{"\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m\x1b[0m"},
		{"\x1b[2J\x1b[1;1Hgone", "gone", "gone"},
		{"\x1b]0;title\atext", "text", "text"},
		{"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", "link"},
		{"\x1bPdcs", "", ""},
		{"10%\r50%\r100%\r\nnext", "100%\nnext", "100%\nnext"},
		{"a\x00b\x08c\x7fd\u009be", "abcde", "abcde"},
		{"\u202etxt.exe", "txt.exe", "txt.exe"},
		{"bad\xffutf", "bad\ufffdutf", "bad\ufffdutf"},
		{"\x1b", "", ""},
		{"\x1b[", "", ""},
		{"\x1b[31", "", ""},
		{"one\x1b[31mtwo\nthree", "onetwo\nthree", "one\x1b[31mtwo\x1b[0m\nthree"},
	} {
		if got := Clean(tt.in, false); got != tt.plain {
			t.Errorf("Clean(%q, false) = %q, want %q", tt.in, got, tt.plain)
		}
		if got := Clean(tt.in, true); got != tt.color {
			t.Errorf("Clean(%q, true) = %q, want %q", tt.in, got, tt.color)
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;:]*m")

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\x1b[31mx\x1b", "\x1b]0;\x1b\\", "a\rb\n", "\xff\x1bP", "\u202e\u0085"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain := Clean(s, false)
		if !isClean(strings.ReplaceAll(plain, "\ufffd", "?")) {
			t.Errorf("Clean(%q) = %q obeys something", s, plain)
		}
		if rest := sgr.ReplaceAllString(Clean(s, true), ""); strings.ContainsRune(rest, 0x1b) {
			t.Errorf("Clean(%q, true) leaves an escape: %q", s, rest)
		}
		if strings.Count(plain, "\n") != strings.Count(s, "\n") {
			t.Errorf("Clean(%q) changes the number of lines", s)
		}
	})
}

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{
		{"short", 10, "short"}, {"exactly", 7, "exactly"}, {"too long", 5, "too …"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"},
	} {
		if got := Fit(tt.in, tt.width); got != tt.want || Columns(got) > tt.width {
			t.Errorf("fit(%q, %d) = %q, want %q", tt.in, tt.width, got, tt.want)
		}
	}
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.00s", 12 * time.Millisecond: "0.01s", 2449 * time.Millisecond: "2.4s", 9990 * time.Millisecond: "10s",
		59600 * time.Millisecond: "1m00s", 185 * time.Second: "3m05s", 130 * time.Minute: "2h10m",
	} {
		if got := Took(d); got != want {
			t.Errorf("Took(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB", 150 << 20: "150 MiB", -2048: "-2.0 KiB", 3 << 40: "3.0 TiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
