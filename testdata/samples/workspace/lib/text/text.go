// Package text is shared by the program and the generator.
package text

import "strings"

// Title returns s with a capital at its start.
func Title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
