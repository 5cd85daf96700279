package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/airbuild/airbuild/internal/lists"
)

// A BlockDoc describes one block type: what Load accepts, what the
// documentation must describe, and what an editor offers.
type BlockDoc struct {
	Type   string
	Labels []string // what each label is, such as "name"
	Attrs  []AttrDoc
	Blocks []BlockDoc
	// Open means that the body holds more than Attrs and Blocks say: free
	// names (locals, environment), or a body that is checked against a stage
	// type or a ready-made pipeline.
	Open bool
	Doc  string // one sentence
}

// An AttrDoc describes one attribute of a block.
type AttrDoc struct {
	Name     string
	Type     string // as a user would say it: "string", "list of stages"
	Required bool
	Default  string // as written in the docs
	Doc      string // one sentence
}

// TopLevelSchema returns the blocks that may stand at the top level of an
// Airbuildfile, in the order in which they are documented.
func TopLevelSchema() []BlockDoc {
	return []BlockDoc{
		{
			Type: "airbuild",
			Doc:  "Settings of the whole file; at most one.",
			Attrs: []AttrDoc{
				{Name: "required_version", Type: "string", Doc: "A version constraint that airbuild itself must meet, such as \">= 0.1.0\"."},
				{Name: "dist", Type: "string", Default: `"dist"`, Doc: "The directory for outputs."},
			},
			Blocks: []BlockDoc{{
				Type: "git",
				Doc:  "Which tags are versions, for git.tag, git.describe, git.previous_tag and changelog stages; at most one.",
				Attrs: []AttrDoc{
					{Name: "tag_prefix", Type: "string", Default: "the tags of the Airbuildfile's directory, else those without a directory", Doc: "The prefix of the tags of one component, such as \"cmd/app/\" or \"chart-\". Other tags are ignored, and the prefix is removed."},
					{Name: "ignore_tags", Type: "list of strings", Doc: "Patterns of tags to ignore, such as \"nightly*\": `*` matches any characters, slashes included, and `?` one."},
					{Name: "prerelease_suffix", Type: "string", Default: "the hyphen of semantic versions", Doc: "What begins the pre-release part of tags that are not semantic versions: \"rc\" for v1.0.0rc1."},
					{Name: "tag_sort", Type: "string", Default: `"semver"`, Doc: "\"semver\" takes the highest version of the tags on one commit; \"smartsemver\" also leaves pre-releases out of git.previous_tag if git.tag is a release."},
				},
			}},
		},
		{
			Type: "variable", Labels: []string{"name"},
			Doc: "A value that the user can set.",
			Attrs: []AttrDoc{
				{Name: "type", Type: "type", Default: "any type", Doc: "A type constraint, such as string, number, bool, list(string) or object({…})."},
				{Name: "default", Type: "any", Doc: "The value if no other source provides one; may use git, source, host and functions."},
				{Name: "env", Type: "string", Doc: "An environment variable that provides the value if it is set and not empty."},
				{Name: "description", Type: "string", Doc: "A description of the variable."},
				{Name: "sensitive", Type: "bool", Default: "false", Doc: "Masks the value in all output and logs."},
				{Name: "nullable", Type: "bool", Default: "true", Doc: "Whether null is a valid value. If false, null selects the default."},
			},
			Blocks: []BlockDoc{{
				Type: "validation",
				Doc:  "A condition that the value must meet; any number of them.",
				Attrs: []AttrDoc{
					{Name: "condition", Type: "bool", Required: true, Doc: "An expression of the variable that must be true."},
					{Name: "error_message", Type: "string", Required: true, Doc: "The message that is shown if the condition is false."},
				},
			}},
		},
		{
			Type: "locals", Open: true,
			Doc: "Named expressions, available as local.name.",
		},
		{
			Type: "toolchain", Labels: []string{"name"},
			Doc: "A toolchain that the stages need, checked before anything runs.",
			Attrs: []AttrDoc{
				{Name: "version", Type: "string", Required: true, Doc: "A version such as \"1.26.8\", a language version such as \"1.26\", or a constraint such as \">= 1.26\"."},
			},
		},
		{
			Type: "stage", Labels: []string{"type", "name"}, Open: true,
			Doc: "A unit of work. Its type defines its arguments.",
		},
		{
			Type: "pipeline", Labels: []string{"name"}, Open: true,
			Doc: "A named set of stages to run, or a ready-made pipeline selected with `use`.",
			Attrs: []AttrDoc{
				{Name: "description", Type: "string", Doc: "A description, shown by `airbuild list`."},
				{Name: "stages", Type: "list of stages", Doc: "The stages to run, with their dependencies."},
				{Name: "notice", Type: "string", Doc: "Text printed at the end of every run, whether it succeeded or not; none if empty or null."},
				{Name: "use", Type: "string", Doc: "The name of a ready-made pipeline; the other attributes are its parameters."},
			},
		},
		{
			Type: "bundle", Labels: []string{"name"},
			Doc: "Defines the content of a bundle, which `airbuild bundle create` writes for hosts without a network.",
			Attrs: []AttrDoc{
				{Name: "description", Type: "string", Doc: "A description, stored in the bundle."},
				{Name: "stages", Type: "list of stages", Required: true, Doc: "The stages, cells and pipelines that the receiver must be able to rebuild, with their dependencies."},
				{Name: "hosts", Type: "list of strings", Default: "this host's platform", Doc: "The receiver's platforms, such as \"linux/amd64\", for which airbuild and Go are included."},
				{Name: "airbuild", Type: "map of strings", Doc: "The path of the airbuild program by platform; required for platforms other than this host's."},
				{Name: "sign", Type: "list of strings", Doc: "The names of the keys that sign the bundle."},
				{Name: "volume_size", Type: "string", Default: "4 GiB − 1, for FAT32", Doc: "The maximum size of a volume, such as \"4GiB\" or \"650MB\"; \"none\" writes one directory."},
				{Name: "history", Type: "bool", Default: "false", Doc: "Whether to include the whole history as a git bundle."},
				{Name: "exclude", Type: "list of strings", Doc: "Patterns of source files to exclude."},
			},
			Blocks: []BlockDoc{{
				Type: "extra", Labels: []string{"name"},
				Doc: "Additional files, such as packages of other languages or a vulnerability database.",
				Attrs: []AttrDoc{
					{Name: "files", Type: "list of strings", Required: true, Doc: "Patterns of files below dir."},
					{Name: "dir", Type: "string", Default: "the Airbuildfile's directory", Doc: "The directory of the files. It may be outside the project."},
				},
			}},
		},
		{
			Type: "host",
			Doc:  "Requirements on the host, checked by `airbuild host check`; at most one.",
			Attrs: []AttrDoc{
				{Name: "os", Type: "string or list of strings", Doc: "The operating system, or a list of supported ones: \"linux\"."},
				{Name: "arch", Type: "string or list of strings", Doc: "The architecture, or a list of supported ones, optionally with a minimum level: \"amd64\", \"amd64/v3\", \"arm64/v8.2\"."},
				{Name: "kernel", Type: "string", Doc: "A constraint on the kernel version: \">= 4.18\"."},
				{Name: "glibc", Type: "string", Doc: "A constraint on the version of glibc, which must be the host's C library: \">= 2.28\"."},
				{Name: "commands", Type: "list of strings", Doc: "Programs that must be on PATH, optionally with a version constraint: \"git\", \"gcc >= 10\"."},
				{Name: "disk", Type: "string or map of strings", Doc: "The free disk space for the project, \"10GiB\", or for several locations: { project = \"10GiB\", cache = \"20GiB\", tmp = \"1GiB\" }."},
				{Name: "memory", Type: "string", Doc: "The memory available to a program: \"4GiB\"."},
				{Name: "syscalls", Type: "list of strings", Doc: "Kernel features that must work: \"io_uring\", \"user_namespaces\"."},
				{Name: "env", Type: "list of strings", Doc: "Environment variables that must be non-empty, \"SITE\", or have a value, \"LANG=C.UTF-8\"."},
			},
		},
		{
			Type: "environment", Labels: []string{"name"}, Open: true,
			Doc: "Values of variables, selected by --environment.",
		},
		{
			Type: "include", Labels: []string{"path"},
			Doc: "Includes another file of the project. The path is relative to the including file.",
		},
	}
}

// A bodyCheck reports what does not belong in a body.
type bodyCheck struct {
	diags  hcl.Diagnostics
	damage damage
}

// file checks the top level of a file. It returns the blocks that have a
// known type and the right labels.
func (c *bodyCheck) file(body *hclsyntax.Body) []*hclsyntax.Block {
	docs := TopLevelSchema()
	for _, attr := range sortedAttributes(body.Attributes) {
		c.strayAttribute(attr, docs)
	}
	return c.blocks(body, docs, "")
}

// body checks the attributes and blocks inside one block.
func (c *bodyCheck) body(block *hclsyntax.Block, doc BlockDoc) {
	owner := fmt.Sprintf("%s block", doc.Type)
	if !doc.Open {
		names := lists.Map(doc.Attrs, func(a AttrDoc) string { return a.Name })
		for _, attr := range sortedAttributes(block.Body.Attributes) {
			if nested, ok := findBlock(doc.Blocks, attr.Name); ok {
				c.add(attr.NameRange, "Unexpected attribute", blockNotAttribute(nested))
				continue
			}
			c.attribute(attr, names, owner)
		}
	}
	for _, a := range doc.Attrs {
		if _, ok := block.Body.Attributes[a.Name]; a.Required && !ok && !c.damage.in(block) {
			c.add(block.DefRange(), "Missing attribute",
				fmt.Sprintf("The attribute %q is required in %s: %s", a.Name, lowerFirst(withArticle(owner)), a.Doc))
		}
	}
	if !doc.Open { // theirs are checked where they are decoded
		c.nested(block, doc, owner)
	}
}

func blockNotAttribute(doc BlockDoc) string {
	return fmt.Sprintf("%s is a block: write %s without the equals sign.", doc.Type, blockForm(doc))
}

// nested checks the blocks in a block; one that has the name of an attribute is
// most likely meant to be that.
func (c *bodyCheck) nested(block *hclsyntax.Block, doc BlockDoc, owner string) {
	inner := &hclsyntax.Body{}
	for _, b := range block.Body.Blocks {
		if slices.ContainsFunc(doc.Attrs, func(a AttrDoc) bool { return a.Name == b.Type }) {
			c.add(b.TypeRange, "Unexpected block", fmt.Sprintf("%s is an attribute: write %s = ….", b.Type, b.Type))
			continue
		}
		inner.Blocks = append(inner.Blocks, b)
	}
	c.blocks(inner, doc.Blocks, owner)
}

func (c *bodyCheck) attribute(attr *hclsyntax.Attribute, known []string, owner string) {
	for _, name := range known {
		if name == attr.Name {
			return
		}
	}
	detail := fmt.Sprintf("%s has no attribute %q.", withArticle(owner), attr.Name) + nearOrAll(attr.Name, known)
	if len(known) == 0 {
		detail += " It has none at all."
	}
	c.add(attr.NameRange, "Unknown attribute", detail)
}

// strayAttribute reports an attribute outside all blocks.
func (c *bodyCheck) strayAttribute(attr *hclsyntax.Attribute, docs []BlockDoc) {
	detail := fmt.Sprintf("%q stands outside all blocks, where attributes are not allowed.", attr.Name)
	for _, doc := range docs {
		if doc.Type == attr.Name {
			c.add(attr.NameRange, "Unexpected attribute", blockNotAttribute(doc))
			return
		}
		for _, a := range doc.Attrs {
			if a.Name == attr.Name && doc.Type == "airbuild" {
				c.add(attr.NameRange, "Unexpected attribute", detail+" Put it into the airbuild block.")
				return
			}
		}
	}
	c.add(attr.NameRange, "Unexpected attribute", detail+" A value of your own belongs in a locals block.")
}

// blocks checks block types, label counts and bodies, and returns the blocks
// that can be decoded.
func (c *bodyCheck) blocks(body *hclsyntax.Body, docs []BlockDoc, owner string) []*hclsyntax.Block {
	var good []*hclsyntax.Block
	for _, block := range body.Blocks {
		doc, ok := findBlock(docs, block.Type)
		if !ok {
			c.unknownBlock(block, docs, owner)
			continue
		}
		if !c.labels(block, doc) {
			continue
		}
		c.body(block, doc)
		good = append(good, block)
	}
	return good
}

func findBlock(docs []BlockDoc, name string) (BlockDoc, bool) {
	for _, doc := range docs {
		if doc.Type == name {
			return doc, true
		}
	}
	return BlockDoc{}, false
}

func (c *bodyCheck) unknownBlock(block *hclsyntax.Block, docs []BlockDoc, owner string) {
	known := lists.Map(docs, func(doc BlockDoc) string { return doc.Type })
	where := "An Airbuildfile"
	if owner != "" {
		where = withArticle(owner)
	}
	detail := fmt.Sprintf("%s has no block %q.", where, block.Type) + nearOrAll(block.Type, known)
	c.add(block.TypeRange, "Unknown block", detail)
}

// labels reports whether the block has as many labels as its type needs.
func (c *bodyCheck) labels(block *hclsyntax.Block, doc BlockDoc) bool {
	want, got := len(doc.Labels), len(block.Labels)
	switch {
	case got > want:
		detail := fmt.Sprintf("%s block has no labels: write %s.", withArticle(doc.Type), blockForm(doc))
		if want > 0 {
			detail = fmt.Sprintf("This label is one too many: write %s.", blockForm(doc))
		}
		c.add(block.LabelRanges[want], "Too many labels", detail)
	case got < want:
		c.add(block.DefRange(), "Missing label",
			fmt.Sprintf("%s block needs its %s: write %s.", withArticle(doc.Type), doc.Labels[got], blockForm(doc)))
	}
	return got == want
}

// withArticle puts A or An before a block's name.
func withArticle(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "An " + noun
	}
	return "A " + noun
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// blockForm shows how a block's header is written.
func blockForm(doc BlockDoc) string {
	form := doc.Type
	for _, l := range doc.Labels {
		form += fmt.Sprintf(" %q", "<"+l+">")
	}
	return form + " { … }"
}

func (c *bodyCheck) add(subject hcl.Range, summary, detail string) {
	c.diags = append(c.diags, errorAt(subject, summary, detail))
}

// errorAt makes an error diagnostic.
func errorAt(subject hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &subject}
}
