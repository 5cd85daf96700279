package audit

import (
	"errors"
	"testing"
)

func TestEditStage(t *testing.T) {
	for _, c := range []struct{ name, src, add, remove, want string }{
		{"first", "stage \"exec\" \"a\" {\n  script = \"x\" # why\n}\n", "f", "",
			"stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n  script = \"x\" # why\n}\n"},
		{"one line", "stage \"exec\" \"a\" { script = \"x\" }\n", "f", "",
			"stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n  script = \"x\"\n}\n"},
		{"empty block", "stage \"exec\" \"a\" {}\n", "f", "", "stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n}\n"},
		{"empty list", "stage \"exec\" \"a\" {\n  inputs = []\n}\n", "f", "", "stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n}\n"},
		{"behind", "stage \"exec\" \"a\" {\n  inputs = [\"e\"] # all\n}\n", "f", "", "stage \"exec\" \"a\" {\n  inputs = [\"e\", \"f\"] # all\n}\n"},
		{"there already", "stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n}\n", "f", "", "stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n}\n"},
		{"lines", "stage \"exec\" \"a\" {\n  inputs = [\n    \"e\", # e\n  ]\n}\n", "f", "",
			"stage \"exec\" \"a\" {\n  inputs = [\n    \"e\", # e\n    \"f\",\n  ]\n}\n"},
		{"lines without a comma", "stage \"exec\" \"a\" {\n  inputs = [\n    \"e\" # e\n  ]\n}\n", "f", "",
			"stage \"exec\" \"a\" {\n  inputs = [\n    \"e\", # e\n    \"f\",\n  ]\n}\n"},
		{"computed", "stage \"exec\" \"a\" {\n  inputs = glob(\"*.x\")\n}\n", "f", "",
			"stage \"exec\" \"a\" {\n  inputs = concat(glob(\"*.x\"), [\"f\"])\n}\n"},
		{"escaped", "stage \"exec\" \"a\" {}\n", `a"${b}`, "", "stage \"exec\" \"a\" {\n  inputs = [\"a\\\"$${b}\"]\n}\n"},
		{"remove first", "stage \"exec\" \"a\" {\n  inputs = [\"e\", \"f\"]\n}\n", "", "e", "stage \"exec\" \"a\" {\n  inputs = [\"f\"]\n}\n"},
		{"remove last", "stage \"exec\" \"a\" {\n  inputs = [\"e\", \"f\"]\n}\n", "", "f", "stage \"exec\" \"a\" {\n  inputs = [\"e\"]\n}\n"},
		{"remove only", "stage \"exec\" \"a\" {\n  inputs = [\"e\"]\n}\n", "", "e", "stage \"exec\" \"a\" {\n  inputs = []\n}\n"},
		{"remove line", "stage \"exec\" \"a\" {\n  inputs = [\n    \"e\",\n    \"f\",\n  ]\n}\n", "", "e", "stage \"exec\" \"a\" {\n  inputs = [\n    \"f\",\n  ]\n}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := editStage([]byte(c.src), "exec", "a", "inputs", c.add, c.remove)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, c.want)
			}
		})
	}
	if _, err := editStage([]byte("stage \"exec\" \"b\" {}\n"), "exec", "a", "inputs", "f", ""); !errors.Is(err, errNoStage) {
		t.Errorf("no such stage: %v", err)
	}
	if _, err := editStage([]byte("stage \"exec\" \"a\" {\n  inputs = glob(\"*\")\n}\n"), "exec", "a", "inputs", "", "x"); !errors.Is(err, errNotLiteral) {
		t.Errorf("computed list: %v", err)
	}
}
