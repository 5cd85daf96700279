package main

import (
	"io"
	"strings"
	"text/tabwriter"
)

// writeTable writes what rows gives, cells separated by tabs, in columns.
func (a *app) writeTable(rows func(io.Writer)) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	rows(w)
	if err := w.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(a.out, out.String())
	return err
}
