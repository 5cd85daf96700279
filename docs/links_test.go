package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/docs/internal/anchor"
)

// A link to a place in the repository: [text](target).
var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inline  = regexp.MustCompile("`[^`\n]*`")
)

// Every link of README.md, CHANGELOG.md and the pages leads to a file that
// exists and, with a fragment, to one of its headings.
func TestLinks(t *testing.T) {
	files := []string{"../README.md", "../CHANGELOG.md"}
	for _, pattern := range []string{"*.md", "*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages match %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	links := 0
	for _, name := range files {
		text := inline.ReplaceAllString(fenced.ReplaceAllString(read(t, name), ""), "code")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			to, fragment, _ := strings.Cut(m[1], "#")
			file := filepath.Join(filepath.Dir(name), filepath.FromSlash(to))
			if to == "" {
				file = name
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			} else if fragment != "" && !hasHeading(read(t, file), fragment) {
				t.Errorf("%s: the link %s leads to no heading", name, m[1])
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were checked", links)
	}
}

func hasHeading(text, fragment string) bool {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if anchor.Of(m[1]) == fragment {
			return true
		}
	}
	return false
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
