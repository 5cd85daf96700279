//go:build !loud

package main

const volume = "quiet"
