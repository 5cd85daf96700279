package closure

import (
	"bytes"
	"regexp"
)

// spellings are the names by which a text asks for other files.
type spellings struct {
	names []string
	// asked are those of the names of which it asks whether there is a file.
	asked []string
	// computed: a condition on whether a file exists has a name that only the
	// preprocessor knows.
	computed bool
}

var (
	// splice is a line that continues on the next, and spans are comments.
	splice = regexp.MustCompile(`\\[ \t]*\r?\n`)
	spans  = regexp.MustCompile(`(?s)/\*.*?\*/`)
	// includeLine is a directive that names a file. Above import "C" it may
	// be in line comments.
	includeLine = regexp.MustCompile(`(?m)^[ \t/]*(?:#|%:)[ \t]*(?:include|include_next|import|embed)[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)`)
	hasInclude  = regexp.MustCompile(`__has_(?:include|include_next|embed)[ \t]*\([ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)?`)
)

// spelledIn returns what a text of C or Go assembly asks for, whether or not
// the preprocessor comes to the line.
func spelledIn(text []byte) (s spellings) {
	if !bytes.Contains(text, []byte("nclude")) && !bytes.Contains(text, []byte("import")) && !bytes.Contains(text, []byte("embed")) &&
		!bytes.Contains(text, []byte("\\\n")) {
		return s
	}
	text = splice.ReplaceAll(text, nil)
	if bytes.Contains(text, []byte("/*")) && bytes.Contains(text, []byte("*/")) {
		// Directives inside a comment count too: it may hold the lines above
		// import "C".
		text = spans.ReplaceAllFunc(text, func(c []byte) []byte {
			if bytes.IndexByte(c, '\n') < 0 {
				return []byte(" ")
			}
			return c[2 : len(c)-2]
		})
	}
	for _, m := range includeLine.FindAllSubmatch(text, -1) {
		s.names = append(s.names, string(m[1])+string(m[2]))
	}
	if bytes.Contains(text, []byte("__has_")) {
		for _, m := range hasInclude.FindAllSubmatch(text, -1) {
			if name := string(m[1]) + string(m[2]); name != "" {
				s.names, s.asked = append(s.names, name), append(s.asked, name)
			} else {
				s.computed = true
			}
		}
	}
	return s
}
