package ui

import "strings"

// lines splits a log into its lines, without a last empty one.
func lines(s string) []string {
	s = strings.TrimRight(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// tail returns the last n lines and how many come before them.
func tail(all []string, n int) (last []string, before int) {
	if len(all) <= n {
		return all, 0
	}
	return all[len(all)-n:], len(all) - n
}
