//go:build loud

package main

const volume = "loud"
