package greet

import "testing"

func TestHello(t *testing.T) {
	if got, want := Hello("you"), "Hello, you!"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
