package human

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s without anything that a terminal or a CI system would obey:
// control characters but tab and newline, escape sequences, characters that
// reorder text. A line that was overwritten with carriage returns shows what
// it showed last. Colours (SGR sequences) stay if keepColor is set, and are
// ended at the end of each line that uses them. Bytes that are no UTF-8 become
// U+FFFD.
func Clean(s string, keepColor bool) string {
	if isClean(s) {
		return s
	}
	lines := strings.SplitAfter(s, "\n")
	for i, l := range lines {
		body, end := strings.CutSuffix(l, "\n")
		lines[i] = cleanLine(body, keepColor)
		if end {
			lines[i] += "\n"
		}
	}
	return strings.Join(lines, "")
}

func isClean(s string) bool {
	for _, r := range s {
		if r != '\n' && r != '\t' && (obeyed(r) || r == utf8.RuneError) {
			return false
		}
	}
	return true
}

// obeyed reports whether a character does something instead of showing.
func obeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

func cleanLine(s string, keepColor bool) string {
	s = strings.TrimRight(s, "\r")
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	var b strings.Builder
	colored := false
	for len(s) > 0 {
		if s[0] == 0x1b {
			n, sgr := escape(s)
			if sgr && keepColor {
				b.WriteString(s[:n])
				colored = true
			}
			s = s[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		if r == '\t' || !obeyed(r) {
			b.WriteRune(r)
		}
		s = s[n:]
	}
	if colored {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// escape returns the length of the escape sequence that s begins with, and
// whether it only sets colours.
func escape(s string) (n int, sgr bool) {
	if len(s) < 2 {
		return len(s), false
	}
	switch s[1] {
	case '[': // CSI: parameters, then one final byte
		i := 2
		for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3f {
			i++
		}
		if i == len(s) || s[i] < 0x40 || s[i] > 0x7e {
			return i, false
		}
		return i + 1, s[i] == 'm' && strings.Trim(s[2:i], "0123456789;:") == ""
	case ']', 'P', 'X', '^', '_': // strings, ended by BEL or ST
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1, false
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2, false
			}
		}
		return len(s), false
	}
	return 2, false
}

// OneLine is s cleaned and on one line.
func OneLine(s string) string {
	return strings.Join(strings.Fields(Clean(s, false)), " ")
}

// Fit shortens s, which is clean and without colour, to at most width columns.
func Fit(s string, width int) string {
	if Columns(s) <= width {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

func Columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns is how many columns a terminal gives to r, near enough: wide
// East Asian characters and pictures take two, combining marks none.
func runeColumns(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r), r == '\u200d':
		return 0
	case r < 0x1100:
		return 1
	case r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
