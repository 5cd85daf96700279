// Package greet holds the greeting.
package greet

// Hello returns the greeting for who.
func Hello(who string) string { return "Hello, " + who + "!" }
