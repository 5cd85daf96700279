package project

import "testing"

func TestReleaseOf(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "dev": "dev", "": "",
		"v0.0.0-20261121183242-87625f858f52":       "",
		"v0.0.0-20261121183242-87625f858f52+dirty": "",
		"v0.1.1-0.20261121183242-87625f858f52":     "",
		"c45bdfb":                                  "", "c45bdfb-dirty": "", "v0.1.0-12-gc45bdfb": "0.1.0", "v0.1.0-dirty": "0.1.0",
		"v0.2.0-rc.1": "0.2.0-rc.1", "v0.2.0-rc.1-3-gc45bdfb-dirty": "0.2.0-rc.1", "0.1": "0.1",
	} {
		if got := releaseOf(version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
