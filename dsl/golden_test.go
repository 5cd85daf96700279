package dsl

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file, or rewrites the file.
func golden(t testing.TB, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v (-update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it)\n--- got\n%s\n--- want\n%s", name, got, want)
	}
}

// goldenInputs lists the files that end in from, and fails for a file that
// ends in to and has no input.
func goldenInputs(t testing.TB, dir, from, to string) []string {
	t.Helper()
	inputs, err := filepath.Glob(filepath.Join(dir, "*"+from))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs %s/*%s: %v", dir, from, err)
	}
	outputs, err := filepath.Glob(filepath.Join(dir, "*"+to))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range outputs {
		if strings.HasSuffix(name, from) {
			continue
		}
		if !slices.Contains(inputs, strings.TrimSuffix(name, to)+from) {
			t.Errorf("%s has no input", name)
		}
	}
	return inputs
}
