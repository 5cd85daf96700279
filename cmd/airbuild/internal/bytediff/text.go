package bytediff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/airbuild/airbuild/internal/lists"
)

// isText reports whether a file is for reading.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b })
}

// text compares two texts line by line.
func (c *comparer) text(a, b []byte, where []string) bool {
	if !isText(a) || !isText(b) {
		return false
	}
	x, y := strings.SplitAfter(string(a), "\n"), strings.SplitAfter(string(b), "\n")
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	was, is := line(x, i), line(y, i)
	column := utf8.RuneCountInString(was[:firstDifference([]byte(was), []byte(is))]) + 1
	cause := ""
	switch {
	case permuted(x, y) || permuted(trimmed(x), trimmed(y)):
		cause = unordered
	case strings.ReplaceAll(string(a), "\r\n", "\n") == strings.ReplaceAll(string(b), "\r\n", "\n"):
		cause = "line ends: one has carriage returns"
	default:
		cause = c.cause(was, is)
	}
	c.add(deeper(where, "line %d, column %d", i+1, column), "text", strings.TrimRight(was, "\r\n"), strings.TrimRight(is, "\r\n"), -1, cause)
	c.moreLines(x, y, i+1, where, cause)
	return true
}

// moreLines adds the further lines that differ for another reason.
func (c *comparer) moreLines(x, y []string, from int, where []string, said string) {
	if len(x) != len(y) {
		return
	}
	for i := from; i < len(x); i++ {
		if x[i] == y[i] {
			continue
		}
		cause := c.cause(x[i], y[i])
		if cause == said || said == unordered {
			continue
		}
		said = cause
		column := utf8.RuneCountInString(x[i][:firstDifference([]byte(x[i]), []byte(y[i]))]) + 1
		c.add(deeper(where, "line %d, column %d", i+1, column), "text", strings.TrimRight(x[i], "\r\n"), strings.TrimRight(y[i], "\r\n"), -1, cause)
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// trimmed are the lines without their ends and without what separates list
// elements, so that the last one is like the others.
func trimmed(lines []string) []string {
	var out []string
	for _, l := range lines {
		if l = strings.TrimRight(strings.TrimSpace(l), ",;"); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// json compares two JSON documents value by value.
func (c *comparer) json(a, b []byte, where []string) bool {
	looks := func(d []byte) bool {
		d = bytes.TrimSpace(d)
		return len(d) > 1 && (d[0] == '{' || d[0] == '[')
	}
	if !looks(a) || !looks(b) {
		return false
	}
	x, y := decodeJSON(a), decodeJSON(b)
	if x == nil || y == nil {
		return false
	}
	before := len(c.out)
	c.values(x, y, "$", where)
	if len(c.out) > before {
		return true
	}
	var p, q bytes.Buffer
	if json.Compact(&p, a) == nil && json.Compact(&q, b) == nil && bytes.Equal(p.Bytes(), q.Bytes()) {
		c.add(where, "white space", "", "", int64(firstDifference(a, b)), "")
		return true
	}
	c.add(where, "order of keys", "", "", int64(firstDifference(a, b)), unordered)
	return true
}

func decodeJSON(b []byte) any {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil
	}
	return v
}

func (c *comparer) values(x, y any, path string, where []string) {
	switch x := x.(type) {
	case map[string]any:
		if y, ok := y.(map[string]any); ok {
			keys := maps.Clone(x)
			maps.Copy(keys, y)
			for _, k := range slices.Sorted(maps.Keys(keys)) {
				c.member(x, y, k, path+"."+k, where)
			}
			return
		}
	case []any:
		if y, ok := y.([]any); ok && len(x) == len(y) {
			if permuted(texts(x), texts(y)) {
				c.add(deeper(where, "at %s", path), "order", jsonText(x), jsonText(y), -1, unordered)
				return
			}
			for i := range x {
				c.values(x[i], y[i], fmt.Sprintf("%s[%d]", path, i), where)
			}
			return
		}
	}
	was, is := jsonText(x), jsonText(y)
	if was != is {
		c.add(deeper(where, "at %s", path), "value", was, is, -1, c.cause(was, is))
	}
}

func (c *comparer) member(x, y map[string]any, k, path string, where []string) {
	v, inX := x[k]
	w, inY := y[k]
	switch {
	case !inX:
		c.add(deeper(where, "at %s", path), "only in the second", "", jsonText(w), -1, "")
	case !inY:
		c.add(deeper(where, "at %s", path), "only in the first", jsonText(v), "", -1, "")
	default:
		c.values(v, w, path, where)
	}
}

func texts(list []any) []string {
	return lists.Map(list, jsonText)
}

// jsonText is a value as JSON, with the keys of objects sorted.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
