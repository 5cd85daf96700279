// Command man writes the documentation as manual pages: airbuild(1), one page
// for each command, and airbuildfile(5). They are compressed, as packages of
// Linux distributions want them, and the same bytes each time.
//
//	man VERSION DIR
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cpuguy83/go-md2man/v2/md2man"

	"github.com/airbuild/airbuild/docs"
	"github.com/airbuild/airbuild/docs/internal/markdown"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: man VERSION DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// A manual is one page.
type manual struct {
	name    string // "airbuild-run"
	section int
	summary string // one line
	text    string // Markdown whose headings begin at level 1
}

// write writes dir/man1/NAME.1.gz and dir/man5/NAME.5.gz.
func write(version, dir string) error {
	all, err := manuals()
	if err != nil {
		return err
	}
	for _, m := range all {
		file := filepath.Join(dir, fmt.Sprintf("man%d", m.section), fmt.Sprintf("%s.%d.gz", m.name, m.section))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := z.Write(m.roff(version)); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(file, out.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// roff returns the page in the language of man.
func (m *manual) roff(version string) []byte {
	head := fmt.Sprintf("%% %q %q %q %q %q\n# NAME\n%s - %s\n\n",
		strings.ToUpper(m.name), fmt.Sprint(m.section), "", "airbuild "+version, "airbuild", m.name, m.summary)
	return withDashes(md2man.Render([]byte(head + m.text)))
}

var bold = regexp.MustCompile(`\\fB.*?\\f[PR]`)

// withDashes has options and code written with the character - itself. In the
// language of man a plain - is a hyphen, which newer formatters print as U+2010:
// what is copied from a page would be no option.
func withDashes(roff []byte) []byte {
	dashes := strings.NewReplacer(`\-`, `\-`, "-", `\-`)
	var out bytes.Buffer
	code := false
	for line := range strings.Lines(string(roff)) {
		switch {
		case strings.HasPrefix(line, ".EX"):
			code = true
		case strings.HasPrefix(line, ".EE"):
			code = false
		case code:
			line = dashes.Replace(line)
		default:
			line = bold.ReplaceAllStringFunc(line, dashes.Replace)
		}
		out.WriteString(line)
	}
	return out.Bytes()
}

// manuals takes the pages apart that describe the command line and the
// Airbuildfile.
func manuals() ([]*manual, error) {
	cli, _, ok := docs.Find("cli")
	if !ok {
		return nil, fmt.Errorf("docs: the page cli is missing")
	}
	main := &manual{name: "airbuild", section: 1, summary: "builds, tests, packages and carries Go projects"}
	all := []*manual{main}
	by, subs := map[string]*manual{}, map[string][]string{}
	at := main
	for _, part := range parts(withLists(cli.Text)) {
		name, sub, isCommand := commands(part.heading)
		switch {
		case part.level == 1:
			main.text += "# SYNOPSIS\n**airbuild** COMMAND [ARGUMENT…] [FLAG…]\n\n# DESCRIPTION\n" + part.body
			continue
		case part.level <= 3 && !isCommand:
			at = main
		case isCommand && by[name] == nil:
			at = &manual{name: "airbuild-" + name, section: 1, summary: firstSentence(part.body)}
			by[name] = at
			all = append(all, at)
		case isCommand:
			at = by[name]
		}
		if len(sub) > 0 {
			subs[name] = append(subs[name], sub...)
			at.summary = "the commands " + strings.Join(subs[name], ", ")
		}
		// In a page of a command its own headings are the first level.
		level := part.level - 1
		if at != main {
			level--
		}
		at.text += heading(level, part.heading) + part.body
	}
	// A part of the command line that has nothing but commands is no section.
	main.text = withoutEmpty(main.text) + "# COMMANDS\n"
	for _, m := range slices.SortedFunc(slices.Values(all[1:]), func(a, b *manual) int { return strings.Compare(a.name, b.name) }) {
		main.text += fmt.Sprintf("**%s**(1)\n\n", m.name)
		m.text += "# SEE ALSO\n**airbuild**(1), **airbuildfile**(5)\n"
	}
	main.text += "# SEE ALSO\n**airbuildfile**(5). **airbuild docs** prints the pages that are not here: stage types, how-to guides, formats.\n"

	file, _, ok := docs.Find("airbuildfile")
	if !ok {
		return nil, fmt.Errorf("docs: the page airbuildfile is missing")
	}
	lang := &manual{name: "airbuildfile", section: 5, summary: "the language of an Airbuildfile"}
	for _, part := range parts(withLists(file.Text)) {
		if part.level == 1 {
			lang.text += "# DESCRIPTION\n" + part.body
			continue
		}
		lang.text += heading(part.level-1, part.heading) + part.body
	}
	lang.text += "# SEE ALSO\n**airbuild**(1). **airbuild docs reference** describes the stage types.\n"
	return append(all, lang), nil
}

// withLists returns a page of Markdown in which links are their words, and
// tables are definition lists of their first cells: a manual page has no room
// for columns.
func withLists(page string) string {
	var out strings.Builder
	var header []string
	code := false
	for line := range strings.Lines(markdown.Words(page)) {
		row := strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			code = !code
		case code:
		case !strings.HasPrefix(row, "|"):
			header = nil
		case header == nil:
			header = markdown.Cells(row)
			continue
		case markdown.IsRule(row):
			continue
		default:
			line = definition(header, markdown.Cells(row))
		}
		out.WriteString(line)
	}
	return out.String()
}

func definition(header, row []string) string {
	var text []string
	after := ""
	for i, c := range row[1:] {
		switch {
		case c == "" || c == "–":
		case i+1 < len(header) && header[i+1] == "default":
			after = " (default: " + c + ")"
		default:
			text = append(text, c)
		}
	}
	return row[0] + "\n: " + strings.Join(text, "; ") + after + "\n\n"
}

// heading is a section's at level 1, below that a subsection's: man has two
// levels, of which md2man writes the second from the third on.
func heading(level int, text string) string {
	marks := "#"
	if level > 1 {
		marks = "###"
	}
	return marks + " " + strings.ReplaceAll(text, "`", "") + "\n"
}

// firstSentence is a text up to its first stop, as a phrase.
func firstSentence(text string) string {
	sentence := strings.Join(strings.Fields(text), " ")
	if i := strings.IndexAny(sentence+".", ".:;"); i > 0 {
		sentence = sentence[:i]
	}
	sentence = strings.NewReplacer("`", "", "**", "").Replace(sentence)
	r, size := utf8.DecodeRuneInString(sentence)
	return string(unicode.ToLower(r)) + sentence[size:]
}

// A part is a heading with what follows, up to the next heading.
type part struct {
	level         int
	heading, body string
}

// parts takes a page of Markdown apart. Headings in blocks of code are code.
func parts(text string) []part {
	var all []part
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		marks := len(line) - len(strings.TrimLeft(line, "#"))
		if !code && marks > 0 && strings.HasPrefix(line[marks:], " ") {
			all = append(all, part{level: marks, heading: strings.TrimSpace(line[marks:])})
			continue
		}
		if len(all) > 0 {
			all[len(all)-1].body += line
		}
	}
	return all
}

var commandLine = regexp.MustCompile("`airbuild ([a-z-]+)(?: ([a-z]+)[ `])?")

// commands returns the first word of the commands that a heading names, and the
// second words of those that have one: "cache" and "path" of
// "`airbuild cache path`". Arguments are left out.
func commands(heading string) (name string, subs []string, ok bool) {
	for _, m := range commandLine.FindAllStringSubmatch(heading, -1) {
		name = m[1]
		if m[2] != "" {
			subs = append(subs, m[2])
		}
	}
	return name, subs, name != ""
}

// withoutEmpty removes headings that another heading of the same or a higher
// level follows, or nothing.
func withoutEmpty(text string) string {
	list := parts(text)
	var out strings.Builder
	for i, p := range list {
		if strings.TrimSpace(p.body) == "" && (i+1 == len(list) || list[i+1].level <= p.level) {
			continue
		}
		out.WriteString(heading(p.level, p.heading) + p.body)
	}
	return out.String()
}
