package local

import (
	"regexp"
	"slices"
	"testing"
)

// TestMissedWords: of a message that something is missing, the words that name
// it are taken for paths, and not the message's own.
func TestMissedWords(t *testing.T) {
	for text, want := range map[string][]string{
		"src/x.c:1:10: fatal error: gone.h: No such file or directory": {"src/x.c", "gone.h"},
		"cat: data: No such file or directory":                         {"data"},
		"ls: cannot access 'data': No such file or directory":          {"data"},
		"python3: can't open file '/p/x.py': [Errno 2] No such file":   {"/p/x.py"},
		`exec: "protoc": executable file not found in $PATH`:           {"protoc"},
		"bash: protoc: command not found":                              {"protoc"},
		"error: not found: config":                                     {"config"},
		"could not open directory include and test":                    nil,
		"open ../shared/s: no such file or directory":                  {"../shared/s"},
		"the module was not found in file":                             nil,
		"all is well in data/x":                                        nil,
	} {
		var got []string
		for _, w := range missedIn(line{text: text}, regexp.MustCompile(missing), regexp.MustCompile(named)) {
			got = append(got, w.text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
