package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty/function"

	"github.com/airbuild/airbuild/internal/lists"
)

// A FunctionDoc describes one function: for the documentation and editors.
type FunctionDoc struct {
	Name      string
	Signature string // "substr(string, offset, length)"
	Doc       string // one sentence
}

// Functions returns the functions of the language in alphabetical order.
func Functions() []FunctionDoc {
	return lists.Map((*Module)(nil).functionTable(nil), func(f builtin) FunctionDoc { return f.FunctionDoc })
}

// A builtin is a function with its description.
type builtin struct {
	FunctionDoc
	impl function.Function
}

// functionTable returns all functions, sorted. Those that read files read the
// module's; sensitive adds to hidden.
func (m *Module) functionTable(hidden *secrets) []builtin {
	table := slices.Concat(
		numberFunctions(), stringFunctions(), collectionFunctions(), encodingFunctions(),
		m.fileFunctions(hidden), dateFunctions(), hashFunctions(), typeFunctions(hidden),
	)
	slices.SortFunc(table, func(a, b builtin) int { return strings.Compare(a.Name, b.Name) })
	return table
}

// functions are what expressions call.
func (m *Module) functions(hidden *secrets) map[string]function.Function {
	funcs := map[string]function.Function{}
	var b *budget
	if m != nil {
		b = &m.budget
	}
	for _, f := range m.functionTable(hidden) {
		funcs[f.Name] = b.bounded(f.Name, f.impl)
	}
	return funcs
}

// forbiddenFunctions are functions of other tools that do not exist here on
// purpose, with the reason and what to do instead.
var forbiddenFunctions = map[string]string{
	"timestamp":     noClock,
	"plantimestamp": noClock,
	"now":           noClock,
	"uuid":          noRandom,
	"bcrypt":        noRandom,
	"random":        noRandom,
	"uuidv5":        "Use sha256(…) for a name derived from its inputs.",
	"md5":           "It is broken as a digest: use sha256(…).",
	"filemd5":       "It is broken as a digest: use filesha256(…).",
	"fileset":       "Use glob(\"pattern\").",
	"env":           envFunction,
	"getenv":        envFunction,
	"get_env":       envFunction,
	"abspath":       noMachine,
	"pathexpand":    noMachine,
}

const (
	noClock     = "Its result would change from run to run, and with it everything that uses it: use source.time, the time of the commit."
	noRandom    = "Its result would change from run to run, and with it everything that uses it: use sha256(…) of what should make it differ, or a variable."
	noMachine   = "Its result would change from machine to machine: paths are relative to the project."
	envFunction = "The environment is read only where a variable asks for it: declare variable \"x\" { env = \"NAME\" } and use var.x."
)

// unknownFunction says what to do instead of calling a function that is not
// there.
func unknownFunction(name string, known []string) string {
	if why, ok := forbiddenFunctions[name]; ok {
		return fmt.Sprintf("There is no function %q. %s", name, why)
	}
	if near := DidYouMean(name, known); near != "" {
		return fmt.Sprintf("There is no function %q.%s", name, near)
	}
	return fmt.Sprintf("There is no function %q. airbuild docs functions lists all of them.", name)
}
