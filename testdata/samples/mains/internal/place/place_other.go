//go:build !windows && !linux

package place

const name = "elsewhere"
