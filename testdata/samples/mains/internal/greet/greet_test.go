package greet

import (
	"os"
	"strings"
	"testing"
)

func TestHello(t *testing.T) {
	want, err := os.ReadFile("testdata/golden/hello.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := Hello("test"); got != strings.TrimSpace(string(want)) {
		t.Errorf("Hello is %q, want %q", got, want)
	}
}
