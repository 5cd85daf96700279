package main

import "testing"

func TestReleaseOf(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "dev": "dev", "": "",
		"v0.0.0-20261121183242-87625f858f52":       "",
		"v0.0.0-20261121183242-87625f858f52+dirty": "",
		"v0.1.1-0.20261121183242-87625f858f52":     "",
	} {
		if got := releaseOf(version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
