// Package greet is served by a private proxy only.
package greet

// Hello greets who.
func Hello(who string) string { return "hello from the inside, " + who }
