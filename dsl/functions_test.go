package dsl

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// functionRows are calls and their results, as JSON, or a part of the error's
// text after "error: ". Every function has one at least.
var functionRows = []struct{ name, call, want string }{
	{"abs", `abs(-2.5)`, `2.5`},
	{"alltrue", `alltrue([true, "true"])`, `true`},
	{"alltrue", `alltrue([])`, `true`},
	{"alltrue", `alltrue([true, false])`, `false`},
	{"alltrue", `alltrue([true, null])`, `false`},
	{"anytrue", `anytrue([false, true])`, `true`},
	{"anytrue", `anytrue([])`, `false`},
	{"anytrue", `anytrue([false, null])`, `false`},
	{"base64decode", `base64decode("aMOp")`, `"hé"`},
	{"base64decode", `base64decode("/w==")`, `error: not UTF-8`},
	{"base64decode", `base64decode("?")`, `error: not base64`},
	{"base64encode", `base64encode("hé")`, `"aMOp"`},
	{"base64sha256", `base64sha256("a")`, `"ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="`},
	{"basename", `basename("a/b.txt")`, `"b.txt"`},
	{"can", `can(tonumber("x"))`, `false`},
	{"can", `can(1 + 1)`, `true`},
	{"ceil", `ceil(1.1)`, `2`},
	{"chomp", `chomp("a\r\n\n")`, `"a"`},
	{"chunklist", `chunklist([1, 2, 3], 2)`, `[[1,2],[3]]`},
	{"coalesce", `coalesce(null, "", "b")`, `"b"`},
	{"coalesce", `coalesce(null, 0)`, `0`},
	{"coalesce", `coalesce("", null)`, `error: every value is null or an empty string`},
	{"coalescelist", `coalescelist([], ["a"])`, `["a"]`},
	{"compact", `compact(["a", "", null, "b"])`, `["a","b"]`},
	{"concat", `concat([1], ["a", "b"])`, `[1,"a","b"]`},
	{"contains", `contains(["a", "b"], "b")`, `true`},
	{"contains", `contains(["a"], "b")`, `false`},
	{"csvdecode", `csvdecode("a,b\n1,2\n")`, `[{"a":"1","b":"2"}]`},
	{"dirname", `dirname("a/b/c.txt")`, `"a/b"`},
	{"dirname", `dirname("c.txt")`, `"."`},
	{"distinct", `distinct(["b", "a", "b"])`, `["b","a"]`},
	{"element", `element(["a", "b"], 3)`, `"b"`},
	{"endswith", `endswith("v1.exe", ".exe")`, `true`},
	{"endswith", `endswith("v1", ".exe")`, `false`},
	{"file", `file("docs/a.md")`, `"A\n"`},
	{"file", `file("./docs/../docs/a.md")`, `"A\n"`},
	{"file", `file("docs/b.md")`, `error: there is no file "docs/b.md" in the project`},
	{"file", `file("../a.md")`, `error: outside the project`},
	{"file", `file("/etc/passwd")`, `error: outside the project`},
	{"file", `file("docs\\a.md")`, `error: forward slashes`},
	{"file", `file("")`, `error: empty`},
	{"file", `file("docs")`, `error: cannot be read`},
	{"file", `file("binary")`, `error: not UTF-8 text`},
	{"filebase64", `filebase64("binary")`, `"/w=="`},
	{"fileexists", `[fileexists("docs/a.md"), fileexists("docs/b.md")]`, `[true,false]`},
	{"fileexists", `fileexists("docs")`, `error: is not a file`},
	{"fileexists", `fileexists("../x")`, `error: outside the project`},
	{"filesha256", `filesha256("binary")`, `"a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"`},
	{"flatten", `flatten([["a"], [["b"], "c"]])`, `["a","b","c"]`},
	{"floor", `floor(-1.1)`, `-2`},
	{"format", `format("%s-%03d %t", "a", 7, true)`, `"a-007 true"`},
	{"formatdate", `formatdate("YYYY-MM-DD hh:mm", "2026-01-02T03:04:05Z")`, `"2026-01-02 03:04"`},
	{"formatlist", `formatlist("%s.%s", "a", ["x", "y"])`, `["a.x","a.y"]`},
	{"glob", `glob("**/*.md")`, `["README.md","docs/a.md","docs/deep/c.md"]`},
	{"glob", `glob("docs/*")`, `["docs/a.md"]`},
	{"glob", `glob("*.none")`, `[]`},
	{"glob", `glob("{docs,none}/a.md")`, `["docs/a.md"]`},
	{"glob", `glob("../**")`, `error: outside the project`},
	{"glob", `glob("[")`, `error: cannot be used`},
	{"indent", `indent(2, "a\nb")`, `"a\n  b"`},
	{"index", `index(["a", "b", "b"], "b")`, `1`},
	{"index", `index(["a"], "b")`, `error: not in the list`},
	{"index", `index({ a = 1 }, 1)`, `error: a list is needed`},
	{"join", `join(", ", ["a", "b"], ["c"])`, `"a, b, c"`},
	{"jsondecode", `jsondecode("{\"a\":[1,null]}")`, `{"a":[1,null]}`},
	{"jsonencode", `jsonencode({ b = [1, true], a = null })`, `"{\"a\":null,\"b\":[1,true]}"`},
	{"keys", `keys({ b = 1, a = 2 })`, `["a","b"]`},
	{"length", `[length("hé"), length([1, 2]), length({ a = 1 }), length(tomap({})), length(toset(["a", "a"]))]`, `[2,2,1,0,1]`},
	{"length", `length(5)`, `error: a collection or string is needed`},
	{"log", `log(8, 2)`, `3`},
	{"lookup", `lookup({ a = 1 }, "a", 2)`, `1`},
	{"lookup", `lookup({ a = 1 }, "b", 2)`, `2`},
	{"lookup", `lookup(tomap({ a = 1 }), "b", "2")`, `2`},
	{"lookup", `lookup(tomap({ a = 1 }), "b", "x")`, `error: the default must be a number`},
	{"lookup", `lookup({ alpha = 1 }, "alpa")`, `error: there is no "alpa". Did you mean "alpha"?`},
	{"lookup", `lookup({}, "a", 1, 2)`, `error: one default at most`},
	{"lookup", `lookup([], "a", 1)`, `error: a map is needed`},
	{"lower", `lower("AÉ")`, `"aé"`},
	{"matchkeys", `matchkeys(["a", "b", "c"], ["x", "y", "x"], ["x"])`, `["a","c"]`},
	{"matchkeys", `matchkeys(["a"], ["x"], [])`, `[]`},
	{"matchkeys", `matchkeys(["a"], ["x", "y"], ["x"])`, `error: same length`},
	{"max", `max(1, 3, 2)`, `3`},
	{"merge", `merge({ a = 1, b = 1 }, { b = 2 })`, `{"a":1,"b":2}`},
	{"min", `min(3, 1, 2)`, `1`},
	{"nonsensitive", `nonsensitive(sensitive("x"))`, `"x"`},
	{"nonsensitive", `nonsensitive("x")`, `"x"`},
	{"one", `[one(["a"]), one([])]`, `["a",null]`},
	{"one", `one(toset(["a"]))`, `"a"`},
	{"one", `one(["a", "b"])`, `error: there are 2 elements, not one`},
	{"one", `one("a")`, `error: a list or set is needed`},
	{"parseint", `parseint("ff", 16)`, `255`},
	{"pow", `pow(2, 10)`, `1024`},
	{"range", `range(3)`, `[0,1,2]`},
	{"range", `range(1, 6, 2)`, `[1,3,5]`},
	{"range", `range(3, 0)`, `[3,2,1]`},
	{"range", `range(-2)`, `[0,-1]`},
	{"range", `range(1, 1)`, `[]`},
	{"range", `range(5, 0, 2)`, `[]`},
	{"range", `length(range(100000))`, `100000`},
	{"range", `range(100001)`, `error: more than 100000 numbers`},
	{"range", `range(1, 2, 0)`, `error: the step must not be zero`},
	{"range", `range(1, 2, 3, 4)`, `error: give one to three numbers: limit; start and limit; or start, limit and step`},
	{"regex", `regex("v([0-9]+)\\.([0-9]+)", "v1.22")`, `["1","22"]`},
	{"regex", `regex("(?P<major>[0-9]+)", "v1")`, `{"major":"1"}`},
	{"regex", `regex("x", "y")`, `error: pattern did not match`},
	{"regexall", `regexall("[0-9]", "a1b2")`, `["1","2"]`},
	{"replace", `replace("1 + 2", "+", "-")`, `"1 - 2"`},
	{"replace", `replace("v1.2", "/v([0-9])/", "$1x")`, `".2"`},
	{"replace", `replace("v1.2", "/v([0-9])/", "$${1}x")`, `"1x.2"`},
	{"replace", `replace("a/b", "/", "-")`, `"a-b"`},
	{"reverse", `reverse([1, 2])`, `[2,1]`},
	{"semver_compare", `[semver_compare("1.10.0", "1.9.0"), semver_compare("v1.0.0", "1.0.0"), semver_compare("1.0.0-rc.1", "1.0.0")]`, `[1,0,-1]`},
	{"semver_compare", `semver_compare("1.0.0", "new")`, `error: "new" is not a version`},
	{"sensitive", `sensitive("x")`, `sensitive "x"`},
	{"setintersection", `setintersection(["a", "b"], ["b", "c"])`, `["b"]`},
	{"setproduct", `setproduct(["a", "b"], ["x"])`, `[["a","x"],["b","x"]]`},
	{"setsubtract", `setsubtract(["a", "b"], ["b"])`, `["a"]`},
	{"setunion", `setunion(["b"], ["a", "b"])`, `["a","b"]`},
	{"sha1", `sha1("a")`, `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`},
	{"sha256", `sha256("a")`, `"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"`},
	{"sha512", `substr(sha512("a"), 0, 16)`, `"1f40fc92da241694"`},
	{"signum", `[signum(-3), signum(0), signum(3)]`, `[-1,0,1]`},
	{"slice", `slice(["a", "b", "c"], 1, 3)`, `["b","c"]`},
	{"sort", `sort(["b", "a"])`, `["a","b"]`},
	{"split", `split(",", "a,b,")`, `["a","b",""]`},
	{"startswith", `startswith("v1", "v")`, `true`},
	{"startswith", `startswith("1", "v")`, `false`},
	{"strcontains", `[strcontains("abc", "bc"), strcontains("abc", "x")]`, `[true,false]`},
	{"strrev", `strrev("añb")`, `"bña"`},
	{"substr", `[substr("hello", 1, 3), substr("hello", -3, -1)]`, `["ell","llo"]`},
	{"sum", `sum([1, "2", 3.5])`, `6.5`},
	{"sum", `sum([])`, `error: nothing to add up`},
	{"sum", `sum(["a"])`, `error: every element must be a number`},
	{"sum", `sum("a")`, `error: a list of numbers is needed`},
	{"templatefile", `templatefile("hello.tmpl", { names = ["a", "b"] })`, `"Hello A! Hello B! "`},
	{"templatefile", `templatefile("hello.tmpl", {})`, `error: hello.tmpl:1:13: Unknown variable`},
	{"templatefile", `templatefile("hello.tmpl", "x")`, `error: an object is needed`},
	{"templatefile", `templatefile("recursive.tmpl", {})`, `error: recursive.tmpl:1:3: Call to unknown function`},
	{"templatefile", `templatefile("list.tmpl", {})`, `error: does not give a string`},
	{"timeadd", `timeadd("2026-01-02T03:04:05Z", "-24h")`, `"2026-01-01T03:04:05Z"`},
	{"timecmp", `timecmp("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00")`, `1`},
	{"timecmp", `timecmp("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z")`, `0`},
	{"timecmp", `timecmp("yesterday", "2026-01-02T00:00:00Z")`, `error: "yesterday" is not a time`},
	{"title", `title("hello world")`, `"Hello World"`},
	{"tobool", `tobool("true")`, `true`},
	{"tobool", `tobool("x")`, `error: to bool`},
	{"tolist", `tolist(toset(["b", "a"]))`, `["a","b"]`},
	{"tomap", `tomap({ a = 1, b = "x" })`, `{"a":"1","b":"x"}`},
	{"tonumber", `tonumber("1.5")`, `1.5`},
	{"toset", `toset(["b", "a", "b"])`, `["a","b"]`},
	{"tostring", `tostring(1.5)`, `"1.5"`},
	{"transpose", `transpose({ a = ["x", "y"], b = ["x"] })`, `{"x":["a","b"],"y":["a"]}`},
	{"transpose", `transpose({})`, `{}`},
	{"trim", `trim("--a-b-", "-")`, `"a-b"`},
	{"trimprefix", `[trimprefix("v1", "v"), trimprefix("1", "v")]`, `["1","1"]`},
	{"trimspace", `trimspace(" a\n")`, `"a"`},
	{"trimsuffix", `[trimsuffix("a.exe", ".exe"), trimsuffix("a", ".exe")]`, `["a","a"]`},
	{"try", `try(tonumber("x"), 2)`, `2`},
	{"try", `try(tonumber("x"))`, `error: no expression succeeded`},
	{"upper", `upper("aé")`, `"AÉ"`},
	{"urlencode", `urlencode("a b&c/é")`, `"a+b%26c%2F%C3%A9"`},
	{"values", `values({ b = 1, a = 2 })`, `[2,1]`},
	{"yamldecode", `yamldecode("a: [1, x]\n")`, `{"a":[1,"x"]}`},
	{"yamlencode", `yamlencode({ b = [1], a = "x" })`, `"\"a\": \"x\"\n\"b\":\n- 1\n"`},
	{"zipmap", `zipmap(["a", "b"], [1, 2])`, `{"a":1,"b":2}`},
}

// functionScope is a scope of a project with the files that the rows read.
func functionScope(t *testing.T) *Scope {
	t.Helper()
	m, diags := Load(project("", map[string]string{
		"docs/a.md": "A\n", "docs/deep/c.md": "", "README.md": "",
		"dist/out.md": "", ".git/x.md": "",
		"binary":         "\xff",
		"hello.tmpl":     `%{ for n in names }Hello ${upper(n)}! %{ endfor }`,
		"recursive.tmpl": `${templatefile("recursive.tmpl", {})}`,
		"list.tmpl":      `${[1]}`,
	}), "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, diags := m.Eval(testInputs())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s
}

// call evaluates an expression and renders its value as the rows do.
func call(t *testing.T, s *Scope, text string) string {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "row", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diags := s.CheckTraversals(expr, nil); diags.HasErrors() {
		t.Fatal(diags)
	}
	v, diags := s.Value(expr, s.EvalContext(nil))
	if diags.HasErrors() {
		return "error: " + diags[0].Detail
	}
	v, marks := v.UnmarkDeep()
	data, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	if len(marks) > 0 {
		return "sensitive " + string(data)
	}
	return string(data)
}

func TestFunctions(t *testing.T) {
	s := functionScope(t)
	tested := map[string]bool{}
	for _, row := range functionRows {
		tested[row.name] = true
		if !strings.Contains(row.call, row.name+"(") {
			t.Errorf("%s does not call %s", row.call, row.name)
		}
		got := call(t, s, row.call)
		if part, ok := strings.CutPrefix(row.want, "error: "); ok {
			if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, part) {
				t.Errorf("%s\n got %s\nwant %s", row.call, got, row.want)
			}
			continue
		}
		if got != row.want {
			t.Errorf("%s\n got %s\nwant %s", row.call, got, row.want)
		}
	}
	for _, f := range Functions() {
		if !tested[f.Name] {
			t.Errorf("%s has no row", f.Name)
		}
	}
}

// TestFunctionsUnknown holds that a function of an unknown value is unknown
// rather than a crash: in an incomplete module, values are.
func TestFunctionsUnknown(t *testing.T) {
	s := functionScope(t)
	s.Vars = unknownSource()
	for _, f := range Functions() {
		for _, args := range []string{"var.time", "var.time, var.time", "var.time, var.time, var.time", "[var.time], [var.time]", "{a = var.time}, var.time", "[var.time]", "[[var.time]]"} {
			expr, diags := hclsyntax.ParseExpression([]byte(f.Name+"("+args+")"), "row", hcl.InitialPos)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			s.Value(expr, s.EvalContext(nil)) // an error of the types is right
		}
	}
}

func TestFunctionDocs(t *testing.T) {
	docs := Functions()
	if !slices.IsSortedFunc(docs, func(a, b FunctionDoc) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("functions are not sorted")
	}
	signature := regexp.MustCompile(`^[a-z_0-9]+\([a-z]+(\.\.\.)?(, [a-z]+(\.\.\.)?)*\)$`)
	seen := map[string]bool{}
	for _, f := range docs {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if !signature.MatchString(f.Signature) || !strings.HasPrefix(f.Signature, f.Name+"(") {
			t.Errorf("signature %q of %s", f.Signature, f.Name)
		}
		if f.Doc == "" || !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("doc of %s: %q", f.Name, f.Doc)
		}
		if forbiddenFunctions[f.Name] != "" {
			t.Errorf("%s is forbidden and there", f.Name)
		}
	}
}
