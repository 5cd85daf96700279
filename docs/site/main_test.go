package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	href = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	id   = regexp.MustCompile(` id="([^"]*)"`)
)

// The site is whole: every link leads to a file of it and to an anchor that
// exists, or to the repository. The same pages give the same bytes.
func TestSite(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := write("v1.0.0", dir); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{}
	err := filepath.WalkDir(first, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(first, name)
		b, err := os.ReadFile(name)
		files[filepath.ToSlash(rel)] = string(b)
		if again, err := os.ReadFile(filepath.Join(second, rel)); err != nil || string(again) != string(b) {
			t.Errorf("%s differs when it is written again (%v)", rel, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for name, text := range files {
		if path.Ext(name) != ".html" {
			continue
		}
		for _, m := range href.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				if !strings.HasPrefix(m[1], repository) && strings.HasPrefix(m[0], "src") {
					t.Errorf("%s loads %s", name, m[1])
				}
				continue
			}
			links++
			to, fragment, _ := strings.Cut(m[1], "#")
			target := path.Join(path.Dir(name), to)
			if to == "" {
				target = name
			}
			if _, ok := files[target]; !ok {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			} else if fragment != "" && !hasID(files[target], fragment) {
				t.Errorf("%s: the link %s leads to no heading", name, m[1])
			}
		}
		if strings.Contains(text, "raw HTML omitted") {
			t.Errorf("%s has HTML of its own", name)
		}
	}
	if links < 1000 {
		t.Errorf("only %d links were checked", links)
	}
}

func hasID(text, want string) bool {
	for _, m := range id.FindAllStringSubmatch(text, -1) {
		if m[1] == want {
			return true
		}
	}
	return false
}
