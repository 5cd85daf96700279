package bundling

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/sign"
)

func TestRunLine(t *testing.T) {
	line, needs := RunLine(map[string]string{
		"file": "ci/Airbuildfile", "targets": "release bin[linux/amd64]", "environment": "prod",
		"variables": "channel token", valuePrefix + "channel": "it's new", "pass-env": "CC",
	})
	if want := `airbuild run --file ci/Airbuildfile release 'bin[linux/amd64]' --environment prod --var 'channel=it'\''s new' --offline`; line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	if len(needs) != 2 || !strings.Contains(needs[0], `"token"`) || !strings.Contains(needs[0], dsl.EnvPrefix+"token") || !strings.Contains(needs[1], "CC") {
		t.Errorf("needs %q", needs)
	}
	if line, needs := RunLine(nil); line != "airbuild run --offline" || needs != nil {
		t.Errorf("of nothing: %q, %q", line, needs)
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "dist/app-1.0_x@y%z": "dist/app-1.0_x@y%z", "a b": "'a b'", "$HOME": "'$HOME'",
		"a'b": `'a'\''b'`, "ä": "'ä'", "a\nb": "'a\nb'", "~": "'~'",
	} {
		if got := ShellWord(word); got != want {
			t.Errorf("ShellWord(%q) = %s, want %s", word, got, want)
		}
	}
}

// A secret, or what is too long, is named in metadata without its value.
func TestMetadata(t *testing.T) {
	v := &variables{
		names: []string{"long", "short", "token"}, pass: []string{"CC", "CXX"},
		plain: map[string]string{"short": "x", "long": strings.Repeat("x", maxValue+1)},
	}
	got := v.metadata("prod")
	want := map[string]string{"environment": "prod", "variables": "long short token", "variable.short": "x", "pass-env": "CC CXX"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (&variables{}).metadata(""); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestAssigned(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"a.hcl", "a = 1\nb = [\n  2,\n]\n", "a b"},
		{"a.json", `{"a": 1, "b": {"c": 2}}`, "a b"},
		{"a.json", `{`, ""},
	} {
		got := assigned(test.name, []byte(test.text))
		slices.Sort(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s %q: got %q, want %q", test.name, test.text, got, test.want)
		}
	}
}

func TestSetText(t *testing.T) {
	var file strings.Builder
	setText(&file, &dsl.Variable{Name: "text", Type: cty.String}, `a "${b}"`)
	setText(&file, &dsl.Variable{Name: "any", Type: cty.DynamicPseudoType}, "1")
	setText(&file, &dsl.Variable{Name: "list", Type: cty.List(cty.String)}, `["a"]`)
	if got, want := file.String(), "text = \"a \\\"$${b}\\\"\"\nany = \"1\"\nlist = [\"a\"]\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestVariableEnv(t *testing.T) {
	v := &dsl.Variable{Name: "channel", Env: "CHANNEL"}
	for _, test := range []struct {
		env         map[string]string
		name, value string
	}{
		{map[string]string{dsl.EnvPrefix + "channel": "", "CHANNEL": "x"}, dsl.EnvPrefix + "channel", ""},
		{map[string]string{"CHANNEL": "x"}, "CHANNEL", "x"},
		{map[string]string{"CHANNEL": ""}, "", ""}, // an empty one is not set
		{nil, "", ""},
	} {
		name, value := variableEnv(func(n string) (string, bool) { v, ok := test.env[n]; return v, ok }, v)
		if name != test.name || value != test.value {
			t.Errorf("%v: got %s=%s, want %s=%s", test.env, name, value, test.name, test.value)
		}
	}
}

func TestOfTheHost(t *testing.T) {
	for name, want := range map[string]bool{"PATH": true, "GOFLAGS": true, "AIRBUILD_CACHE": true, "CC": false, "AIRBUILD_VAR_x": false} {
		if got := ofTheHost(action.EnvVar{Name: name}); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestLackingKeys(t *testing.T) {
	ring := sign.OpenKeyring(t.TempDir())
	here, err := ring.New("site", sign.NewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there, err := sign.OpenKeyring(t.TempDir()).New("other", sign.NewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if needs := LackingKeys(ring, keysText(map[string]sign.PublicKey{"site": here})); len(needs) != 0 {
		t.Errorf("nothing is lacking: %q", needs)
	}
	text := keysText(map[string]sign.PublicKey{"site": there, "gone": there}) + " ../x=1"
	needs := LackingKeys(ring, text)
	if len(needs) != 2 || !strings.Contains(needs[0], "key trust FILE --name gone") || !strings.Contains(needs[1], here.ID().String()) {
		t.Errorf("%s: %q", text, needs)
	}
}

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		hint string
	}{
		{bundle.ErrUnsigned, exit.Unverified, "--allow-unsigned"},
		{bundle.ErrOlder, exit.Unverified, "--allow-older"},
		{bundle.ErrBase, exit.Unverified, "bundle receipt"},
		{bundle.ErrMissing, exit.Unverified, "Bring what is missing"},
		{bundle.ErrRefused, exit.Unverified, ""},
		{fs.ErrNotExist, exit.Usage, ""},
		{bundle.ErrSpace, exit.Failed, "Make space"},
		{errors.New("disk on fire"), exit.Failed, ""},
	} {
		got := Explain(fmt.Errorf("open: %w", test.err))
		if code, show := exit.Code(got); code != test.code || show == nil || !strings.Contains(show.Error(), test.hint) || !errors.Is(got, test.err) {
			t.Errorf("%v: code %d, %v", test.err, code, got)
		}
	}
	if err := Explain(nil); err != nil {
		t.Error(err)
	}
}
