package dsl

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/airbuild/airbuild/internal/lists"
)

// describe joins a function to its description. The name stands before the
// signature's parenthesis.
func describe(signature, doc string, impl function.Function) builtin {
	name, _, _ := strings.Cut(signature, "(")
	return builtin{FunctionDoc: FunctionDoc{Name: name, Signature: signature, Doc: doc}, impl: impl}
}

// ofStrings makes a function of strings; names are those of its parameters.
func ofStrings(result cty.Type, impl func(args []string) (cty.Value, error), names ...string) function.Function {
	params := lists.Map(names, func(n string) function.Parameter { return function.Parameter{Name: n, Type: cty.String} })
	return function.New(&function.Spec{
		Params: params,
		Type:   function.StaticReturnType(result),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return impl(lists.Map(args, func(a cty.Value) string { return a.AsString() }))
		},
	})
}

// mapString makes a function from one string to another that cannot fail.
func mapString(f func(string) string) function.Function {
	return ofStrings(cty.String, func(a []string) (cty.Value, error) { return cty.StringVal(f(a[0])), nil }, "string")
}

// testStrings makes a condition on two strings.
func testStrings(f func(a, b string) bool, first, second string) function.Function {
	return ofStrings(cty.Bool, func(a []string) (cty.Value, error) { return cty.BoolVal(f(a[0], a[1])), nil }, first, second)
}

func numberFunctions() []builtin {
	return []builtin{
		describe("abs(number)", "The number without its sign.", stdlib.AbsoluteFunc),
		describe("ceil(number)", "The least whole number that is not below the number.", stdlib.CeilFunc),
		describe("floor(number)", "The greatest whole number that is not above the number.", stdlib.FloorFunc),
		describe("log(number, base)", "The logarithm of the number to the base.", stdlib.LogFunc),
		describe("max(numbers...)", "The greatest of the numbers.", stdlib.MaxFunc),
		describe("min(numbers...)", "The least of the numbers.", stdlib.MinFunc),
		describe("parseint(string, base)", "The whole number that the string represents in the base, 2 to 62.", stdlib.ParseIntFunc),
		describe("pow(number, power)", "The number raised to the power.", stdlib.PowFunc),
		describe("signum(number)", "-1, 0 or 1 for a number below, equal to or above zero.", stdlib.SignumFunc),
	}
}

func stringFunctions() []builtin {
	return []builtin{
		describe("chomp(string)", "The string without trailing line breaks.", stdlib.ChompFunc),
		describe("endswith(string, suffix)", "Whether the string ends with the suffix.", testStrings(strings.HasSuffix, "string", "suffix")),
		describe("format(format, values...)", "The values in a format such as \"%s-%03d\".", stdlib.FormatFunc),
		describe("formatlist(format, lists...)", "A list of formatted strings, one for each element of the lists.", stdlib.FormatListFunc),
		describe("indent(spaces, string)", "The string with spaces before each line but the first.", stdlib.IndentFunc),
		describe("join(separator, lists...)", "The strings of the lists with the separator between them.", stdlib.JoinFunc),
		describe("lower(string)", "The string in lower case.", stdlib.LowerFunc),
		describe("regex(pattern, string)", "The first match of the pattern: a string, or its groups as a list or object; an error if there is none.", stdlib.RegexFunc),
		describe("regexall(pattern, string)", "The list of all matches of the pattern, as regex gives them.", stdlib.RegexAllFunc),
		describe("replace(string, substring, replacement)", "The string with each substring replaced; a substring between slashes is a regular expression, and $1 its first group.", replaceFunc()),
		describe("semver_compare(a, b)", "-1, 0 or 1 for a version a before, equal to or after b, by the rules of semantic versioning.", ofStrings(cty.Number, compareVersions, "a", "b")),
		describe("split(separator, string)", "The list of the parts of the string between separators.", stdlib.SplitFunc),
		describe("startswith(string, prefix)", "Whether the string starts with the prefix.", testStrings(strings.HasPrefix, "string", "prefix")),
		describe("strcontains(string, substring)", "Whether the substring is in the string.", testStrings(strings.Contains, "string", "substring")),
		describe("strrev(string)", "The string with its characters in reverse order.", stdlib.ReverseFunc),
		describe("substr(string, offset, length)", "The part of the string from the offset, in characters; a negative offset counts from the end, the length -1 means the rest.", stdlib.SubstrFunc),
		describe("title(string)", "The string with the first letter of each word in upper case.", stdlib.TitleFunc),
		describe("trim(string, characters)", "The string without any of the characters at its start and end.", stdlib.TrimFunc),
		describe("trimprefix(string, prefix)", "The string without the prefix, if it has it.", stdlib.TrimPrefixFunc),
		describe("trimspace(string)", "The string without white space at its start and end.", stdlib.TrimSpaceFunc),
		describe("trimsuffix(string, suffix)", "The string without the suffix, if it has it.", stdlib.TrimSuffixFunc),
		describe("upper(string)", "The string in upper case.", stdlib.UpperFunc),
	}
}

// replaceFunc takes the second argument as a regular expression if it stands
// between slashes.
func replaceFunc() function.Function {
	return ofStrings(cty.String, func(a []string) (cty.Value, error) {
		text, old, replacement := cty.StringVal(a[0]), a[1], cty.StringVal(a[2])
		if len(old) > 1 && strings.HasPrefix(old, "/") && strings.HasSuffix(old, "/") {
			return stdlib.RegexReplace(text, cty.StringVal(old[1:len(old)-1]), replacement)
		}
		return stdlib.Replace(text, cty.StringVal(old), replacement)
	}, "string", "substring", "replacement")
}

func compareVersions(a []string) (cty.Value, error) {
	var versions [2]*version.Version
	for i, text := range a {
		v, err := version.NewVersion(text)
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(i, "%q is not a version", text)
		}
		versions[i] = v
	}
	return cty.NumberIntVal(int64(versions[0].Compare(versions[1]))), nil
}

func encodingFunctions() []builtin {
	return []builtin{
		describe("base64decode(string)", "The text encoded by the base64 string.", ofStrings(cty.String, decodeBase64, "string")),
		describe("base64encode(string)", "The string's bytes in base64.", mapString(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })),
		describe("csvdecode(string)", "A list of objects, one for each line of comma-separated values; the first line names the attributes.", stdlib.CSVDecodeFunc),
		describe("jsondecode(string)", "The value of the JSON text.", stdlib.JSONDecodeFunc),
		describe("jsonencode(value)", "The value as JSON text.", stdlib.JSONEncodeFunc),
		describe("urlencode(string)", "The string, escaped for the query of a URL.", mapString(url.QueryEscape)),
		describe("yamldecode(string)", "The value of the YAML text.", yaml.YAMLDecodeFunc),
		describe("yamlencode(value)", "The value as YAML text.", yaml.YAMLEncodeFunc),
	}
}

func decodeBase64(a []string) (cty.Value, error) {
	data, err := base64.StdEncoding.DecodeString(a[0])
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(0, "not base64: %s", err)
	}
	if !utf8.Valid(data) {
		return cty.NilVal, function.NewArgErrorf(0, "the decoded bytes are not UTF-8 text")
	}
	return cty.StringVal(string(data)), nil
}

func hashFunctions() []builtin {
	return []builtin{
		describe("base64sha256(string)", "The SHA-256 digest of the string, in base64.", mapString(func(s string) string {
			sum := sha256.Sum256([]byte(s))
			return base64.StdEncoding.EncodeToString(sum[:])
		})),
		describe("sha1(string)", "The SHA-1 digest of the string, in hexadecimal.", mapString(func(s string) string {
			sum := sha1.Sum([]byte(s))
			return hex.EncodeToString(sum[:])
		})),
		describe("sha256(string)", "The SHA-256 digest of the string, in hexadecimal.", mapString(hexSHA256)),
		describe("sha512(string)", "The SHA-512 digest of the string, in hexadecimal.", mapString(func(s string) string {
			sum := sha512.Sum512([]byte(s))
			return hex.EncodeToString(sum[:])
		})),
	}
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func dateFunctions() []builtin {
	return []builtin{
		describe("formatdate(format, time)", "A time, written as RFC 3339, in a format such as \"YYYY-MM-DD hh:mm\".", stdlib.FormatDateFunc),
		describe("timeadd(time, duration)", "The time a duration such as \"24h\" or \"-90s\" later.", stdlib.TimeAddFunc),
		describe("timecmp(a, b)", "-1, 0 or 1 for a time a before, equal to or after b.", ofStrings(cty.Number, compareTimes, "a", "b")),
	}
}

func compareTimes(a []string) (cty.Value, error) {
	var times [2]time.Time
	for i, text := range a {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(i, "%q is not a time such as 2026-01-31T12:00:00Z", text)
		}
		times[i] = t
	}
	return cty.NumberIntVal(int64(times[0].Compare(times[1]))), nil
}

func typeFunctions(hidden *secrets) []builtin {
	return []builtin{
		describe("can(expression)", "Whether the expression can be evaluated without an error.", tryfunc.CanFunc),
		describe("nonsensitive(value)", "The value without the sensitive mark.", markFunc(func(v cty.Value) cty.Value {
			v, _ = v.UnmarkDeep()
			return v
		})),
		describe("sensitive(value)", "The value, marked as sensitive: it is masked in all output.", markFunc(func(v cty.Value) cty.Value {
			hidden.keep(v)
			return v.Mark(Sensitive)
		})),
		describe("tobool(value)", "The value as true or false.", stdlib.MakeToFunc(cty.Bool)),
		describe("tolist(value)", "The value as a list.", stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType))),
		describe("tomap(value)", "The value as a map.", stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType))),
		describe("tonumber(value)", "The value as a number.", stdlib.MakeToFunc(cty.Number)),
		describe("toset(value)", "The value as a set: sorted, each element once.", stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType))),
		describe("tostring(value)", "The value as a string.", stdlib.MakeToFunc(cty.String)),
		describe("try(expressions...)", "The first of the expressions that can be evaluated without an error.", tryfunc.TryFunc),
	}
}

// markFunc makes a function that changes only marks.
func markFunc(change func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{
			Name: "value", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true,
		}},
		Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return change(args[0]), nil },
	})
}

// argErrorf is an error of one argument, counted from zero.
func argErrorf(i int, format string, args ...any) error {
	return function.NewArgError(i, fmt.Errorf(format, args...))
}

// maxRange is how many numbers range makes: as many as a matrix may have
// cells. The function of the cty library stops at 1024.
const maxRange = 100_000

// rangeFunc is range(limit), range(start, limit) or range(start, limit, step).
// Without a step it counts towards the limit, up or down.
func rangeFunc() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "numbers", Type: cty.Number},
		Type:     function.StaticReturnType(cty.List(cty.Number)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			start, step := cty.Zero, cty.NumberIntVal(1)
			var limit cty.Value
			switch len(args) {
			case 1:
				limit = args[0]
			case 2, 3:
				start, limit = args[0], args[1]
			default:
				return cty.NilVal, function.NewArgErrorf(max(0, min(3, len(args)-1)), "give one to three numbers: limit; start and limit; or start, limit and step")
			}
			down := limit.LessThan(start).True()
			if len(args) == 3 {
				step = args[2]
				if down = step.LessThan(cty.Zero).True(); step.Equals(cty.Zero).True() {
					return cty.NilVal, function.NewArgErrorf(2, "the step must not be zero")
				}
			} else if down {
				step = cty.NumberIntVal(-1)
			}
			return countTo(start, limit, step, down)
		},
	})
}

// countTo lists the numbers from start before limit.
func countTo(start, limit, step cty.Value, down bool) (cty.Value, error) {
	var out []cty.Value
	for n := start; ; n = n.Add(step) {
		if down && !n.GreaterThan(limit).True() || !down && !n.LessThan(limit).True() {
			break
		}
		if len(out) == maxRange {
			return cty.NilVal, function.NewArgErrorf(0, "more than %d numbers", maxRange)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return cty.ListValEmpty(cty.Number), nil
	}
	return cty.ListVal(out), nil
}
