package dsl

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/internal/paths"
)

// fileFunctions read Module.Files; paths are relative to its root, and none
// leaves it. basename and dirname only look at the text.
func (m *Module) fileFunctions(hidden *secrets) []builtin {
	return []builtin{
		describe("basename(path)", "The last part of the path.", mapString(path.Base)),
		describe("dirname(path)", "The path without its last part.", mapString(path.Dir)),
		describe("file(path)", "The text of a file of the project, which must be UTF-8.", m.fileFunc(fileText)),
		describe("filebase64(path)", "The bytes of a file of the project, in base64.", m.fileFunc(func(_ string, data []byte) (string, error) {
			return base64.StdEncoding.EncodeToString(data), nil
		})),
		describe("fileexists(path)", "Whether the file exists in the project.", ofStrings(cty.Bool, m.fileExists, "path")),
		describe("filesha256(path)", "The SHA-256 digest of a file of the project, in hexadecimal.", ofStrings(cty.String, m.fileSHA256, "path")),
		describe("glob(pattern)", "The sorted list of the project's files that match a pattern such as \"docs/**/*.md\"; files in .git and in dist, and outputs of stages, are excluded.", ofStrings(cty.List(cty.String), m.glob, "pattern")),
		describe("templatefile(path, values)", "The result of a template file of the project, in which the attributes of values are available by name.", m.templateFileFunc(hidden)),
	}
}

// fileFunc makes a function of a file's bytes.
func (m *Module) fileFunc(f func(name string, data []byte) (string, error)) function.Function {
	return ofStrings(cty.String, func(a []string) (cty.Value, error) {
		name, data, err := m.readFile(a[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		text, err := f(name, data)
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return cty.StringVal(text), nil
	}, "path")
}

func fileText(name string, data []byte) (string, error) {
	if !utf8.Valid(data) {
		return "", fmt.Errorf("%q is not UTF-8 text; filebase64 reads any file", name)
	}
	return string(data), nil
}

// projectPath cleans a path that a user wrote.
func projectPath(given string) (string, error) {
	switch clean := path.Clean(given); {
	case given == "":
		return "", errors.New("the path is empty")
	case strings.Contains(given, `\`):
		return "", fmt.Errorf("%q: paths have forward slashes on every platform", given)
	case !fs.ValidPath(clean):
		return "", fmt.Errorf("%q is outside the project", given)
	default:
		return clean, nil
	}
}

func (m *Module) readFile(given string) (string, []byte, error) {
	name, err := projectPath(given)
	if err != nil {
		return "", nil, err
	}
	data, err := fs.ReadFile(m.Files, name)
	return name, data, m.explainRead(name, err)
}

// explainRead says why a file could not be read.
func (m *Module) explainRead(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %q in the project.%s", name, DidYouMean(name, m.siblings(name)))
	}
	return fmt.Errorf("%q cannot be read: %s", name, rootCause(err))
}

// maxHashed bounds the file that filesha256 reads, in bytes. It is hashed on
// every plan.
const maxHashed = 1 << 30

// fileSHA256 does not hold the file in memory.
func (m *Module) fileSHA256(a []string) (cty.Value, error) {
	name, err := projectPath(a[0])
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	f, err := m.Files.Open(name)
	if err != nil {
		return cty.NilVal, function.NewArgError(0, m.explainRead(name, err))
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxHashed+1))
	switch {
	case err != nil:
		return cty.NilVal, function.NewArgError(0, m.explainRead(name, err))
	case n > maxHashed:
		return cty.NilVal, argErrorf(0, "%q has more than %d GiB; a checksum stage hashes files of any size", name, maxHashed>>30)
	}
	return cty.StringVal(hex.EncodeToString(h.Sum(nil))), nil
}

func (m *Module) fileExists(a []string) (cty.Value, error) {
	name, err := projectPath(a[0])
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	info, err := fs.Stat(m.Files, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cty.False, nil
	case err != nil:
		return cty.NilVal, argErrorf(0, "%q cannot be looked at: %s", name, rootCause(err))
	case !info.Mode().IsRegular():
		return cty.NilVal, argErrorf(0, "%q is not a file", name)
	}
	return cty.True, nil
}

// glob leaves dist out, so that a plan does not depend on what was built
// before.
func (m *Module) glob(a []string) (cty.Value, error) {
	text, err := projectPath(a[0])
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	if base, _ := pattern.Base(text); base != "" {
		// A folder that is not there holds nothing; one that is, and cannot be
		// looked at, does not.
		if _, err := fs.Stat(m.Files, base); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cty.NilVal, argErrorf(0, "%q cannot be looked at: %s", base, rootCause(err))
		}
	}
	if err := pattern.Check(text); err != nil {
		return cty.NilVal, argErrorf(0, "the pattern %q cannot be used: %s", text, err)
	}
	found, err := pattern.Glob(m.Files, text)
	if err != nil {
		return cty.NilVal, argErrorf(0, "the files of %q cannot be listed: %s", text, rootCause(err))
	}
	carried := m.carried()
	found = slices.DeleteFunc(found, func(name string) bool {
		return paths.Below(".git", name) || paths.Below(m.Settings.Dist, name) || strings.HasPrefix(path.Base(name), ownPrefix) || carried && name == "source.json"
	})
	return stringList(found), nil
}

// ownPrefix begins the names of files that are airbuild's own.
const ownPrefix = ".airbuild-"

// carried reports whether the source came in a bundle: then a source.json is in
// the place of .git, which the project that was carried does not have.
func (m *Module) carried() bool {
	there := func(name string) bool {
		_, err := fs.Stat(m.Files, name)
		return err == nil
	}
	return there(ownPrefix+"source.json") && !there(".git")
}

func (m *Module) templateFileFunc(hidden *secrets) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "path", Type: cty.String},
			{Name: "values", Type: cty.DynamicPseudoType},
		},
		Type: func(args []cty.Value) (cty.Type, error) {
			if t := args[1].Type(); !t.IsObjectType() && !t.IsMapType() {
				return cty.NilType, argErrorf(1, "an object is needed, such as { name = \"x\" }, not a %s", t.FriendlyName())
			}
			return cty.String, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name, data, err := m.readFile(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return m.renderTemplate(name, data, args[1].AsValueMap(), hidden)
		},
	})
}

// renderTemplate evaluates a template. It cannot call templatefile again: a
// template that includes itself would have no end.
func (m *Module) renderTemplate(name string, src []byte, values map[string]cty.Value, hidden *secrets) (cty.Value, error) {
	expr, diags := m.parseTemplate(name, src)
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, firstError(diags))
	}
	funcs := m.functions(hidden)
	delete(funcs, "templatefile")
	v, diags := evaluateTemplate(expr, values, funcs)
	if diags.HasErrors() {
		return cty.NilVal, function.NewArgError(0, firstError(diags))
	}
	v, err := convert.Convert(v, cty.String)
	if err != nil || v.IsNull() {
		return cty.NilVal, argErrorf(0, "%s: the template does not give a string", name)
	}
	return v, nil
}

func (m *Module) parseTemplate(name string, src []byte) (hclsyntax.Expression, hcl.Diagnostics) {
	if diags := checkLimits(src, name); diags.HasErrors() {
		return nil, diags
	}
	expr, diags := hclsyntax.ParseTemplate(src, name, hcl.InitialPos)
	if !diags.HasErrors() {
		diags = append(diags, m.budget.meter(expr)...)
	}
	return expr, diags
}

func evaluateTemplate(expr hcl.Expression, values map[string]cty.Value, funcs map[string]function.Function) (cty.Value, hcl.Diagnostics) {
	if values == nil {
		values = map[string]cty.Value{} // none, rather than "variables are not allowed"
	}
	return evaluate(expr, &hcl.EvalContext{Variables: values, Functions: funcs})
}

// ParseTemplate parses a file of the project in the template syntax, within the
// limits of the module; name is for messages.
func (s *Scope) ParseTemplate(name string, src []byte) (hclsyntax.Expression, hcl.Diagnostics) {
	return s.Module.parseTemplate(name, src)
}

// EvaluateTemplate evaluates a template with the given values and nothing else
// but the functions, within the limits of the module.
func (s *Scope) EvaluateTemplate(expr hcl.Expression, values map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	return evaluateTemplate(expr, values, s.funcs)
}

// firstError is the first error of a template, with its place.
func firstError(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return fmt.Errorf("%s:%d:%d: %s: %s", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column, d.Summary, d.Detail)
		}
	}
	return errors.New("the template is not valid")
}
