package dsl

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// block takes a checked top-level block into the module.
func (l *loader) block(block *hclsyntax.Block) {
	take := map[string]func(*hclsyntax.Block){
		"airbuild": l.settings, "variable": l.variable, "locals": l.locals, "toolchain": l.toolchain, "stage": l.stage,
		"pipeline": l.pipeline, "bundle": l.bundle, "host": l.host, "environment": l.environment, "include": l.include,
	}[block.Type]
	if take != nil {
		take(block)
	}
}

// twice reports a block of which a module has one.
func (l *loader) twice(block *hclsyntax.Block, first hcl.Range) {
	diag := errorAt(block.DefRange(), "Duplicate "+block.Type+" block", "A file and its includes may have one "+block.Type+" block: merge the two.")
	diag.Extra = Related{{Range: first, Note: "declared first"}}
	l.diags = append(l.diags, diag)
}

func (l *loader) settings(block *hclsyntax.Block) {
	s := &l.module.Settings
	if s.Range != (hcl.Range{}) {
		l.twice(block, s.Range)
		return
	}
	s.Range = block.DefRange()
	if attr, ok := block.Body.Attributes["required_version"]; ok {
		s.RequiredVersion = l.constString(attr)
		s.RequiredRange = attr.Expr.Range()
	}
	if attr, ok := block.Body.Attributes["dist"]; ok {
		l.dist(attr)
	}
	var first *hclsyntax.Block
	for _, b := range block.Body.Blocks {
		switch {
		case b.Type != "git":
		case first != nil:
			l.reject(b.DefRange(), "Duplicate git block", "An airbuild block may have one git block: merge the two.")
		default:
			first = b
			l.tagRules(b)
		}
	}
}

// tagRules reads a git block.
func (l *loader) tagRules(block *hclsyntax.Block) {
	r := &l.module.Settings.Tags
	if attr, ok := block.Body.Attributes["tag_prefix"]; ok {
		r.Prefix = l.constString(attr)
		if !inTag(r.Prefix) {
			l.reject(attr.Expr.Range(), "Not the prefix of a tag", fmt.Sprintf("%q cannot begin a tag of git. Write what comes before the version, such as \"cmd/app/\" or \"chart-\".", r.Prefix))
		}
	}
	if attr, ok := block.Body.Attributes["ignore_tags"]; ok {
		v, ok := l.constant(attr, cty.List(cty.String))
		for i := 0; ok && i < v.LengthInt(); i++ {
			e := v.Index(cty.NumberIntVal(int64(i)))
			if e.IsNull() || !inTag(strings.NewReplacer("*", "x", "?", "x").Replace(e.AsString())) || e.AsString() == "" {
				l.reject(attr.Expr.Range(), "Not a pattern of tags", "Write tags such as \"nightly\", with * for any characters and ? for one.")
				break
			}
			r.Ignore = append(r.Ignore, e.AsString())
		}
	}
	if attr, ok := block.Body.Attributes["prerelease_suffix"]; ok {
		r.PrereleaseSuffix = l.constString(attr)
		if !inTag(r.PrereleaseSuffix) || strings.Contains(r.PrereleaseSuffix, "/") {
			l.reject(attr.Expr.Range(), "Not part of a tag", fmt.Sprintf("%q cannot be in a tag of git. Write what comes after the version of a pre-release, such as \"rc\" for v1.0.0rc1.", r.PrereleaseSuffix))
		}
	}
	if attr, ok := block.Body.Attributes["tag_sort"]; ok {
		switch sort := l.constString(attr); sort {
		case "semver", "":
		case "smartsemver":
			r.SkipPrereleases = true
		default:
			l.reject(attr.Expr.Range(), "Unknown order of tags", fmt.Sprintf("tag_sort is \"semver\" or \"smartsemver\", not %q: the tags of one commit are always in the order of semantic versions.", sort))
		}
	}
}

// inTag reports whether git allows a text within the name of a tag.
func inTag(s string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }
	return len(s) <= 200 && !strings.ContainsFunc(s, bad) && !strings.HasPrefix(s, "/") && !strings.Contains(s, "//") && !strings.Contains(s, "..")
}

// dist must be a folder inside the project: airbuild removes what is stale in
// it.
func (l *loader) dist(attr *hclsyntax.Attribute) {
	given := l.constString(attr)
	if given == "" {
		return
	}
	clean := path.Clean(given)
	if strings.Contains(given, `\`) || !fs.ValidPath(clean) || clean == "." {
		l.reject(attr.Expr.Range(), "Invalid path",
			"dist is a folder inside the project, written relative to it with forward slashes.")
		return
	}
	l.module.Settings.Dist = clean
}

func (l *loader) variable(block *hclsyntax.Block) {
	name, attrs := block.Labels[0], block.Body.Attributes
	if !l.declare("variable", name, block.LabelRanges[0]) {
		return
	}
	v := &Variable{Name: name, Type: cty.DynamicPseudoType, Nullable: true, Range: block.DefRange(), damaged: l.damage.in(block)}
	if attr, ok := attrs["type"]; ok {
		var diags hcl.Diagnostics
		v.Type, v.optional, diags = typeexpr.TypeConstraintWithDefaults(attr.Expr)
		l.diags = append(l.diags, explainType(diags, attr.Expr)...)
		if diags.HasErrors() {
			v.Type, v.optional = cty.DynamicPseudoType, nil
		}
	}
	if attr, ok := attrs["default"]; ok {
		v.Default = attr.Expr
	}
	if attr, ok := attrs["env"]; ok {
		v.Env = l.constString(attr)
		if strings.ContainsAny(v.Env, "= \t$") {
			l.reject(attr.Expr.Range(), "Invalid environment variable", "Write the variable's name alone, such as \"CI_COMMIT_TAG\".")
		}
	}
	if attr, ok := attrs["description"]; ok {
		v.Description = l.constString(attr)
	}
	if attr, ok := attrs["sensitive"]; ok {
		v.Sensitive = l.constBool(attr)
	}
	if attr, ok := attrs["nullable"]; ok {
		v.Nullable = l.constBool(attr)
	}
	for _, b := range block.Body.Blocks {
		condition, message := b.Body.Attributes["condition"], b.Body.Attributes["error_message"]
		if b.Type == "validation" && condition != nil && message != nil {
			v.Validations = append(v.Validations,
				Validation{Condition: condition.Expr, ErrorMessage: message.Expr, Range: b.DefRange()})
		}
	}
	l.module.Variables[name] = v
}

func (l *loader) locals(block *hclsyntax.Block) {
	for _, b := range block.Body.Blocks {
		l.reject(b.TypeRange, "Unexpected block",
			fmt.Sprintf("A locals block holds attributes only: write %s = { … } for an object.", b.Type))
	}
	for _, attr := range sortedAttributes(block.Body.Attributes) {
		if l.declare("local value", attr.Name, attr.NameRange) {
			l.module.Locals[attr.Name] = attr
		}
	}
}

// toolchains are the names that a toolchain block may have.
var toolchains = []string{"go"}

func (l *loader) toolchain(block *hclsyntax.Block) {
	name := block.Labels[0]
	if !l.declare("toolchain", name, block.LabelRanges[0]) {
		return
	}
	if !slices.Contains(toolchains, name) {
		l.reject(block.LabelRanges[0], "Unknown toolchain",
			fmt.Sprintf("There is no toolchain %q.", name)+nearOrAll(name, toolchains))
		return
	}
	attr, ok := block.Body.Attributes["version"]
	if !ok {
		return // reported, or lost in a syntax error
	}
	l.module.Toolchains = append(l.module.Toolchains, &Toolchain{Name: name, Version: attr.Expr, Range: block.DefRange()})
}

func (l *loader) stage(block *hclsyntax.Block) {
	if !l.declare("stage", block.Labels[1], block.LabelRanges[1]) {
		return
	}
	l.module.Stages = append(l.module.Stages, &Stage{
		Type: block.Labels[0], TypeRange: block.LabelRanges[0],
		Name: block.Labels[1], NameRange: block.LabelRanges[1],
		Body:    block.Body,
		Range:   block.DefRange(),
		Damaged: l.damage.in(block),
		Module:  l.module,
	})
}

func (l *loader) pipeline(block *hclsyntax.Block) {
	if !l.declare("pipeline", block.Labels[0], block.LabelRanges[0]) {
		return
	}
	l.module.Pipelines = append(l.module.Pipelines, l.named(block))
}

func (l *loader) named(block *hclsyntax.Block) *Pipeline {
	return &Pipeline{
		Name: block.Labels[0], NameRange: block.LabelRanges[0],
		Body:    block.Body,
		Range:   block.DefRange(),
		Damaged: l.damage.in(block),
		Module:  l.module,
	}
}

func (l *loader) bundle(block *hclsyntax.Block) {
	if !l.declare("bundle", block.Labels[0], block.LabelRanges[0]) {
		return
	}
	l.module.Bundles = append(l.module.Bundles, (*Bundle)(l.named(block)))
}

// host takes the one host block.
func (l *loader) host(block *hclsyntax.Block) {
	if first := l.module.Host; first != nil {
		l.twice(block, first.Range)
		return
	}
	l.module.Host = &Host{Body: block.Body, Range: block.DefRange()}
}

func (l *loader) environment(block *hclsyntax.Block) {
	name := block.Labels[0]
	if !l.declare("environment", name, block.LabelRanges[0]) {
		return
	}
	for _, b := range block.Body.Blocks {
		l.reject(b.TypeRange, "Unexpected block",
			fmt.Sprintf("An environment block holds values of variables only: write %s = { … } for an object.", b.Type))
	}
	l.module.Environments[name] = &Environment{Name: name, Values: block.Body.Attributes, Range: block.DefRange()}
}

// constString evaluates an attribute that must be a string without references.
func (l *loader) constString(attr *hclsyntax.Attribute) string {
	v, ok := l.constant(attr, cty.String)
	if !ok {
		return ""
	}
	return v.AsString()
}

func (l *loader) constBool(attr *hclsyntax.Attribute) bool {
	v, ok := l.constant(attr, cty.Bool)
	return ok && v.True()
}

// constant evaluates an attribute that is read before there is anything to
// refer to.
func (l *loader) constant(attr *hclsyntax.Attribute, want cty.Type) (cty.Value, bool) {
	at := attr.Expr.Range()
	for _, t := range attr.Expr.Variables() {
		l.reject(t.SourceRange(), "Reference not allowed",
			fmt.Sprintf("%s is read before anything else, so it must be written out: it cannot refer to %s.", attr.Name, t.RootName()))
		return cty.NilVal, false
	}
	v, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		l.diags = append(l.diags, diags...)
		return cty.NilVal, false
	}
	if !v.IsWhollyKnown() { // a placeholder of a syntax error
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || v.IsNull() {
		l.reject(at, "Wrong type", fmt.Sprintf("%s must be a %s.", attr.Name, want.FriendlyName()))
		return cty.NilVal, false
	}
	return v, true
}
