package binary

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareVersions compares versions of numbers and dots, as C libraries and
// kernels have them: "2.9" < "2.34". What follows the numbers ("6.1.0-18") does
// not count; a missing number is 0.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y int
		x, a = number(a)
		y, b = number(b)
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// number takes the first number of a version away.
func number(s string) (int, string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(s[:n])
	if err != nil || n == len(s) || s[n] != '.' {
		return v, ""
	}
	return v, s[n+1:]
}

// CompareLevels compares levels of one architecture: "v1" to "v4" of amd64,
// "v8.0" to "v9.5" of arm64.
func CompareLevels(a, b string) int {
	return CompareVersions(strings.TrimPrefix(a, "v"), strings.TrimPrefix(b, "v"))
}

// HighestProvided is the highest symbol version with a prefix that a library
// has, without the prefix: "2.36" for "GLIBC_"; empty if there is none.
func (r *Report) HighestProvided(prefix string) string {
	best := ""
	for name := range r.provides {
		v, ok := strings.CutPrefix(name, prefix)
		if ok && startsWithDigit(v) && CompareVersions(v, best) > 0 {
			best = v
		}
	}
	return best
}
