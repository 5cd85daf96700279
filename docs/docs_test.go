package docs

import (
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	for name, want := range map[string]string{
		"bundles":            "bundles",
		"go_build":           "reference/go_build",
		"reference/go_build": "reference/go_build",
		"docs/cli.md":        "cli",
		"reference":          "reference",
		"how-to":             "how-to",
		"roll-back":          "how-to/roll-back",
		"deploy":             "deploy",
		"reference/deploy":   "reference/deploy",
		"nothing":            "",
	} {
		page, others, ok := Find(name)
		if page.Topic != want || ok != (want != "") {
			t.Errorf("%s finds %q, want %q", name, page.Topic, want)
		}
		if name == "deploy" && strings.Join(others, " ") != "reference/deploy" {
			t.Errorf("%s has the others %q", name, others)
		}
	}
}

func TestPagesHaveTitles(t *testing.T) {
	all := Pages()
	if len(all) < 50 {
		t.Errorf("only %d pages are embedded", len(all))
	}
	for _, p := range all {
		if p.Title == "" || strings.HasPrefix(p.Title, "#") || !strings.HasPrefix(p.Text, "# ") {
			t.Errorf("%s has the title %q", p.Topic, p.Title)
		}
	}
}

func TestPlain(t *testing.T) {
	long := strings.Repeat("long ", 25)
	for in, want := range map[string]string{
		"# A\n\n<!-- schema: x -->\nText with [a\nlink](b.md#c), **bold** and `code`.\n<!-- end -->\n": "# A\n\nText with a\nlink, bold and `code`.\n",
		"```hcl\na = [b](c)\n\nb = 1\n```\nend\n":                                                      "    a = [b](c)\n\n    b = 1\nend\n",
		"| a | b |\n|---|---|\n| `x\\|y` | [1](2) |\n| z | |\n":                                        "a      b\n`x|y`  1\nz\n",
		"| | |\n|---|---|\n| a | b |\n":                                                                "a  b\n",
		"| n | v | default | m |\n|---|---|---|---|\n| a | string | 1 | " + long + "|\n":               "a  string  (default: 1)\n    " + strings.TrimSpace(strings.Repeat("long ", 19)) + "\n    " + strings.TrimSpace(strings.Repeat("long ", 6)) + "\n",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}
