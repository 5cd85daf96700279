package docs

import (
	"strings"
	"unicode/utf8"

	"github.com/airbuild/airbuild/docs/internal/markdown"
)

// width is how wide a table may be in a terminal. A wider one is written as a
// list.
const width = 100

// Plain returns a page as text to read in a terminal: code is indented, tables
// are aligned, and links are their words.
func (p Page) Plain() string { return plain(p.Text) }

func plain(text string) string {
	var out strings.Builder
	var table [][]string
	flush := func() {
		writeTable(&out, table)
		table = nil
	}
	code := false
	for line := range strings.Lines(markdown.Words(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			flush()
			code = !code
			continue
		case code:
			if line != "" {
				line = "    " + line
			}
		case markdown.IsRule(line):
			continue
		case strings.HasPrefix(line, "|"):
			table = append(table, markdown.Cells(line))
			continue
		default:
			flush()
			line = strings.ReplaceAll(line, "**", "")
		}
		out.WriteString(line + "\n")
	}
	flush()
	return out.String()
}

// writeTable aligns the columns of a table, the first row of which is its
// header. A wide table becomes a list.
func writeTable(out *strings.Builder, table [][]string) {
	if len(table) == 0 {
		return
	}
	widths := make([]int, len(table[0]))
	total := 0
	for _, row := range table {
		for i := range min(len(row), len(widths)) {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, w := range widths {
		total += w + 2
	}
	if total > width {
		writeList(out, table[0], table[1:])
		return
	}
	if strings.Join(table[0], "") == "" {
		table = table[1:]
	}
	for _, row := range table {
		line := ""
		for i := range min(len(row), len(widths)) {
			line += row[i] + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(row[i])+2)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func writeList(out *strings.Builder, header []string, rows [][]string) {
	for _, row := range rows {
		out.WriteString(row[0])
		rest := row[1:]
		for i, c := range rest {
			switch {
			case c == "" || c == "–":
			case i == len(rest)-1:
				out.WriteString("\n" + wrapped(c))
			case header[i+1] == "default":
				out.WriteString("  (default: " + c + ")")
			default:
				out.WriteString("  " + c)
			}
		}
		out.WriteString("\n")
	}
}

// wrapped is a text indented by four and broken into lines.
func wrapped(text string) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width-4 {
			lines, line = append(lines, "    "+line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, "    "+line), "\n")
}
