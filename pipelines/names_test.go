package pipelines

import (
	"strings"
	"testing"
)

func TestBadName(t *testing.T) {
	for _, good := range []string{"a", "console", "com", "com10", "com0x", "lpt", "auxiliary.txt", ".con", "a.con", "nul_", "a b", "ä", "..a"} {
		if why := badName(good); why != "" {
			t.Errorf("%q: %s", good, why)
		}
	}
	for _, bad := range []string{"con", "CON", "aux.txt", "Nul.tar.gz", "com1", "LPT9.x", "com²", "con .txt", "conin$", "a.", "a ", "a:b", "x?", "a*", "a|b", "<", `"`} {
		if badName(bad) == "" {
			t.Errorf("%q passes", bad)
		}
	}
}

// Names that are one on some hosts are a mistake on all.
func TestOutputNamesOfAllHosts(t *testing.T) {
	two := func(a, b string) string {
		return "stage \"make\" \"a\" {\n  output = \"" + a + "\"\n}\n\nstage \"make\" \"b\" {\n  output = \"" + b + "\"\n}\n"
	}
	for text, want := range map[string]string{
		two("x.txt", "X.txt"):         "a makes dist/x.txt and b makes dist/X.txt: the names differ in case only",
		two("Sub/x", "sub/y"):         "differ in case only",
		two("ÄB", "äb"):               "differ in case only",
		two("x", "aux.txt"):           "b would make dist/aux.txt, which Windows cannot hold",
		two("x", "con/y"):             "b would make dist/con, which Windows cannot hold",
		two("x.txt", "y.TXT"):         "",
		two("Sub/x", "Sub/y"):         "",
		two("Release/A", "Release/B"): "",
	} {
		f := &fixture{files: map[string]string{"Airbuildfile": text}}
		_, diags := f.load()
		if got := diags.Error(); want == "" && diags.HasErrors() || !strings.Contains(got, want) {
			t.Errorf("%s\n%s", text, got)
		}
	}
}
