package language_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/docs/language"
)

func TestFind(t *testing.T) {
	for text, want := range map[string]string{
		"The file is no archive.":                         "is no X",
		"There is no archive.":                            "",
		"It is no longer used.":                           "",
		"The reason is told.":                             "tell",
		"A tree that is there already stays.":             "is there",
		"Is there a reason?":                              "",
		"The signature is put beside it.":                 "beside",
		"The key hangs\non the platform.":                 "hangs on",
		"It is compiled anew.":                            "anew",
		"Each blob is held against its digest.":           "hold against",
		"The report says how to mend it.":                 "mend",
		"Jobs: one a processor.":                          "one a step",
		"Jobs: one per processor.":                        "",
		"Whoever reads it may write it.":                  "who asks",
		"Users who need it set the flag.":                 "",
		"Of a tag, the digits count.":                     "fronted Of",
		"It fails. What is missing is downloaded.":        "bare What",
		"What does it do? It builds.":                     "",
		"Every host comes to the same result.":            "come to",
		"--key wants a name.":                             "wants",
		"All but for one are gone.":                       "but for",
		"The run goes on.":                                "go on",
		"It does without a network.":                      "do without",
		"The store takes in the bundle.":                  "take in",
		"It is built all the same.":                       "all the same",
		"The cache key depends on the compiler's version": "",
	} {
		hits, _ := language.Find(text)
		var got []string
		for _, h := range hits {
			got = append(got, h.Phrase.Name)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q has %q, want %q", text, got, want)
		}
	}
}

// limit is how many of the phrases may stand in 10,000 words, of pages and of
// the string literals of code.
const limit = 10

// README.md, CHANGELOG.md and docs have few of the phrases.
func TestDocs(t *testing.T) {
	total, words := 0, 0
	root := filepath.Join("..", "..")
	for _, name := range pages(t, root) {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		hits, n := language.Find(language.Markdown(string(b)))
		total, words = total+len(hits), words+n
		for _, h := range hits {
			t.Logf("%s: %s: %q (use: %s)", name, h.Phrase.Name, h.Text, h.Phrase.Use)
		}
		t.Logf("%s: %d in %d words", name, len(hits), n)
	}
	t.Logf("%d in %d words: %.1f per 10,000", total, words, 10000*float64(total)/float64(words))
	if total*10000 > words*limit {
		t.Errorf("%d phrases of language.Phrases in %d words of README.md and docs; at most %d in 10,000 (go test -v lists them)", total, words, limit)
	}
}

// pages are those of docs, README.md, CHANGELOG.md and the one of the example.
func pages(t *testing.T, root string) []string {
	t.Helper()
	names := []string{"README.md", "CHANGELOG.md", "examples/hello/README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(name) == ".md" {
			rel, _ := filepath.Rel(root, name)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
