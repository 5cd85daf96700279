package format

import "testing"

func TestVolumeNumber(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"yq-001-of-003.tar": 1, "volume-012-of-120": 12, "a-of-b-9999-of-9999.tar": 9999, "-002-of-002": 2,
		"yq.tar": 0, "yq-1-of-3.tar": 0, "yq-001-of-.tar": 0, "001-of-003.tar": 0, "yq-00x-of-003.tar": 0, "yq-00001-of-00002": 0, "": 0,
	} {
		if got := VolumeNumber(name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
}
