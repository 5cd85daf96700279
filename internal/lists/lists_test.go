package lists

import (
	"maps"
	"slices"
	"strconv"
	"testing"
)

func TestMap(t *testing.T) {
	if got := Map([]int{3, 1, 2}, strconv.Itoa); !slices.Equal(got, []string{"3", "1", "2"}) {
		t.Errorf("got %q", got)
	}
	if got := Map([]int{}, strconv.Itoa); got != nil {
		t.Errorf("of nothing: got %q", got)
	}
}

func TestSets(t *testing.T) {
	size := func(s string) int { return len(s) }
	if got := Set([]string{"a", "b", "a"}); !maps.Equal(got, map[string]bool{"a": true, "b": true}) {
		t.Errorf("Set: got %v", got)
	}
	if got := SetBy([]string{"a", "b", "ab"}, size); !maps.Equal(got, map[int]bool{1: true, 2: true}) {
		t.Errorf("SetBy: got %v", got)
	}
	if got := By([]string{"a", "b", "ab"}, size); !maps.Equal(got, map[int]string{1: "b", 2: "ab"}) {
		t.Errorf("By: got %v", got)
	}
	if got := Set[string](nil); got == nil || len(got) != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}
