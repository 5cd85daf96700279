package gocache

import (
	"errors"
	"fmt"
	"strings"
)

// quote writes a command line as GOCACHEPROG wants it (cmd/internal/quoted):
// fields between blanks, or between quotes of one kind, in which nothing is
// escaped.
func quote(args []string) (string, error) {
	fields := make([]string, len(args))
	for i, a := range args {
		switch {
		case a != "" && !strings.ContainsAny(a, " \t\r\n'\""):
			fields[i] = a
		case !strings.Contains(a, "'"):
			fields[i] = "'" + a + "'"
		case !strings.Contains(a, `"`):
			fields[i] = `"` + a + `"`
		default:
			return "", fmt.Errorf("%s: %w", a, errQuotes)
		}
	}
	return strings.Join(fields, " "), nil
}

var errQuotes = errors.New("a path with both kinds of quotes cannot be passed to the go command")
