package dsl

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// EnvPrefix and a variable's name make the environment variable that gives it
// a value.
const EnvPrefix = "AIRBUILD_VAR_"

// A givenValue is a variable's value as it came: one of text, expr and value.
type givenValue struct {
	from  string // for messages: "--var", "AIRBUILD_VAR_port"
	text  string // of from outside, not yet of the variable's type
	isSet bool   // there is a value at all
	expr  hcl.Expression
	// inModule means that expr may use the objects of the Airbuildfile.
	inModule bool
	value    cty.Value
	at       hcl.Range // where it stands, or the variable's block
}

// choose finds the value that counts for each variable, and reports values
// for variables that are not there.
func (e *evaluator) choose() {
	m := e.scope.Module
	e.checkNames()
	files := e.varFiles()
	chosen := e.environment()
	for name, v := range m.Variables {
		if g := e.chooseOne(v, files, chosen); g.isSet {
			e.given[name] = g
		}
	}
}

// chooseOne is the order of precedence.
func (e *evaluator) chooseOne(v *Variable, files map[string]givenValue, chosen *Environment) givenValue {
	if value, ok := e.in.Values[v.Name]; ok {
		at, ok := e.in.ValueRanges[v.Name]
		if !ok {
			at = v.Range
		}
		return givenValue{isSet: true, from: "a parameter", value: value, at: at}
	}
	if text, ok := e.in.Vars[v.Name]; ok {
		return givenValue{isSet: true, from: "--var", text: text, at: v.Range}
	}
	if g, ok := files[v.Name]; ok {
		return g
	}
	if text, ok := e.lookupEnv(EnvPrefix + v.Name); ok {
		return givenValue{isSet: true, from: EnvPrefix + v.Name, text: text, at: v.Range}
	}
	if v.Env != "" {
		if text, ok := e.lookupEnv(v.Env); ok && text != "" {
			return givenValue{isSet: true, from: v.Env, text: text, at: v.Range}
		}
	}
	if chosen != nil {
		if attr, ok := chosen.Values[v.Name]; ok {
			return givenValue{isSet: true, from: fmt.Sprintf("environment %q", chosen.Name), expr: attr.Expr, inModule: true, at: attr.Expr.Range()}
		}
	}
	if v.Default != nil {
		return givenValue{isSet: true, from: "the default", expr: v.Default, inModule: true, at: v.Default.Range()}
	}
	return givenValue{}
}

func (e *evaluator) lookupEnv(name string) (string, bool) {
	if e.in.LookupEnv == nil {
		return "", false
	}
	return e.in.LookupEnv(name)
}

// checkNames reports values that are given to variables that are not there.
func (e *evaluator) checkNames() {
	m := e.scope.Module
	if m.Incomplete {
		return
	}
	for _, name := range keys(e.in.Values) {
		if m.Variables[name] != nil {
			continue
		}
		detail := fmt.Sprintf("There is no parameter %q.", name) + e.nearVariables(name)
		if at, ok := e.in.ValueRanges[name]; ok {
			e.add(at, "Unknown parameter", detail)
		} else {
			e.addPlain("Unknown parameter", detail)
		}
	}
	for _, name := range keys(e.in.Vars) {
		if m.Variables[name] == nil {
			e.addPlain("Unknown variable", fmt.Sprintf("--var gives a value to %q, which is not declared.", name)+e.nearVariables(name))
		}
	}
	for _, env := range keys(m.Environments) {
		for _, attr := range sortedAttributes(m.Environments[env].Values) {
			if m.Variables[attr.Name] == nil {
				e.add(attr.NameRange, "Unknown variable",
					fmt.Sprintf("The environment %q gives a value to %q, which is not declared as a variable.", env, attr.Name)+e.nearVariables(attr.Name))
			}
		}
	}
}

func (e *evaluator) nearVariables(name string) string {
	return nearOrAll(name, keys(e.scope.Module.Variables))
}

// environment finds the environment block that --environment names.
func (e *evaluator) environment() *Environment {
	name, m := e.in.Environment, e.scope.Module
	if name == "" {
		return nil
	}
	if env, ok := m.Environments[name]; ok {
		return env
	}
	if m.Incomplete {
		return nil
	}
	known := keys(m.Environments)
	detail := fmt.Sprintf("There is no environment %q.", name) + nearOrAll(name, known)
	if len(known) == 0 {
		detail += fmt.Sprintf(" None is declared: write environment %q { … }.", name)
	}
	e.addPlain("Unknown environment", detail)
	return nil
}

// varFiles reads all --var-files; a later one wins.
func (e *evaluator) varFiles() map[string]givenValue {
	values := map[string]givenValue{}
	for _, name := range e.in.VarFiles {
		for key, attr := range e.varFile(name) {
			if e.scope.Module.Variables[key] == nil {
				if !e.scope.Module.Incomplete {
					e.add(attr.NameRange, "Unknown variable",
						fmt.Sprintf("The file gives a value to %q, which is not declared as a variable.", key)+e.nearVariables(key))
				}
				continue
			}
			values[key] = givenValue{isSet: true, from: "--var-file " + name, expr: attr.Expr, at: attr.Expr.Range()}
		}
	}
	return values
}

func (e *evaluator) varFile(name string) hcl.Attributes {
	if e.in.ReadFile == nil {
		e.addPlain("File not readable", fmt.Sprintf("--var-file %s: there are no files here.", name))
		return nil
	}
	src, err := e.in.ReadFile(name)
	if err != nil {
		e.addPlain("File not readable", fmt.Sprintf("--var-file %s: %s.", name, rootCause(err)))
		return nil
	}
	e.scope.Module.Sources[name] = src
	if diags := checkLimits(src, name); diags.HasErrors() {
		e.diags = append(e.diags, diags...)
		return nil
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(name, ".json") {
		file, diags = json.Parse(src, name)
	} else {
		file, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	e.diags = append(e.diags, diags...)
	if file == nil || file.Body == nil || diags.HasErrors() {
		return nil
	}
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		e.diags = append(e.diags, doubleKeys(body)...)
	}
	attrs, diags := file.Body.JustAttributes()
	e.diags = append(e.diags, diags...)
	return attrs
}

// variables evaluates, converts and marks the values.
func (e *evaluator) variables() {
	e.checkUnused()
	values := map[string]cty.Value{}
	for _, name := range variablesInOrder(e.scope.Module) {
		v := e.scope.Module.Variables[name]
		value := e.variable(v)
		if v.Sensitive {
			e.scope.secrets.keep(value)
			value = value.Mark(Sensitive)
		}
		values[name] = value
	}
	e.scope.Vars = cty.ObjectVal(values)
}

// variable is a variable's value, or an unknown one after a mistake.
func (e *evaluator) variable(v *Variable) cty.Value {
	g, ok := e.given[v.Name]
	if !ok && v.damaged {
		return cty.UnknownVal(v.Type)
	}
	if !ok {
		e.add(v.Range, fmt.Sprintf("No value for variable %q", v.Name), waysToGive(v))
		return cty.UnknownVal(v.Type)
	}
	raw, ok := e.raw(v, g)
	if !ok || !raw.IsKnown() {
		return cty.UnknownVal(v.Type)
	}
	if raw.IsNull() && !v.Nullable {
		return e.insteadOfNull(v, g)
	}
	return e.convert(v, g, raw)
}

// insteadOfNull is the default of a variable that cannot be null.
func (e *evaluator) insteadOfNull(v *Variable, g givenValue) cty.Value {
	if v.Default == nil || g.expr == v.Default {
		e.add(g.place(v), "Null for a variable", fmt.Sprintf("The variable %q cannot be null (nullable = false); %s gives null.", v.Name, g.from))
		return cty.UnknownVal(v.Type)
	}
	g = givenValue{isSet: true, from: "the default", expr: v.Default, inModule: true, at: v.Default.Range()}
	raw, ok := e.raw(v, g)
	if !ok || !raw.IsKnown() || raw.IsNull() {
		return cty.UnknownVal(v.Type)
	}
	return e.convert(v, g, raw)
}

func waysToGive(v *Variable) string {
	env := EnvPrefix + v.Name
	if v.Env != "" {
		env += " or " + v.Env
	}
	return fmt.Sprintf("It has no default: give it with --var %s=…, a --var-file, the environment variable %s, or an environment block chosen with --environment.", v.Name, env)
}

// raw is the value before conversion to the variable's type.
func (e *evaluator) raw(v *Variable, g givenValue) (cty.Value, bool) {
	switch {
	case g.expr != nil && g.inModule:
		place := placeDefault
		if g.expr != v.Default {
			place = placeEnvironment
		}
		return e.value(g.expr, e.scope.sourceObjects(), place), true
	case g.expr != nil:
		value, diags := g.expr.Value(nil)
		if diags.HasErrors() {
			e.add(g.place(v), "Value not constant", "A --var-file holds plain values: strings, numbers, booleans, lists and maps, without references and functions.")
		}
		return value, !diags.HasErrors()
	case g.value != cty.NilVal:
		return g.value, true
	}
	return e.fromText(v, g)
}

// fromText reads a value that came as text. Strings, and variables of any
// type, take it as it is; numbers and booleans as they are written; others as
// an expression of literals.
func (e *evaluator) fromText(v *Variable, g givenValue) (cty.Value, bool) {
	if v.Type == cty.DynamicPseudoType || v.Type.IsPrimitiveType() {
		return cty.StringVal(g.text), true
	}
	if value, diags := literal(g.text, g.from); !diags.HasErrors() {
		return value, true
	}
	e.add(g.place(v), "Invalid value for variable", fmt.Sprintf("%s must be of type %s, written as in an Airbuildfile, such as %s.%s",
		capitalizeFrom(g, v), typeName(v.Type), exampleOf(v.Type), given(v, g)))
	return cty.NilVal, false
}

// place is where a mistake in a value is shown. A secret's own line is not.
func (g givenValue) place(v *Variable) hcl.Range {
	if v.Sensitive {
		return v.Range
	}
	return g.at
}

// literal evaluates an expression without references and functions.
func literal(text, from string) (cty.Value, hcl.Diagnostics) {
	if diags := checkLimits([]byte(text), from); diags.HasErrors() {
		return cty.NilVal, diags
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), from, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return expr.Value(nil)
}

// longestGiven is the length, in bytes, of a text that a message repeats.
const longestGiven = 200

// given quotes what was given, unless it is a secret.
func given(v *Variable, g givenValue) string {
	if v.Sensitive || g.text == "" || len(g.text) > longestGiven {
		return ""
	}
	return fmt.Sprintf(" It is %q.", g.text)
}

func capitalizeFrom(g givenValue, v *Variable) string {
	return fmt.Sprintf("The value of %q given by %s", v.Name, g.from)
}

// exampleOf shows how a value of a type is written.
func exampleOf(t cty.Type) string {
	switch {
	case t.IsListType(), t.IsSetType(), t.IsTupleType():
		return `["a", "b"]`
	default:
		return `{ a = "b" }`
	}
}

func typeName(t cty.Type) string {
	return strings.ReplaceAll(typeexpr.TypeString(t), "\n", " ")
}

func (e *evaluator) convert(v *Variable, g givenValue, raw cty.Value) cty.Value {
	if v.optional != nil && !raw.IsNull() {
		raw = v.optional.Apply(raw)
	}
	value, err := convert.Convert(raw, v.Type)
	if err != nil {
		e.add(g.place(v), "Invalid value for variable", fmt.Sprintf("%s must be of type %s: %s.%s",
			capitalizeFrom(g, v), typeName(v.Type), conversionError(err), given(v, g)))
		return cty.UnknownVal(v.Type)
	}
	return value
}

// conversionError names the place inside the value.
func conversionError(err error) string {
	if path, ok := err.(cty.PathError); ok && len(path.Path) > 0 {
		return fmt.Sprintf("%s: %s", pathText(path.Path), path.Error())
	}
	return err.Error()
}

func pathText(p cty.Path) string {
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + s.Name)
		case cty.IndexStep:
			switch text, ok := primitiveText(s.Key); {
			case ok && s.Key.Type() == cty.String:
				fmt.Fprintf(&b, "[%q]", text)
			case ok:
				fmt.Fprintf(&b, "[%s]", text)
			}
		}
	}
	return b.String()
}

// checkUnused reports wrong references in defaults and environments even where
// another value takes their place.
func (e *evaluator) checkUnused() {
	m := e.scope.Module
	all, roots := m.rootNames(), map[string]Names{}
	for name := range e.scope.sourceObjects() {
		roots[name] = all[name]
	}
	check := func(expr hcl.Expression, name, place string) {
		if expr != nil && e.given[name].expr != expr {
			e.diags = append(e.diags, e.scope.checkReferences(expr, roots, place)...)
		}
	}
	for name, v := range m.Variables {
		check(v.Default, name, placeDefault)
	}
	for _, env := range m.Environments {
		for name, attr := range env.Values {
			check(attr.Expr, name, placeEnvironment)
		}
	}
}

// Places of expressions, for messages.
const (
	placeDefault     = "The default of a variable"
	placeEnvironment = "An environment"
	placeValidation  = "A validation"
)

// validate checks the validation blocks. It comes after all values are known,
// so that a condition may compare variables.
func (e *evaluator) validate() {
	objects := e.scope.sourceObjects()
	objects["var"] = e.scope.Vars
	for _, name := range variablesInOrder(e.scope.Module) {
		v := e.scope.Module.Variables[name]
		for _, validation := range v.Validations {
			e.validation(v, validation, objects)
		}
	}
}

func (e *evaluator) validation(v *Variable, validation Validation, objects map[string]cty.Value) {
	condition := e.value(validation.Condition, objects, placeValidation)
	message := e.value(validation.ErrorMessage, objects, placeValidation)
	condition, _ = condition.Unmark()
	if !condition.IsKnown() {
		return // after a mistake that is reported
	}
	condition, err := convert.Convert(condition, cty.Bool)
	if err != nil || condition.IsNull() {
		e.add(validation.Condition.Range(), "Wrong type", "The condition of a validation is true or false.")
		return
	}
	if condition.True() {
		return
	}
	g := e.given[v.Name]
	e.add(g.place(v), fmt.Sprintf("Invalid value for variable %q", v.Name),
		fmt.Sprintf("%s\nThe value is given by %s.", validationText(message), g.from))
	e.diags[len(e.diags)-1].Extra = Related{{Range: validation.Condition.Range(), Note: "the condition"}}
}

// validationText is the error message, unless it tells a secret.
func validationText(message cty.Value) string {
	if message.IsMarked() {
		return "The value does not meet the condition (the message holds a sensitive value)."
	}
	message, err := convert.Convert(message, cty.String)
	if err != nil || message.IsNull() || !message.IsKnown() {
		return "The value does not meet the condition."
	}
	return message.AsString()
}
