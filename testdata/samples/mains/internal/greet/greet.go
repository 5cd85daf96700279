// Package greet holds the greetings.
package greet

import (
	"embed"
	"strings"
)

//go:embed texts
var texts embed.FS

// Hello returns the greeting for who.
func Hello(who string) string {
	text, err := texts.ReadFile("texts/hello.txt")
	if err != nil {
		return "hello, " + who
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "WHO", who)
}
